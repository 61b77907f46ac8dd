#!/bin/bash
# Proves: of 32 hosts on one switch, a pulled cable is told by all others within 3.1 s, the pulled one
# is told that it seems disconnected, and within 0.5 s of the link's return all know; a bye is told
# within 0.2 s; a pause of 1.5 s tells nothing; at 20 % loss nobody is missed for LOSS_FOR seconds (15)
# and a crash is told in time; 50 restarts make no storm; who says nothing is quiet.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

LOSS_FOR=${LOSS_FOR:-15}
COUNT=${COUNT:-32}
ALL=$(seq -f 'n%g' "$COUNT")
# shellcheck disable=SC2086
lan $ALL
presence() { python3 "$HERE/presence.py" "$@"; }
outputs() { local n; for n; do echo "$T/$n.out"; done; }
others() { local n; for n in $HERE_NOW; do [ "$n" = "$1" ] || echo "$n"; done; }
# Lines of those that were told of somebody lost, or of themselves; n9 is started anew, and in its own output as well.
alarms() { find "$T" -name 'n*.out' ! -name n9.out -exec cat {} + | grep -E '"event":"(lost|disconnected)"' | grep -vc '"peer":"n9"'; }

# told WHAT MS SECONDS EVENT PEER "TAG..." COMMAND...: all of these are told so within MS of the command.
told() {
    local what=$1 most=$2 seconds=$3 event=$4 peer=$5 tags=$6 took; shift 6
    # shellcheck disable=SC2046,SC2086
    took=$(presence told "$seconds" "$event" "$peer" $(outputs $tags) -- "$@")
    check "$what ($took ms)" test "$took" -le "$most"
}

# quiet SECONDS TAG...: what these send meanwhile is within the figures of a quiet group.
quiet() {
    local seconds=$1 pids=() n casts unicasts casts_before unicasts_before; shift
    for n; do pids+=("${PID[$n]}"); done
    read -r casts_before unicasts_before < <(presence count "${pids[@]}")
    pass "$seconds"
    read -r casts unicasts < <(presence count "${pids[@]}")
    casts=$(((casts - casts_before) * 100 / seconds))
    unicasts=$(((unicasts - unicasts_before) * 100 / seconds / $#))
    check "$# quiet nodes cast at most 8 datagrams a second in all ($casts hundredths)" below $casts 801
    check "and send at most 5 others a second each ($unicasts hundredths)" below $unicasts 501
}

for n in n1 n2; do start $n $n; done
check "two meet" meet n1 n2
quiet 10 n1 n2
for n in $ALL; do
    case $n in
        n1 | n2) ;;
        n9) KEEP="--state-dir $T/state" start n9 n9 ;;
        *) start "$n" "$n" ;;
    esac
done
HERE_NOW=$ALL
met() { local n; for n in $ALL; do [ "$(times "$n" joined)" -ge $((COUNT - 1)) ] || return 1; done; }
WITHIN=30 check "all $COUNT meet" eventually met
# Whoever came last has told all it tells at the start.
pass 3
# shellcheck disable=SC2086
quiet 10 $ALL
is "nobody was missed" "$(alarms)" 0

# The cable of n5.
link() { ip -n "$P-sw" link set p-n5-eth0 "$1"; }
export -f link pass; export P
told "a pulled cable is told by all" 3100 6 lost n5 "$(others n5)" bash -c "link down"
WITHIN=4 check "the one whose cable it is seems disconnected" tells n5 disconnected
is "and misses nobody" "$(times n5 lost)" 0
told "the link's return is told by all" 500 6 back n5 "$(others n5)" bash -c "link up"
check "the one whose link it is, is told so" tells n5 connected
told "pulled again, it is told again" 3100 6 lost n5 "$(others n5)" bash -c "link down"
twice() { [ "$(times n5 disconnected)" = 2 ]; }
WITHIN=4 check "and seems disconnected again" eventually twice
told "its return is told to it as well" 500 6 connected "" n5 bash -c "link up"

told "a bye is told by all" 200 5 left n6 "$(others n6)" kill -TERM "${PID[n6]}"
reap n6
HERE_NOW=$(others n6)

alarmed=$(alarms)
for n in n7 n1 n20; do
    kill -STOP "${PID[$n]}"
    pass 1.5
    kill -CONT "${PID[$n]}"
    pass 2.5
done
is "who stands still for 1.5 s is missed by nobody and misses nobody" "$(alarms)" "$alarmed"

for n in $HERE_NOW; do
    on "$n" nft 'table inet t { chain i { type filter hook input priority 0; ip protocol udp numgen random mod 100 < 20 counter drop; }; }' \
        || skip_all "this kernel has no nftables"
done
pass "$LOSS_FOR"
is "at 20 % loss nobody is missed for $LOSS_FOR s" "$(alarms)" "$alarmed"
told "a crash at 20 % loss is told by all" 3100 6 lost n8 "$(others n8)" kill -KILL "${PID[n8]}"
HERE_NOW=$(others n8)
for n in $HERE_NOW; do on "$n" nft delete table inet t; done

# Restarts, as fast as the node is ready.
alarmed=$(alarms)
pids=()
for n in $(others n9); do pids+=("${PID[$n]}"); done
read -r casts_before unicasts_before < <(presence count "${pids[@]}")
began=$(now_ms)
for _ in $(seq 50); do
    kill -KILL "${PID[n9]}"
    wait "${PID[n9]}" 2>/dev/null
    rm -f "$T/n9.in"
    exec {IN[n9]}>&-
    KEEP="--state-dir $T/state" start n9 n9
    tells n9 ready
done
took=$(($(now_ms) - began))
told "who is started anew is back at once" 3500 6 back n9 "$(others n9)" bash -c "kill -KILL ${PID[n9]}; pass 0.1; mkfifo $T/again; \
    exec 3<>$T/again; ip netns exec $P-n9 $UDPNODE -n n9 --state-dir $T/state --json <&3 >$T/n9.out 2>$T/n9.err & echo \$! >$T/n9.pid"
PID[n9]=$(cat "$T/n9.pid")
read -r casts unicasts < <(presence count "${pids[@]}")
casts=$(((casts - casts_before) / 51)) unicasts=$(((unicasts - unicasts_before) / 51))
echo "# 50 restarts in $took ms: the others sent $casts casts and $unicasts other datagrams for each, quiet traffic included"
# Each of the others greets whoever starts, and hears its three hellos; in a second it sends 5 anyway.
check "50 restarts make no storm" below $((casts + unicasts)) $((COUNT * (4 + 5 * took / 51000 + 1)))
is "nobody else is missed for it" "$(alarms)" "$alarmed"

finish
