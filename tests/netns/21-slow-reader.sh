#!/bin/bash
# Proves: a receiver whose reader takes 20 lines a second slows the sender down instead of losing
# lines: all arrive, once and in order, the sender ends with 0, and nobody's memory grows with what
# waits. With OLD=N, there are N lines of authors who have left when the slow one joins.
# Mostly waits.
. "$(dirname "$0")/lib.sh"

RSS_MAX=16384
SLOW=300
OLD=${OLD:-0}

lan a b c d e
for r in bob:b cat:c dan:d; do start "${r%:*}" "${r#*:}"; done
meet bob cat dan
if [ "$OLD" -gt 0 ]; then
    for i in $(seq "$OLD"); do echo "old $i"; done >"$T/lines"
    for old in one two; do feed "$old" a "$T/lines"; reap "$old" 30; done
fi

# 300 lines of 4,000 bytes: the slow reader needs 15 s for them.
pad=$(printf 'x%.0s' $(seq 4000))
for i in $(seq "$SLOW"); do echo "slow $i $pad"; done >"$T/long"
slow eve e --history 0
meet bob eve
began=$(now_ms)
feed ann a "$T/long"
reap ann 45
took=$((($(now_ms) - began) / 1000))
is "the sender ends with 0" "$STATUS" 0
check "the sender was paced ($took s)" [ "$took" -ge 4 ]
cut -d' ' -f1,2 "$T/long" >"$T/wanted"
for r in bob eve; do
    WITHIN=30 tells "$r" left peer=ann
    texts "$r" ann | cut -d' ' -f1,2 >"$T/got"
    check "$r heard $SLOW lines, each once and in order" cmp -s "$T/wanted" "$T/got"
done
is "eve asked for no history and was shown none" "$(times eve message history=true)" 0
for r in bob cat dan eve; do
    check "$r used $(peak "$r") kB at most" below "$(peak "$r")" "$RSS_MAX"
done

finish
