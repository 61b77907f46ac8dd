#!/bin/bash
# Proves: 1,000 silent TCP connections, and others that send garbage, half a frame or a byte now and
# then, do not disturb the chat or direct messages; nor does a want of descriptors.
. "$(dirname "$0")/lib.sh"

lan a b c
start ann a --tcp --commands
start bob b --tcp --commands
check "ann and bob meet" meet ann bob

n=0
for what in "1000 silent" "100 garbage" "100 half" "100 drip"; do
    read -r count kind <<<"$what"
    other "crowd$n" c python3 "$HERE/crowd.py" "$count" 10.77.1.1 5001 "$kind"
    WITHIN=30 check "$what connections are there" hears "crowd$n" "holding $count"
    say bob "/tell ann direct during $kind"
    say bob "group during $kind"
    check "$kind: a direct message arrives" tells ann message direct=true "text=direct during $kind"
    check "$kind: and is told as delivered" tells bob delivered direct=true mid=$((n + 1)) confirmed=1
    check "$kind: the group is heard" tells ann message direct=false "text=group during $kind"
    say ann "/tell bob back during $kind"
    check "$kind: and the other way" tells bob message direct=true "text=back during $kind"
    check "$kind: ann keeps $(ls "/proc/${PID[ann]}/fd" | wc -l) descriptors" below "$(ls "/proc/${PID[ann]}/fd" | wc -l)" 100
    end_input "crowd$n"; reap "crowd$n"
    n=$((n + 1))
done
is "nobody was lost" "$(times ann lost)" 0
check "ann used $(peak ann) kB at most" below "$(peak ann)" 32768

# --- a want of descriptors ---------------------------------------------------------------------
FILES=18 start few c --tcp --commands
check "a node with 18 descriptors meets the others" tells few joined peer=bob
other crowd b python3 "$HERE/crowd.py" 100 10.77.1.3 5003 silent
check "100 connections are there" hears crowd "holding 100"
check "it says that it cannot accept" follow "$T/few.out" 'cannot accept streams' 10
say few "still here"
check "and goes on chatting" tells bob message "text=still here"
tells bob joined peer=few
say bob "/tell few for you alone"
check "and hears what is for it alone" tells few message direct=true "text=for you alone"
end_input crowd; reap crowd
for t in ann bob few; do stop "$t"; is "$t leaves as ever" "$STATUS" 143; done

finish
