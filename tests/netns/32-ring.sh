#!/bin/bash
# Proves: three networks in a ring, connected by three hosts that forward no packets, are one room:
# every line is heard everywhere, once and in order, by a bounded number of casts, also when an
# interface in the ring goes down while they talk.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

EACH=20
CASTS_MAX=12
SPEAKERS="ra rb rc ha hb hc"
for h in $SPEAKERS; do space "$h"; done
for b in br1 br2 br3; do bridge "$b"; done
plug ra eth0 br1 10.77.1.1/24
plug rb eth1 br1 10.77.1.2/24
plug rb eth0 br2 10.77.2.2/24
plug rc eth1 br2 10.77.2.3/24
plug rc eth0 br3 10.77.3.3/24
plug ra eth1 br3 10.77.3.1/24
plug ha eth0 br1 10.77.1.9/24
plug hb eth0 br2 10.77.2.9/24
plug hc eth0 br3 10.77.3.9/24
for h in $SPEAKERS; do
    on "$h" nft 'table inet t { chain o { type filter hook output priority 0; ip daddr { 239.192.7.7, 10.77.1.255, 10.77.2.255, 10.77.3.255 } counter; }; }' \
        || skip_all "this kernel has no nftables"
    start "$h" "$h"
done
check "neighbours meet" eval 'meet ra rb ha && meet rb rc hb && meet rc ra hc'
casts() { for h in $SPEAKERS; do on "$h" nft list ruleset; done | grep -oP 'packets \K[0-9]+' | awk '{ n += $1 } END { print n }'; }

before=$(casts)
check "all hear the first line of each" begin $EACH
for n in $SPEAKERS; do talk "$n" "$T/$n.more" 100; done
# shellcheck disable=SC2086
check "every line is heard everywhere, once and in order" all_hear $SPEAKERS
spent=$(($(casts) - before))
said=$((6 * EACH))
echo "# $spent casts for $said lines, everything counted: $((spent * 100 / said)) per 100 lines"
check "not more than $CASTS_MAX casts a line" below $spent $((CASTS_MAX * said + 1))
check "but all had to be cast on three networks" below $((3 * said)) $((spent + 1))

for n in $SPEAKERS; do
    seq -f "$n says again %g" $EACH >"$T/$n.more"
    cat "$T/$n.more" >>"$T/$n.lines"
    talk "$n" "$T/$n.more" 100
done
tells ra sent "text=ra says again 8"
on ra ip link set eth1 down
for n in $SPEAKERS; do tells "$n" sent "text=$n says again $EACH"; done
began=$(now_ms)
# shellcheck disable=SC2086
WITHIN=20 check "and when the ring is cut" all_hear $SPEAKERS
echo "# $(($(now_ms) - began)) ms after the last was said"
# shellcheck disable=SC2086
check "no gap, no history" untroubled $SPEAKERS

finish
