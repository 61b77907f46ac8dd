#!/bin/bash
# Proves: 100,000 lines from a pipe arrive at three receivers, each once and in order, and nobody's
# memory grows with them.
. "$(dirname "$0")/lib.sh"

LINES_SENT=100000
RSS_MAX=24576

lan a b c d
seq -f "line %.0f" "$LINES_SENT" >"$T/ann.lines"
for r in bob:b cat:c dan:d; do start "${r%:*}" "${r#*:}"; done
meet bob cat dan
pipe ann a "$T/ann.lines"
tells ann sent seq=1
began=$(now_ms)
(WITHIN=60 tells ann sent "seq=$LINES_SENT"; cat "/proc/${PID[ann]}/status" >"$T/ann.status") &
watcher=$!
for r in bob cat dan; do WITHIN=60 tells "$r" message from=ann "seq=$LINES_SENT"; done
took=$(($(now_ms) - began))
echo "# $((LINES_SENT * 1000 / took)) lines/s"
wait "$watcher"
reap ann 30
is "the sender ends with 0" "$STATUS" 0
for r in bob cat dan; do
    texts "$r" ann >"$T/got"
    check "$r heard $LINES_SENT lines, each once and in order" cmp -s "$T/ann.lines" "$T/got"
    check "$r used $(peak "$r") kB at most" below "$(peak "$r")" "$RSS_MAX"
done
used=$(awk '/^VmHWM/ {print $2}' "$T/ann.status")
check "the sender used $used kB at most" below "$used" "$RSS_MAX"

finish
