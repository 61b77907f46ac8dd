#!/bin/bash
# Proves: 2,000 lines from a pipe and from a file arrive at three receivers, each line once and in
# order, and the sender ends with 0; and nobody's memory grows with what passes.
. "$(dirname "$0")/lib.sh"

LINES_SENT=2000
RSS_MAX=16384

lan a b c d
for i in $(seq "$LINES_SENT"); do echo "line $i of many"; done >"$T/lines"
for r in bob:b cat:c dan:d; do start "${r%:*}" "${r#*:}"; done
meet bob cat dan

for way in pipe feed; do
    "$way" "$way-ann" a "$T/lines"
    reap "$way-ann" 60
    is "$way: the sender ends with 0" "$STATUS" 0
    for r in bob cat dan; do
        tells "$r" left "peer=$way-ann"
        texts "$r" "$way-ann" >"$T/got"
        check "$way: $r heard $LINES_SENT lines, each once and in order" cmp -s "$T/lines" "$T/got"
    done
done

for r in bob cat dan; do
    check "$r used $(peak "$r") kB at most" below "$(peak "$r")" "$RSS_MAX"
done

finish
