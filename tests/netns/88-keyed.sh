#!/bin/bash
# Proves: in a keyed group who has not the key learns nothing, changes nothing and gets no packet back,
# whatever it sends; what members say stands nowhere on the wire.
. "$(dirname "$0")/lib.sh"
not_keyed "it has keys of its own, always"
. "$(dirname "$0")/doctor.sh"

lan ann bob eve
"$UDPNODE" keygen "$T/key"
is "the key file is for its owner alone" "$(stat -c %a "$T/key")" 600

capture eve eth0
start ann ann --tcp --commands --key-file "$T/key"
start bob bob --tcp --commands --key-file "$T/key"
start eve eve --commands --peer 10.77.1.1 --peer 10.77.1.2
check "ann and bob meet" meet ann bob
say ann "the secret word is swordfish"
check "bob hears ann" tells bob message "text=the secret word is swordfish"
say bob "/tell ann swordfish for you alone"
check "and ann hears bob" tells ann message direct=true "text=swordfish for you alone"
for n in 1 2 3 4 5; do say eve "let me in $n"; done
# What was recorded, as it was and with bits changed.
cp "$T/cap" "$T/recorded"
other flood eve python3 "$HERE/flood.py" "$T/recorded" 2000 10.77.1.1:5001 10.77.1.2:5002
reap flood
say ann "the end"
check "the chat goes on" tells bob message "text=the end"

is "eve has met nobody" "$(times eve joined)" 0
is "and heard nothing" "$(times eve message)" 0
is "ann has met bob alone" "$(times ann joined)" 1
is "nobody was lost" "$(times ann lost)$(times bob lost)" 00
say ann "/stats"
check "ann counts what is not sealed for her" hears ann '"event":"stats".*"other_group":[1-9]'
captured swordfish >"$T/seen"
is "no text of theirs is on the wire" "$(cat "$T/seen")" ""
is "and no name" "$(strings -n 3 "$T/cap" | grep -cxE 'ann|bob')" 0
is "no packet was for eve" "$(tcpdump -nr "$T/cap" 'udp and dst host 10.77.1.3' 2>/dev/null | wc -l)" 0
stop eve

# Which key another has the doctor cannot know, but that it is another: also while a flood shuts the gate of the
# kernel before whatever is not sealed for us.
"$UDPNODE" keygen "$T/another"
start mal eve --key-file "$T/another"
ARGS="--key-file $T/key" WITHIN=15 eventually finds "another key" ann "other-group [10.77.1.3:5003]"
other garbage eve python3 "$HERE/hostile.py" garbage "$T/cap" 3 10.77.1.1:5001 239.192.7.7:5007
hears garbage floods
ARGS="--key-file $T/key" finds "another key, during a flood" ann "other-group [10.77.1.3:5003]"
reap garbage
for t in ann bob mal; do stop "$t"; done
finish
