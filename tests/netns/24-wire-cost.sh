#!/bin/bash
# Proves: where nothing is lost, a line costs one cast: of 1,000 lines, one each 10 ms, each is cast
# about once, and all bytes that a listener sees are not more than twice those of the entries; of
# 20,000 lines from a pipe many share a datagram, and that is cast once as well.
. "$(dirname "$0")/lib.sh"
command -v tcpdump >/dev/null || skip_all "needs tcpdump"

lan a b c d
for r in bob:b cat:c dan:d; do start "${r%:*}" "${r#*:}"; done
check "all meet" meet bob cat dan

# cost TAG COUNT: what a listener sees while TAG says so many lines, and what TAG sees.
cost() {
    local at
    for r in bob cat dan; do WITHIN=60 tells "$r" message "from=$1" "seq=$2"; done
    WITHIN=20 check "$1: all confirmed" tells "$1" delivered "seq=$2" confirmed=3 online=3
    for at in listener speaker; do
        kill -INT "${PID[$at]}"
        wait "${PID[$at]}" 2>/dev/null
        unset "PID[$at]"
        python3 "$HERE/cost.py" "$T/$at" "$2" | tee "$T/$at.cost" | sed "s/^/# $at: /"
    done
}
record() { # HOST FILE
    ip netns exec "$P-$1" tcpdump --immediate-mode -B 16384 -U -n -i eth0 -w "$T/$2" udp 2>"$T/$2.err" &
    PID[$2]=$!
    follow "$T/$2.err" "listening on" 10
}
# Sealing makes each datagram, the short ones that confirm as well, 42 bytes longer.
TWICE=201; keyed && TWICE=206
# figure FILE NAME: a figure that cost.py printed, in hundredths.
figure() { awk -v name="$2" '$1 == name { printf "%d", $2 * 100 + 0.5 }' "$T/$1.cost"; }

start ann a
check "ann is met" meet ann bob cat dan
record a speaker
record b listener
seq -f "a line of usual length, number %g" 1000 >"$T/ann.lines"
talk ann "$T/ann.lines" 10
cost ann 1000
check "an entry is cast about once for a line" below "$(figure listener entries)" 105
check "but once" below 99 "$(figure listener entries)"
check "all bytes are not above twice those of the entries" below "$(figure listener overhead)" "$TWICE"
stop ann

record a speaker
record b listener
seq -f "a line of usual length, number %.0f" 20000 >"$T/eve.lines"
pipe eve a "$T/eve.lines"
cost eve 20000
reap eve
is "the sender ends with 0" "$STATUS" 0
check "a piped line takes a tenth of a cast at most" below "$(figure listener entries)" 11
check "all bytes are not above twice those of the entries" below "$(figure listener overhead)" "$TWICE"

finish
