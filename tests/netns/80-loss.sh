#!/bin/bash
# Proves: with 30 % of all datagrams lost at every host, 200 lines from a pipe arrive at three
# hosts, each once and in order, and the sender ends with 0.
# With keys as well.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

lan a b c d
for h in a b c d; do
    on "$h" nft 'table inet t { chain i { type filter hook input priority 0; ip protocol udp numgen random mod 100 < 30 counter drop; }; }' \
        || skip_all "this kernel has no nftables"
done
for i in $(seq 200); do echo "line $i through the storm"; done >"$T/lines"
for r in bob:b cat:c dan:d; do start "${r%:*}" "${r#*:}"; done
check "all meet" meet bob cat dan
began=$(now_ms)
pipe ann a "$T/lines"
reap ann 60
is "the sender ends with 0" "$STATUS" 0
echo "# $(($(now_ms) - began)) ms"
for r in bob cat dan; do
    tells "$r" message "text=line 200 through the storm"
    texts "$r" ann >"$T/got"
    check "$r heard 200 lines, each once and in order" cmp -s "$T/lines" "$T/got"
    is "$r was told of no gap" "$(times "$r" gap)" 0
done
dropped=$(on b nft list ruleset | grep -oP 'packets \K[0-9]+')
check "datagrams were dropped indeed ($dropped at b)" [ "$dropped" -gt 10 ]

finish
