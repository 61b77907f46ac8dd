#!/bin/bash
# Proves: what nodes really say, with loss and a newcomer, is what udpnode.7 describes: an
# independent decoder reads every datagram of a capture, and every signature is good. So it does in a
# keyed group, if it has the key, and without it reads nothing.
# With keys as well.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip_all "needs python3"
command -v tcpdump >/dev/null || skip_all "needs tcpdump"

lan a b c
capture a eth0
start ann a
start bob b
meet ann bob
say ann "$(printf 'long %.0s' {1..400})"
check "a long line arrives" tells bob message from=ann
# Every third datagram from ann is lost on its way to bob.
on b nft -f - <<'END'
table ip t { chain c { type filter hook input priority 0; ip saddr 10.77.1.1 numgen inc mod 3 == 0 drop; }; }
END
for n in {1..30}; do say ann "line $n"; tells ann sent "text=line $n"; done
check "all arrive" tells bob message "text=line 30"
start cat c
check "a newcomer is shown what was said" tells cat message from=ann "text=line 30" history=true
for node in ann bob cat; do stop $node; done

kill -INT "${PID[tcpdump]}"
wait "${PID[tcpdump]}" 2>/dev/null
unset "PID[tcpdump]"
KEY=()
if keyed; then
    python3 "$ROOT/tests/pack/decode.py" "$T/cap" >"$T/decoded"
    is "without the key every one is sealed, with one tag" \
        "$(grep -vc ' bytes sealed$' "$T/decoded") $(cut -d' ' -f1,2 "$T/decoded" | sort -u | wc -l)" "0 1"
    KEY=(--key "$T/group.key")
fi
python3 "$ROOT/tests/pack/decode.py" "${KEY[@]}" --all "$T/cap" >"$T/decoded"
is "every datagram is read" "$?" 0
is "as one of the kinds" "$(grep -o '^{"kind": "[a-z]*"' "$T/decoded" | sort -u | grep -o '[a-z]*"$' | tr -d '"\n')" \
    "answerbyeentriesfrontierhellonackprobe"
is "no signature is bad" "$(grep -c '"good": false' "$T/decoded")" 0
check "there were many" below 100 "$(grep -o '"good": true' "$T/decoded" | wc -l)"
check "parts of the long line among them" grep -q '"part": 0, "parts": 3' "$T/decoded"
biggest=$(tcpdump -nr "$T/cap" 2>/dev/null | grep -o 'length [0-9]*' | sort -nk2 | tail -n 1 | cut -d' ' -f2)
check "none is longer than 1200 bytes ($biggest)" below "$biggest" 1201

finish
