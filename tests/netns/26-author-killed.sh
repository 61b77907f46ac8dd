#!/bin/bash
# Proves: after an author was killed, who comes later gets its 200 lines from the others, as history
# and with the time at which they were said; and the last 50 if it did not ask for more.
# Mostly waits.
# With keys as well.
. "$(dirname "$0")/lib.sh"

lan a b c d e
for r in bob:b cat:c ann:a; do start "${r%:*}" "${r#*:}"; done
check "all meet" meet ann bob cat
talk ann "$(lines ann 200)" 5
for r in bob cat; do check "$r hears them" tells "$r" message "text=ann says 200"; done
kill -KILL "${PID[ann]}"
reap ann 2>/dev/null
is "the author was killed" "$STATUS" 137
past() { grep -P -- "$(event message from=ann history=true)" "$T/$1.out"; }

# At once, while the others think that the author is there; and when they know.
start dan d --history 1000
check "a newcomer gets the first line" tells dan message from=ann "text=ann says 1"
check "and the last" tells dan message from=ann "text=ann says 200"
check "the others lose the author" tells bob lost peer=ann
start eve e
check "another newcomer gets the last line" tells eve message from=ann "text=ann says 200"
for r in dan:200 eve:50; do
    n=${r#*:} r=${r%:*}
    past "$r" | grep -oP '"text":"\K[^"]*' >"$T/got"
    check "$r gets the last $n, each once and in order" cmp -s <(tail -n "$n" "$T/ann.lines") "$T/got"
    is "$r gets nothing else of it" "$(times "$r" message from=ann)" "$n"
    times_of() { grep -P -- "$(event message from=ann)" "$T/$1.out" | grep -oP '"time":"\K[^"]*' | tail -n "$n"; }
    check "$r is told when it was said" cmp -s <(times_of bob) <(times_of "$r")
    is "$r got it from others" "$(past "$r" | grep -c '"address":"10.77.1.1:5001"')" 0
done

finish
