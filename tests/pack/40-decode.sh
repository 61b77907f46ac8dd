#!/bin/bash
# Proves: a decoder written from udpnode.7 alone reads every kind of datagram as the program does,
# derives the same ids and tags, and verifies the same signatures.
. "$(dirname "$0")/lib.sh"
needs python3

decode() { PYTHONDONTWRITEBYTECODE=1 python3 "$HERE/decode.py" "$@"; }
GOLDEN=$REPO/tests/golden

for hex in "$GOLDEN"/*.hex; do
    is "$(basename "$hex")" "$(decode "$hex")" "$(cat "${hex%.hex}.dump")"
done
check "there are golden datagrams" test "$(ls "$GOLDEN"/*.hex | wc -l)" -ge 8

all=$(decode --all "$GOLDEN"/*.hex)
is "every signature is good" "$(grep -c '"good": false' <<<"$all") $(grep -o '"good": true' <<<"$all" | wc -l)" "0 $(($(ls "$GOLDEN"/*.hex | wc -l) + 1))"
# What the lines of text leave out.
has() { grep -qF -- "$1" <<<"$all"; }
check "the bases of a hello" has '"casts": 7, "base": 24'
check "the clock of an entry" has '"wall_ms": 1769861045678'
check "the id of a sender, from its key" has '"from": "83561adb398fd87f8e7ed8331bff2fcb"'
tag=$(cd "$HERE" && PYTHONDONTWRITEBYTECODE=1 python3 -c 'import decode; print(decode.group_tag("239.192.7.7:5007").hex())')
is "every one has the tag of the default group" "$(grep -c "\"group\": \"$tag\"" <<<"$all")" "$(wc -l <<<"$all")"

# Letters, with no other cryptography than that of the script: bob is of golden.rs.
SEED=$(printf '02%.0s' {1..32})
for letter in 'direct:"mid": 300, "wall_ms": 1769861045678, "text": "only for you"' 'direct-part:"part": 2, "parts": 3' \
    'receipt:"boot": 9, "next": 17, "ahead": 9223372036854775813'; do
    check "bob opens ${letter%%:*}" grep -qF -- "${letter#*:}" <<<"$(decode --open "$SEED" 1099511627776 "$GOLDEN/${letter%%:*}.hex")"
done
check "not in a later run" grep -q 'not opened' <<<"$(decode --open "$SEED" 1099511627777 "$GOLDEN/direct.hex")"
check "and nobody else opens it" grep -q 'not opened' <<<"$(decode --open "${SEED/02/03}" 1099511627776 "$GOLDEN/direct.hex")"

# Flipped at offsets that nothing but the signature covers.
flip() { # FILE OFFSET
    tr -d '\n' <"$1" | python3 -c 'import sys; b = bytearray.fromhex(sys.stdin.read()); b[int(sys.argv[1])] ^= 1; print(b.hex())' "$2" >"$T/flipped"
    decode --all "$T/flipped"
}
for at in 8 63 -1; do
    check "byte $at of a bye is signed" grep -qF '"good": false' <<<"$(flip "$GOLDEN/bye.hex" $at)"
done
check "a body that is cut short is refused" grep -q malformed <<<"$(head -c -3 "$GOLDEN/nack.hex" >"$T/short"; decode "$T/short")"

finish
