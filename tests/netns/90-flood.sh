#!/bin/bash
# Proves: hundreds of thousands of random and mutated datagrams (FLOOD=1000000 for more), empty ones among
# them, at every socket of a node neither stop it nor make it grow; what it prints is harmless, and the chat
# works afterwards.
. "$(dirname "$0")/lib.sh"

FLOOD=${FLOOD:-400000}
lan a b c
start bob b
mkfifo "$T/ann.in"
: >"$T/ann.out"
launch ann a "$T/ann.in" "$T/ann.out"
exec {fd}>"$T/ann.in"
IN[ann]=$fd
tells bob joined peer=ann
check "ann sees bob" follow "$T/ann.out" '\* bob joined' 10

# Native datagrams to mutate: what the two say to each other.
capture c eth0
say bob "a line to be mutated"
check "ann hears bob" follow "$T/ann.out" 'bob: a line to be mutated' 10
say ann "and another"
tells bob message "text=and another"
captured "" >/dev/null

# What is shown is bounded by the pipe, not by us: keep the file from filling the disk.
began=$(now_ms)
warm=$((FLOOD / 20))
on c timeout 60 python3 "$HERE/flood.py" "$T/cap" "$warm" 10.77.1.1:5001 10.77.1.255:5255 239.192.7.7:5007 || true
before=$(rss ann)
on c timeout 90 python3 "$HERE/flood.py" "$T/cap" "$((FLOOD - warm))" 10.77.1.1:5001 10.77.1.255:5255 239.192.7.7:5007
is "the flood was sent" "$?" 0
took=$(($(now_ms) - began))
echo "# $FLOOD datagrams in $took ms"
check "ann runs" alive ann
check "bob runs" alive bob
after=$(rss ann)
check "ann did not grow: $before kB, then $after kB" below "$after" $((before + 1024))
check "ann is small: $after kB" below "$after" 16384

say bob "after the flood"
WITHIN=20
check "ann hears bob" follow "$T/ann.out" 'bob: after the flood' 20
say ann "me too"
check "bob hears ann" tells bob message "text=me too"
stop ann
is "ann leaves as asked" "$STATUS" 143
check "bob was told that ann left" tells bob left peer=ann
check "what was printed is harmless" python3 "$HERE/harmless.py" "$T/ann.out" "$T/ann.err" "$T/bob.out" "$T/bob.err"

finish
