#!/bin/bash
# Proves: while four processes flood a node as fast as they can, in an open group and in a keyed one, it does
# not grow, echoes what is typed, and shows everything that a member says; in a keyed group it does not even
# wake for what is not sealed with the group's tag. FLOOD_FOR=60 floods for so many seconds each.
. "$(dirname "$0")/lib.sh"
not_keyed "it has an open group and a keyed one of its own, always"

FLOOD_FOR=${FLOOD_FOR:-4}
LATENCY_MAX=${LATENCY_MAX:-250}
lan ann bob eve mal

# figure NAME WORD: a number from what echo.py printed, without its decimals.
figure() { awk -v want="$1" -v at="$2" '$1 == want { print int($at) }' "$T/ann.out"; }

# counted TAG NAME: a counter of a node that tells JSON.
counted() {
    local before; before=$(times "$1" stats)
    say "$1" /stats
    eventually more_stats "$1" "$before"
    grep '"event":"stats"' "$T/$1.out" | tail -n 1 | grep -oP "\"$2\":\K[0-9]+"
}
more_stats() { [ "$(times "$1" stats)" -gt "$2" ]; }

# under NAME KINDS OPTIONS...: ann in a terminal under these floods, bob talking.
under() {
    local name=$1 kinds=$2 n=0 kind from words; shift 2
    mkfifo "$T/ann.in"; : >"$T/ann.out"
    (for fd in "${IN[@]}"; do exec {fd}>&-; done
     exec python3 "$HERE/echo.py" "$UDPNODE" "$P-ann" -n ann --ephemeral "$@" <"$T/ann.in" >"$T/ann.out" 2>"$T/ann.err") &
    PID[ann]=$!
    exec {words}>"$T/ann.in"; IN[ann]=$words
    # One who is told JSON counts what comes; one who talks, beside it.
    start carl ann --address 10.77.1.1:6001 --commands "$@"
    capture mal eth0
    start bob bob "$@"
    check "$name: ann sees bob" hears ann 'shows bob'
    check "$name: bob sees ann" tells bob joined peer=ann
    tells bob joined peer=carl
    say bob "bob says 1"
    tells carl message "text=bob says 1"
    captured "" >/dev/null
    heard=$(counted carl heard)
    say ann begin
    for kind in $kinds; do
        n=$((n + 1)); from=eve; [ $((n % 2)) = 0 ] && from=mal
        other "flood$n" "$from" python3 "$HERE/hostile.py" "$kind" "$T/cap" "$FLOOD_FOR" \
            10.77.1.1:5001 10.77.1.1:6001 10.77.1.255:5255 239.192.7.7:5007
    done
    for kind in $(seq "$n"); do WITHIN=20 hears "flood$kind" floods; done
    seq -f "bob says %g" 2 $((FLOOD_FOR * 8)) >"$T/bob.more"
    talk bob "$T/bob.more" 90
    for kind in $(seq "$n"); do reap "flood$kind" $((FLOOD_FOR + 30)); is "$name: flood $kind ended" "$STATUS" 0; done
    say ann "bob $((FLOOD_FOR * 8))"
    sent=$(cat "$T"/flood*.out | awk '$1 == "sent" { all += $2 } END { print all }')
    WITHIN=30 check "$name: ann ends" hears ann '^status 0'
    heard=$(($(counted carl heard) - heard))
    echo "# $name: $sent datagrams sent in $FLOOD_FOR s ($kinds); $heard woke a node; $(grep -E '^(echo|rss|joined|lines)' "$T/ann.out" | tr '\n' ';')"
    echo "# $name: of those, $(counted carl unchecked) signatures were not looked at, $(counted carl forged) were forged, $(counted carl peers_refused) peers refused, $(times carl joined) joins"
    check "$name: keys are echoed, p99 of $(figure echo 5) keys" below "$(figure echo 3)" "$LATENCY_MAX"
    is "$name: every line of bob is shown" "$(figure lines 2)" $((FLOOD_FOR * 8))
    check "$name: the last of them at most ${LATE:-2} s after the end" below "$(figure lines 3)" $((${LATE:-2} * 1000 + 1))
    # Tables that are full and stay so, and a third of a kilobyte for each line that bob said, which is kept.
    local grows=$((${GROWTH:-512} + FLOOD_FOR * 8 / 3))
    check "$name: ann grew by no more than $grows kB" below "$(figure rss 3)" $(($(figure rss 2) + grows))
    for t in bob carl; do stop "$t"; is "$name: $t leaves as asked" "$STATUS" 143; done
    for t in ann bob carl; do end_input "$t"; done
    rm -f "$T"/*.in "$T"/flood*.out
    unset "IN[flood1]" "IN[flood2]" "IN[flood3]" "IN[flood4]"
}

under "open group" "garbage header garbage header"
under "open group, sprayed" "garbage spray header spray"
is "open group, sprayed: nobody is shown who does not prove that it lives" "$(figure joined 2) $(figure joined 3)" "2 0"
is "open group, sprayed: nor told to scripts" "$(times carl joined)" 2

"$UDPNODE" keygen "$T/key"
under "keyed group" "garbage stranger garbage stranger" --key-file "$T/key"
check "keyed group: what is not sealed for it wakes nobody" below "$heard" $((1000 * FLOOD_FOR))
under "keyed group, its tag known" "garbage sealed stranger sealed" --key-file "$T/key"

finish
