#!/bin/bash
# Proves: of eight hosts that each lose 30 % of all datagrams, four speak at once, 1,000 lines: each
# of the eight has all of them, each once and in its author's order.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

EACH=250
SPEAKERS="n1 n2 n3 n4"
ALL="$SPEAKERS n5 n6 n7 n8"
# shellcheck disable=SC2086
lan $ALL
for n in $ALL; do
    on "$n" nft 'table inet t { chain i { type filter hook input priority 0; ip protocol udp numgen random mod 100 < 30 counter drop; }; }' \
        || skip_all "this kernel has no nftables"
    start "$n" "$n"
done
# shellcheck disable=SC2086
check "all eight meet" meet $ALL
for n in $SPEAKERS; do talk "$n" "$(lines "$n" $EACH)" 5; done
for n in $SPEAKERS; do WITHIN=30 tells "$n" sent "text=$n says $EACH"; done
began=$(now_ms)
# shellcheck disable=SC2086
WITHIN=30 check "all have the 1,000 lines, each once and in order" all_hear $ALL
echo "# $(($(now_ms) - began)) ms after the last was said"
for n in $SPEAKERS; do
    # Not only the logs: all of it was confirmed by all.
    WITHIN=20 check "$n knows that all confirmed" tells "$n" delivered "seq=$EACH" confirmed=7 online=7
    is "$n said its lines once" "$(times "$n" sent)" $EACH
done
# shellcheck disable=SC2086
check "no gap, no history" untroubled $ALL
for n in $ALL; do
    dropped=$(on "$n" nft list ruleset | grep -oP 'packets \K[0-9]+')
    check "$n lost datagrams indeed ($dropped)" below 30 "$dropped"
done

finish
