#!/bin/bash
# Proves: who joins late is shown as many past messages as it asked for, the latest ones and in
# order, from whoever holds them when their author has left; however many were said at a time.
# With keys as well.
. "$(dirname "$0")/lib.sh"

lan a b c
for i in $(seq 500); do echo "old $i"; done >"$T/lines"
start bob b
feed ann a "$T/lines"
reap ann 30
is "the author ends with 0" "$STATUS" 0
tells bob left peer=ann
for n in 0 7 50 200; do
    start "late$n" c --history "$n"
    meet "late$n" bob
    say bob "mark $n"
    tells "late$n" message "text=mark $n"
    tells bob delivered confirmed=1 online=1
    grep '"history":true' "$T/late$n.out" | grep -oP '"text":"\Kold [0-9]+' >"$T/got"
    # The marks that bob set for those before are past messages too.
    is "--history $n: not more than that" "$(($(grep -c '"history":true' "$T/late$n.out") <= n))" 1
    [ "$n" -lt 50 ] || check "--history $n: nearly all of it ($(wc -l <"$T/got"))" [ "$(wc -l <"$T/got")" -ge $((n - 5)) ]
    tail -n "$(wc -l <"$T/got")" "$T/lines" >"$T/wanted"
    check "--history $n: the latest, in order" cmp -s "$T/wanted" "$T/got"
    stop "late$n"
done

finish
