#!/bin/bash
# Proves: plain mode talks with nc as server and as client, and with a script that knows sendto and
# recvfrom, by unicast and by broadcast, on a LAN, beyond a second interface and within 127.0.0.0/8; the largest datagram
# arrives whole at plain and native nodes, and a longer line is refused.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
not_keyed "it is about plain text, which a keyed group neither shows nor sends"
command -v nc >/dev/null || skip_all "needs netcat-openbsd"

lan a b c

# bound HOST PORT: waits until a UDP socket there has this port.
bound() {
    local i hex
    hex=$(printf ':%04X ' "$2")
    for i in $(seq 500); do
        on "$1" grep -q "$hex" /proc/net/udp && return 0
        read -rt 0.02 <> <(:)
    done
    return 1
}

# --- nc as server and as client ----------------------------------------------------------------
other server b nc -u -l 4444
bound b 4444
start ann a --plain --cast unicast --dest 10.77.1.2:4444
tells ann ready plain=true
say ann "hi nc"
check "nc -u -l hears a plain node" follow "$T/server.out" 'ann: Entering userann: hi nc' 10
say server "hi ann"
check "and answers it" tells ann message "text=hi ann" from=10.77.1.2:4444 cast=unicast
end_input ann; reap ann
is "the end of input is an end" "$STATUS" 0
check "and is told" follow "$T/server.out" 'hi ncann: quit' 10

start bob a --plain --cast unicast --dest 10.77.1.3:5003
tells bob ready plain=true
other client c nc -u -p 5003 10.77.1.1 5001
bound c 5003
say client "hi bob"
check "a plain node hears nc -u" tells bob message "text=hi bob" from=10.77.1.3:5003
say bob "hi client"
check "and is heard" hears client 'bob: hi client'
stop bob
kill "${PID[client]}"; reap client

# --- a script, by unicast and by broadcast -----------------------------------------------------
other script b python3 "$HERE/peer.py" 10.77.1.2:5002
hears script listening
start cat a --plain --cast unicast --dest 10.77.1.2
check "a script hears the greeting, at the port of the rule" hears script '^cat: Entering user$'
say cat "quién?"
check "and a line" hears script '^cat: quién\?$'
say script "user2: yo"
check "its answer is heard" tells cat message "text=user2: yo" from=10.77.1.2:5002
stop cat
check "a signal is a quit" hears script '^cat: quit$'
kill "${PID[script]}"; reap script

other caster b python3 "$HERE/peer.py" 10.77.1.2:5002 10.77.1.255:5255
hears caster listening
start dan a --plain --cast broadcast
start eve c --plain --cast broadcast
for t in dan eve; do tells "$t" ready plain=true; done
check "a script hears a broadcast" hears caster '^eve: Entering user$'
say caster "user2: a todos"
for t in dan eve; do check "$t hears a broadcast of it" tells "$t" message "text=user2: a todos" cast=broadcast; done
say dan "to all"
check "eve hears dan" tells eve message "text=dan: to all" cast=broadcast
check "the script hears dan" hears caster '^dan: to all$'
is "dan does not hear himself" "$(times dan message "text=dan: to all")" 0
stop dan; stop eve
kill "${PID[caster]}"; reap caster

# --- beyond the second interface, which the other side knows alone: as a tunnel beside a LAN is ----
bridge br2
space far
plug far eth0 br2 10.88.0.1/24
plug a eth1 br2 10.88.0.2/24
ip -n "$P-far" addr add 10.99.0.9/32 dev lo
ip -n "$P-a" route add 10.99.0.9 via 10.88.0.1
other tunnel far python3 "$HERE/peer.py" 10.99.0.9:5009
hears tunnel listening
start ida a --plain --cast unicast --dest 10.99.0.9
check "beyond the second interface a script hears it" hears tunnel '^ida: Entering user$'
say tunnel "user9: back"
check "and can answer" tells ida message "text=user9: back" from=10.99.0.9:5009
stop ida
start joe a --commands
tells joe ready
say joe "/plain 10.99.0.9 from afar"
check "and /plain" hears tunnel '^from afar$'
say tunnel "and back"
check "is answered there" tells joe message "text=and back" from=10.99.0.9:5009
stop joe
ip -n "$P-a" link del eth1

# --- within 127.0.0.0/8, on a machine with nothing but lo --------------------------------------
space solo
other local solo python3 "$HERE/peer.py" 127.0.0.9:5009
hears local listening
start fay solo --plain --address 127.0.0.2 --cast unicast --dest 127.0.0.9
check "on loopback a script hears it" hears local '^fay: Entering user$'
say local "user9: aquí"
check "and is heard" tells fay message "text=user9: aquí" from=127.0.0.9:5009
stop fay

# --- the largest datagram ----------------------------------------------------------------------
python3 -c '
print("x" * (65507 - len("gil: ")))
print("y" * (65508 - len("gil: ")))
print("after")' >"$T/large"
start plain b --plain --stay
start native c
for t in plain native; do tells "$t" ready; done
feed gil a "$T/large" --plain
reap gil
is "a line that is too long makes status 1" "$STATUS" 1
check "and is told" grep -q '"event":"warning".*65508' "$T/gil.out"
for t in plain native; do
    check "$t hears what came after it" tells "$t" message "text=gil: after"
    is "$t has the largest datagram whole" "$(plain_texts "$t" | awk '/^gil: x/ { print length }')" 65507
    is "and nothing of the longer one" "$(plain_texts "$t" | grep -c y)" 0
done
say native "hello"
tells plain message "text=gil: quit"
is "a plain node shows nothing of a native one" "$(grep -c 10.77.1.3 "$T/plain.out")" 0

finish
