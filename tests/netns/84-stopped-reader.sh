#!/bin/bash
# Proves: a receiver whose reader has stopped for good holds up the sender for half a minute; then it
# goes on without that one: the others hear all lines, and the sender ends with 4.
# Mostly waits.
. "$(dirname "$0")/lib.sh"

lan a b c d
for r in bob:b cat:c; do start "${r%:*}" "${r#*:}"; done
slow eve d
check "all meet" meet bob cat
for r in bob cat; do tells "$r" joined peer=eve; done
check "the slow one sees them" tells eve joined peer=cat
kill -STOP "${PID[reader-eve]}"

# More than the pipe and what eve keeps for its reader can hold, and more than a window.
pad=$(printf 'x%.0s' $(seq 4000))
seq -f "line %g $pad" 600 >"$T/ann.lines"
cut -d' ' -f1,2 "$T/ann.lines" >"$T/wanted"
began=$(now_ms)
feed ann a "$T/ann.lines"
tells ann joined peer=eve
check "for a while it waits for all" eval '! WITHIN=10 tells ann sent seq=600'
check "all is said in the end" eval 'WITHIN=40 tells ann sent seq=600'
took=$((($(now_ms) - began) / 1000))
check "after about 30 s: $took s" eval 'below 25 "$took" && below "$took" 45'
reap ann 20
is "the sender ends with 4" "$STATUS" 4
check "and says so: $(tail -n 1 "$T/ann.err")" grep -q 'only some confirmed: [0-9]* of 600 messages' "$T/ann.err"
for r in bob cat; do
    tells "$r" left peer=ann
    texts "$r" ann | cut -d' ' -f1,2 >"$T/got"
    check "$r heard all 600 lines, each once and in order" cmp -s "$T/wanted" "$T/got"
done
check "the one without a reader is there" alive eve
check "and small: $(peak eve) kB" below "$(peak eve)" 16384
kill -CONT "${PID[reader-eve]}"
WITHIN=20 check "when its reader goes on, it tells what it had" tells eve message from=ann seq=1

finish
