#!/bin/bash
# Proves: where multicast does not arrive, text arrives all the same (--cast auto); where broadcast
# does not either, unicast carries it, found by --peer.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

lan a b c
on c nft 'table inet t { chain i { type filter hook input priority 0; ip daddr 224.0.0.0/4 udp dport 5007 counter drop; }; }' \
    || skip_all "this kernel has no nftables"
start ann a
start bob b
start cat c
check "all meet though cat hears no multicast" meet ann bob cat
say ann "without multicast"
check "bob hears it" tells bob message "text=without multicast"
check "cat hears it" tells cat message "text=without multicast"
check "not by multicast" [ "$(times cat message cast=multicast)" = 0 ]
is "cat heard it once" "$(times cat message)" 1

on c nft add rule inet t i ip daddr 10.77.1.255 counter drop
for n in 1 2 3; do say ann "without broadcast $n"; done
WITHIN=30 check "cat hears what is said without broadcast" tells cat message "text=without broadcast 3"
is "in order" "$(texts cat ann | tail -n 3 | tr '\n' ';')" "without broadcast 1;without broadcast 2;without broadcast 3;"

space d
plug d eth0 br1 10.77.1.4/24
on d nft 'table inet t { chain i { type filter hook input priority 0; ip daddr { 224.0.0.0/4, 10.77.1.255 } counter drop; }; }' || exit 1
start dan d --peer 10.77.1.1
check "one that hears unicast alone meets ann" tells dan joined peer=ann
check "and ann meets it" tells ann joined peer=dan
say ann "for dan too"
check "and hears" tells dan message "text=for dan too"
say dan "dan speaks"
for to in ann bob cat; do check "$to hears dan" tells "$to" message "text=dan speaks"; done
check "ann is told that all confirmed" tells ann delivered confirmed=3 online=3

finish
