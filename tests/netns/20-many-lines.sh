#!/bin/bash
# Proves: 2,000 lines from a pipe and from a file arrive at three receivers, each line once and in
# order, and the sender ends with 0; a receiver whose reader takes 20 lines a second slows the
# sender down instead of losing lines; and nobody's memory grows with what waits.
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

# 300 lines of 4,000 bytes; the slow reader takes 20 a second, so it needs 15 s.
SLOW=300
pad=$(printf 'x%.0s' $(seq 4000))
for i in $(seq "$SLOW"); do echo "slow $i $pad"; done >"$T/long"
space e
plug e eth0 br1 10.77.1.5/24
mkfifo "$T/slow.pipe"
python3 -c '
import sys, time
with open(sys.argv[1], "rb", buffering=0) as pipe, open(sys.argv[2], "ab", buffering=0) as out:
    rest = b""
    while True:
        while b"\n" not in rest:
            more = pipe.read(4096)
            if not more:
                sys.exit()
            rest += more
        line, rest = rest.split(b"\n", 1)
        out.write(line + b"\n")
        time.sleep(0.05)
' "$T/slow.pipe" "$T/eve.out" &
PID[reader]=$!
mkfifo "$T/eve.in"
: >"$T/eve.out"
launch eve e "$T/eve.in" "$T/slow.pipe" --json --history 0
exec {fd}>"$T/eve.in"
IN[eve]=$fd
meet bob eve
began=$(now_ms)
feed ann a "$T/long"
reap ann 60
took=$((($(now_ms) - began) / 1000))
is "slow reader: the sender ends with 0" "$STATUS" 0
check "slow reader: the sender was paced ($took s)" [ "$took" -ge 4 ]
cut -d' ' -f1,2 "$T/long" >"$T/wanted"
for r in bob eve; do
    WITHIN=30 tells "$r" left peer=ann
    texts "$r" ann | cut -d' ' -f1,2 >"$T/got"
    check "slow reader: $r heard $SLOW lines, each once and in order" cmp -s "$T/wanted" "$T/got"
done
for r in bob cat dan eve; do
    check "$r used $(peak "$r") kB at most" below "$(peak "$r")" "$RSS_MAX"
done

finish
