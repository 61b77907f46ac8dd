#!/bin/bash
# Proves: 1,000 TCP connections at once - silent ones, some that say a byte a second, frames that are too
# long, handshakes that no key has made - each opened again when it is closed, disturb neither the chat
# nor direct messages between others; the node keeps few of them, stays small, and says what goes on.
. "$(dirname "$0")/lib.sh"

COUNT=200
lan a b c
start ann a --tcp --commands
start bob b --tcp --commands
check "ann and bob meet" meet ann bob
other crowd c python3 "$HERE/crowd.py" 1000 10.77.1.1 5001 silent drip oversized handshake half
WITHIN=60 check "1,000 connections were made" hears crowd "holding 1000"
check "ann says who it is, once" tells ann warning "text=10.77.1.3 opens TCP connections that prove nothing: they are closed, the oldest first"

# --- everything arrives meanwhile --------------------------------------------------------------
SPEAKERS="ann bob"
began=$(now_ms)
for n in $SPEAKERS; do talk "$n" "$(lines "$n" "$COUNT")" 10; done
WITHIN=60 check "$COUNT lines each way arrive, once and in order" all_hear ann bob
for n in $(seq "$COUNT"); do echo "/tell ann direct $n"; done >"$T/to.ann"
for n in $(seq "$COUNT"); do echo "/tell bob direct $n"; done >"$T/to.bob"
seq -f "direct %g" "$COUNT" >"$T/wanted"
talk bob "$T/to.ann" 10
talk ann "$T/to.bob" 10
for n in ann bob; do
    WITHIN=60 tells "$n" message direct=true "text=direct $COUNT"
    direct_texts "$n" >"$T/got"
    check "$COUNT direct messages for $n arrive, once and in order" cmp "$T/wanted" "$T/got"
    WITHIN=30 check "and $n is told that its own did" tells "$n" delivered direct=true "mid=$COUNT" confirmed=1
done
echo "# $((2 * COUNT)) lines and $((2 * COUNT)) direct messages in $(($(now_ms) - began)) ms"
check "ann keeps $(ls "/proc/${PID[ann]}/fd" | wc -l) descriptors" below "$(ls "/proc/${PID[ann]}/fd" | wc -l)" 40
check "ann used $(peak ann) kB at most" below "$(peak ann)" 16384
is "nobody was lost" "$(times ann lost)$(times bob lost)" 00
is "it was said once" "$(times ann warning)" 1
say ann "/stats"
# In a keyed group they are not opened as far as that.
refused=handshakes_refused; keyed && refused=outsiders
check "ann counts handshakes that no key has made" hears ann "\"$refused\":[1-9]"
check "and connections that were closed" hears ann '"streams_refused":[1-9][0-9]{2}'
end_input crowd; reap crowd
grep -h '^closed' "$T/crowd.out" | sed 's/^/# the crowd: /'
for t in ann bob; do stop "$t"; is "$t leaves as ever" "$STATUS" 143; done

# --- how long single messages take -------------------------------------------------------------
latency() { # WHAT OPTIONS...
    local what=$1; shift
    timeout 90 python3 "$HERE/latency.py" 200 "$UDPNODE" "$P-a" "$P-b" "$@" >"$T/latency"
    read -r p50 p99 most <"$T/latency"
    echo "# $what: 200 single messages: p50 ${p50:-?} us, p99 ${p99:-?} us, most ${most:-?} us"
}
latency "alone" --tcp
other again c python3 "$HERE/crowd.py" 1000 10.77.1.2 5002 silent drip oversized handshake half
latency "with 1,000 connections" --tcp
check "a single message takes no second" below "${most:-9999999}" 1000000
end_input again; reap again

finish
