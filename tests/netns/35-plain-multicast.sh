#!/bin/bash
# Proves: with socat in the group 224.1.1.1:5007, 2,000 lines arrive in each direction; the console
# of the classroom's chat comes out line by line; at the leave word plain nodes leave and a native
# one stays, and neither kind disturbs the other.
. "$(dirname "$0")/lib.sh"
not_keyed "it is about plain text, which a keyed group neither shows nor sends"
command -v socat >/dev/null || skip_all "needs socat"

LINES_SENT=2000
GROUP=224.1.1.1:5007

lan a b c d
# Programs that do not choose an interface need a route to the group.
for n in a b c d; do ip -n "$P-$n" route add 224.0.0.0/4 dev eth0; done
in_group() { # HOST: waits until something there has joined the group (E0010101 or 010101E0)
    local i
    for i in $(seq 500); do
        on "$1" grep -qiE '010101E0|E0010101' /proc/net/igmp && return 0
        read -rt 0.02 <> <(:)
    done
    return 1
}

# --- 2,000 lines each way ----------------------------------------------------------------------
for i in $(seq "$LINES_SENT"); do echo "line $i of many"; done >"$T/lines"
other cat b socat -u "UDP4-DATAGRAM:$GROUP,bind=:5007,reuseaddr,ip-add-membership=224.1.1.1:10.77.1.2" "OPEN:$T/heard,creat,append"
in_group b
began=$(now_ms)
pipe ann a "$T/lines" --plain -g "$GROUP"
reap ann 60
is "the plain node ends with 0" "$STATUS" 0
echo "# $LINES_SENT lines in $(($(now_ms) - began)) ms"
sed 's/^/ann: /' "$T/lines" >"$T/wanted"
sed -i '1i ann: Entering user' "$T/wanted"; echo "ann: quit" >>"$T/wanted"
follow "$T/heard" 'quit$' 0.1 # what socat writes has no line ends
tr -d '\n' <"$T/wanted" >"$T/wanted.joined"
for i in $(seq 100); do cmp -s "$T/wanted.joined" "$T/heard" && break; read -rt 0.02 <> <(:); done
check "socat heard $LINES_SENT lines, each once and in order" cmp "$T/wanted.joined" "$T/heard"
kill "${PID[cat]}"; reap cat

start bob a --plain -g "$GROUP"
tells bob ready name=bob plain=true
in_group a
# Through a socket that keeps lines apart: of a pipe socat would read two as one where it is late.
other sender b socat -u "UNIX-RECV:$T/socket" "UDP4-DATAGRAM:$GROUP,bind=10.77.1.2:0,ip-multicast-if=10.77.1.2"
eventually [ -S "$T/socket" ]
python3 -c '
import socket, sys, time
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(sys.argv[2])
for line in open(sys.argv[1]):
    to.send(line.encode()); time.sleep(0.0002)
' "$T/lines" "$T/socket"
tells bob message "text=line $LINES_SENT of many"
plain_texts bob >"$T/got"
check "the plain node heard $LINES_SENT lines of socat" cmp "$T/lines" "$T/got"
kill "${PID[sender]}"; reap sender
stop bob

# --- the console of the classroom --------------------------------------------------------------
other user1 b python3 "$HERE/classroom.py" 10.77.1.2 user1
hears user1 'user1: Entering user'
say user1 "Hola, soy user1"
hears user1 'user1: Hola, soy user1'
mkfifo "$T/user2.in"; : >"$T/user2.out"
launch user2 c "$T/user2.in" "$T/user2.out" --plain -g "$GROUP"
exec {fd}>"$T/user2.in"; IN[user2]=$fd
hears user1 'user2: Entering user'
say user2 "Hola? Soy user2"; hears user1 'Soy user2'
say user1 "Hola user 2"; hears user2 'Hola user 2'
say user1 "Bienvenido"; hears user2 'Bienvenido'
say user2 "Gracias!"; hears user1 'Gracias'
say user2 "Ahora me voy"; hears user1 'me voy'
say user2 "quit"; hears user1 'user2: quit'
reap user2
is "who types quit leaves with 0" "$STATUS" 0
say user1 "vaya... otra vez solo"; hears user1 'otra vez solo'
say user1 "quit"; reap user1
is "the script ended" "$STATUS" 0
cat >"$T/console1" <<'END'
user1: Entering user
user1: Hola, soy user1
user2: Entering user
user2: Hola? Soy user2
user1: Hola user 2
user1: Bienvenido
user2: Gracias!
user2: Ahora me voy
user2: quit
user1: vaya... otra vez solo
user1: quit
END
printf '%s\n' "user1: Hola user 2" "user1: Bienvenido" >"$T/console2"
check "the console of user1, line by line" cmp "$T/console1" "$T/user1.out"
grep -oP '^\d\d:\d\d:\d\d 10\.77\.1\.2:5007 \(plain\): \K.*' "$T/user2.out" >"$T/got"
check "the console of user2, line by line" cmp "$T/console2" "$T/got"

# --- the leave word, and both kinds in one group -----------------------------------------------
start nat d --commands -g "$GROUP"
for h in a b c; do start "p$h" "$h" --plain -g "$GROUP" --leave-word 'Adiós' --stay; done
for h in a b c; do tells "p$h" ready plain=true; in_group "$h"; done
tells nat message "text=pc: Entering user" plain=true
say pa "hola a todos"
for t in pb pc nat; do check "$t hears a plain node" tells "$t" message "text=pa: hola a todos" plain=true from=10.77.1.1:5001; done
say nat "/plain $GROUP from a native one"
for t in pa pb pc; do check "$t hears a native node that speaks plain" tells "$t" message "text=from a native one"; done
say nat "/plain $GROUP nat: Adiós"
for h in a b c; do reap "p$h" 10; is "p$h leaves at the leave word" "$STATUS" 0; done
for h in a b c; do check "p$h says quit" tells nat message "text=p$h: quit"; done
check "the native one stays" alive nat
is "no native datagram was shown by a plain node" "$(cat "$T"/p[abc].out | grep -c 'udn\|\\ufffd\|joined')" 0
is "nobody joined the native node" "$(times nat joined)" 0
stop nat
is "a native node leaves as ever" "$STATUS" 143

finish
