#!/bin/bash
# Proves: who is heard and hears nothing of us - a firewall on one machine, mostly - is shown, explained, and
# named by the doctor with the side at fault; and it is met as soon as the fault is gone.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/doctor.sh"
command -v nft >/dev/null || skip_all "needs nftables"

lan a b c d
drop b input ip protocol udp || skip_all "this kernel has no nftables"
start bob b
start cat c
start ann a
check "ann and cat meet" meet ann cat
B=bob~$(grep -oP '"event":"ready","id":"\K.{5}' "$T/bob.out")
shows() { on a "$UDPNODE" who >"$T/who"; grep -qE "^$B +10.77.1.2:5002 +eth0 +heard, but answers nothing" "$T/who"; }
WITHIN=20 eventually check "ann sees that bob answers nothing" shows
finds "bob's machine lets nothing in: ann says" a "not-heard [$B, eth0]"
check "with every port that must be open" grep -qF 'udp dport { 5002, 5255, 5007 } accept' "$T/doctor"
finds "somebody who comes by says" d "not-heard [$B, eth0]"
on a timeout 20 "$UDPNODE" doctor bob >"$T/doctor"
STATUS=$?
is "asked for bob it says the same" "$STATUS $(head -n 1 "$T/doctor" | cut -d, -f1)" "1 not-heard [$B"
is "and of cat that nothing is wrong" "$(on a timeout 20 "$UDPNODE" doctor cat | cut -c1-8)" "healthy:"
doctor b
is "bob hears nobody, and is told what was looked at" "$STATUS $(cut -c1-15 "$T/doctor")" "3 nobody is heard"
say ann "the talk goes on"
check "the talk goes on" tells cat message "text=the talk goes on"
stop cat
WITHIN=20 check "cat left" tells ann left peer=cat
finds "of two it is the way" a "not-heard [from us to $B, eth0]"

pass b
check "the firewall is gone: they meet" tells ann joined peer=bob
check "both" tells bob joined peer=ann
eventually healthy "and all is well" a

drop a output ip protocol udp
start cat2 c
stop ann
start dan d
check "others meet" meet bob dan
finds "a machine that lets nothing out knows it" a "not-heard [this machine, eth0]"

finish
