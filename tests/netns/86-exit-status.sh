#!/bin/bash
# Proves: who pipes text in is told by the exit status how it fared: 0 if all who were there
# confirmed, 3 if nobody was there, 4 if one of them did not: waited for as long as asked, or lost.
# Mostly waits.
# With keys as well.
. "$(dirname "$0")/lib.sh"

lan a b c d
space far
echo "hello" >"$T/lines"
feed lea far "$T/lines" --wait 1
start bob b
start cat c
check "they meet" meet bob cat
feed ann a "$T/lines"
reap ann
is "all confirmed: 0" "$STATUS" 0
for r in bob cat; do check "$r hears it" tells "$r" message from=ann text=hello; done
is "nothing is said about it" "$(cat "$T/ann.err")" ""
reap lea
is "nobody there: 3" "$STATUS" 3
check "and why" grep -q 'nobody is there: no peer within 1 s' "$T/lea.err"

start dan a --wait 2
start eve d --wait 20
meet dan bob cat
meet eve bob cat
kill -STOP "${PID[cat]}"
for n in dan eve; do say $n "half of you"; say $n "again"; end_input $n; done
began=$(now_ms)
reap dan
took=$(($(now_ms) - began))
is "one did not confirm: 4" "$STATUS" 4
check "after the time to wait: $took ms" eval 'below 1900 $took && below $took 4000'
reap eve
took=$(($(now_ms) - began))
is "one was lost: 4" "$STATUS" 4
check "as soon as that was known: $took ms" below $took 15000
check "eve is told that it is lost" tells eve lost peer=cat
for n in dan eve; do
    is "$n says how many" "$(cat "$T/$n.err")" "udpnode: only some confirmed: 0 of 2 messages reached everybody"
    check "bob heard $n" tells bob message "from=$n" text=again
done

finish
