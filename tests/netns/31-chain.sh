#!/bin/bash
# Proves: three networks in a line, connected by hosts that forward no packets, are one room: what
# each of four says is heard by all, once and in order; and if one of those in the middle runs with
# --no-relay, the sides stay apart.
# With keys as well.
. "$(dirname "$0")/lib.sh"

EACH=50
SPEAKERS="lea mia max rob"
for h in h1 r1 r2 h2; do space "$h"; done
for b in br1 br2 br3; do bridge "$b"; done
plug h1 eth0 br1 10.77.1.1/24
plug r1 eth0 br1 10.77.1.9/24
plug r1 eth1 br2 10.77.2.1/24
plug r2 eth0 br2 10.77.2.2/24
plug r2 eth1 br3 10.77.3.9/24
plug h2 eth0 br3 10.77.3.1/24
for h in r1 r2; do on "$h" sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'; done
start lea h1
start mia r1 --commands
start max r2 --commands
start rob h2
check "neighbours meet" eval 'meet lea mia && meet mia max && meet max rob'
is "those who are not neighbours do not" "$(times lea joined) $(times rob joined)" "1 1"
check "all hear the first line of each" begin $EACH
for n in $SPEAKERS; do talk "$n" "$T/$n.more" 20; done
# shellcheck disable=SC2086
check "every line is heard everywhere, once and in order" all_hear $SPEAKERS
# shellcheck disable=SC2086
check "no gap, no history" untroubled $SPEAKERS
for n in mia max; do
    say "$n" /stats
    check "$n tells its counters" hears "$n" heard.bytes
    relayed=$(grep -oP 'nrelayed +\K[0-9]+' "$T/$n.out" | tail -n 1)
    check "$n relayed ${relayed:-nothing}" below 0 "${relayed:-0}"
    is "$n said so once" "$(grep -c 'passing on what is said between' "$T/$n.out")" 1
done

for n in $SPEAKERS; do kill -TERM "${PID[$n]}"; done
for n in $SPEAKERS; do reap "$n" && rm "$T/$n.in"; done
start lea h1
start mia r1 --no-relay
start max r2
start rob h2
check "neighbours meet again" eval 'meet lea mia && meet mia max && meet max rob'
say lea "from the left"
say rob "from the right"
check "the middle hears the left" tells mia message from=lea "text=from the left"
check "and the right, by one who relays" tells mia message from=rob "text=from the right"
# Long enough for hellos and frontiers to be compared several times.
talk mia "$(lines mia 12)" 500
for n in lea max rob; do check "$n hears the middle" tells "$n" message from=mia "text=mia says 12"; done
is "the left hears nothing of the right" "$(times lea message from=rob)" 0
is "the right hears nothing of the left" "$(times max message from=lea) $(times rob message from=lea)" "0 0"
is "the right is one room" "$(times max message from=rob)" 1

finish
