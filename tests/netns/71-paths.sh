#!/bin/bash
# Proves: multicast that dies between two of five nodes while all talk costs no line; broadcast takes over, and
# where that dies too, copies by unicast to exactly those two; /paths, /why and /trace show it, and that it is over.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

NODES=(ann bob cat dan eve)
lan a b c d e
on c nft 'table inet t { chain i { type filter hook input priority 0; }; }' || skip_all "this kernel has no nftables"
on a nft 'table inet t { chain i { type filter hook input priority 0; }; }' || exit 1
for n in "${NODES[@]}"; do start "$n" "${n:0:1}" --commands; done
check "all meet" meet "${NODES[@]}"

declare -A ID=()
for n in "${NODES[@]}"; do tells "$n" ready && ID[$n]=$(grep -m1 -oP '"event":"ready","id":"\K[^"]*' "$T/$n.out"); done

more() { [ "$(times "$1" "$2")" -gt "$3" ]; }
# answer TAG COMMAND EVENT: its answer to a command that is answered with this event.
answer() {
    local before
    before=$(times "$1" "$3")
    say "$1" "$2"
    WITHIN=2 eventually more "$1" "$3" "$before"
    grep -P -- "$(event "$3")" "$T/$1.out" | tail -n 1
}

# shows TAG FROM TO CASTS: waits until /paths of TAG shows exactly these casts, unicast aside. WITHIN seconds (10).
shows() {
    eventually shows_now "$@" && return 0
    echo "# $1 shows $2 to $3: '$casts'"
    return 1
}
shows_now() {
    local link="\"from\":\"${ID[$2]}\",\"to\":\"${ID[$3]}\",\"segment\":\"eth0\",\"cast\""
    casts=$(answer "$1" /paths paths | grep -oP "$link:\"\K(broadcast|multicast)\"[^}]*\"fresh\":true" | cut -d'"' -f1 | tr '\n' ' ')
    [ "$casts" = "$4" ]
}

BOTH="broadcast multicast "
for of in ann bob cat; do check "$of sees that cat hears ann by both casts" shows "$of" ann cat "$BOTH"; done
why=$(answer ann "/why cat" why)
check "ann's messages reach cat by multicast" grep -q '"way":"multicast".*"because":"heard"' <<<"$why"
check "over no router, with the TTL as it was sent" grep -q '"cast":"multicast","fresh":true,.*"ttl_sent":2,"ttl_left":2,"hops":0' <<<"$why"

# both DROP: between ann and cat, in each direction.
both() {
    on c nft add rule inet t i ip saddr 10.77.1.1 ip daddr "$1" counter drop
    on a nft add rule inet t i ip saddr 10.77.1.3 ip daddr "$1" counter drop
}

say cat /trace
tells cat notice
# From here on ann and cat say a line each 20 ms, for 12 s in which the casts die.
SPEAKERS="ann cat"
check "all hear the first lines" begin 600
for n in $SPEAKERS; do talk "$n" "$T/$n.more" 20; done
both 239.192.7.7
# A hello of two seconds may come to be missed twice, and the third says so.
WITHIN=9 check "cat does not hear ann by multicast any more, ann knows" shows ann ann cat "broadcast "
check "bob knows as well" shows bob ann cat "broadcast "
check "and that bob is heard as before" shows bob bob cat "$BOTH"
check "ann's messages reach cat by broadcast" grep -q '"way":"broadcast"' <<<"$(answer ann "/why cat" why)"
both 10.77.1.255
WITHIN=8 check "cat does not hear ann by broadcast either" shows ann ann cat ""
paths=$(answer ann /paths paths)
check "ann's messages go by multicast, and as a copy to cat alone" \
    grep -q "\"carried\":\[{\"segment\":\"eth0\",\"cast\":\"multicast\",\"copies\":\[{\"id\":\"${ID[cat]}\"}\]}\]" <<<"$paths"
check "as people are shown as well" grep -q 'what I say goes by multicast, and copies by unicast to cat' <<<"$paths"
check "for cat hears no cast" grep -q '"way":"unicast".*"because":"unheard"' <<<"$(answer ann "/why cat" why)"
detour() {
    local of
    for of in ann cat bob; do
        eventually by_unicast "$of" || { echo "# $of does not show the detour"; return 1; }
    done
}
by_unicast() {
    answer "$1" /paths paths | grep -q "\"from\":\"${ID[ann]}\",\"to\":\"${ID[cat]}\",\"segment\":\"eth0\",\"cast\":\"unicast\"[^}]*\"fresh\":true"
}
check "everybody is shown the detour by unicast" detour
WITHIN=60 check "nobody missed a line, each heard each once and in order" all_hear "${NODES[@]}"
check "and nothing is called lost or past" untroubled "${NODES[@]}"
for how in repair said; do check "cat was shown lines that came as $how" tells cat message from=ann "errand=$how"; done
check "with hops and latency" grep -qP "$(event message from=ann).*\"hops\":0,\"clock_latency_ms\":-?[0-9]+" "$T/cat.out"

on a nft flush chain inet t i
on c nft flush chain inet t i
WITHIN=12 check "mended, cat hears ann by both casts" shows ann ann cat "$BOTH"
check "and ann's messages go to all by multicast" grep -q '"cast":"multicast","copies":\[\]' <<<"$(answer ann /paths paths)"
check "the drawing is a graph" grep -q '"text":"digraph udpnode {' <<<"$(answer ann '/paths --dot' paths)"
stop dan
gone() { grep -q '"state":"left".*"way":"none"' <<<"$(answer ann "/why dan" why)"; }
check "who has left is explained too" eventually gone

finish
