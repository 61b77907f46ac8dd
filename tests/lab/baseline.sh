#!/bin/bash
# Prints what there is to compare later versions with: size of the program, memory when idle, time
# from exec to ready, and lines a second from one node to one, two and three, in namespaces.
. "$(dirname "$0")/../netns/lib.sh"

LINES_SENT=${LINES_SENT:-20000}
echo "program:         $(stat -c %s "$UDPNODE") bytes"

lan a b c d
best=
for n in 1 2 3 4 5; do
    : >"$T/first$n.out"
    began=$EPOCHREALTIME
    launch "first$n" a /dev/null "$T/first$n.out" --json --stay
    follow "$T/first$n.out" '"ready"' 10
    took=$(((${EPOCHREALTIME/[.,]/} - ${began/[.,]/}) / 1000))
    stop "first$n"
    [ -z "$best" ] || [ "$took" -lt "$best" ] && best=$took
done
echo "start to ready:  $best ms (best of 5, with ip netns exec and the watcher)"

for i in $(seq "$LINES_SENT"); do echo "line $i of a baseline, about as long as people write"; done >"$T/lines"
receivers=()
for r in bob:b cat:c dan:d; do
    name=${r%:*}
    start "$name" "${r#*:}"
    receivers+=("$name")
    meet "${receivers[@]}"
    [ "${#receivers[@]}" = 1 ] && tells "$name" ready && echo "resident, idle:  $(rss "$name") kB"
    sender=ann${#receivers[@]}
    feed "$sender" a "$T/lines"
    tells "$sender" sent seq=1
    began=$(now_ms)
    for to in "${receivers[@]}"; do WITHIN=60 tells "$to" message "from=$sender" "seq=$LINES_SENT"; done
    took=$(($(now_ms) - began))
    reap "$sender" 30
    echo "1 to ${#receivers[@]}:          $((LINES_SENT * 1000 / (took + 1))) lines/s ($LINES_SENT lines in $took ms, exit $STATUS)"
done
for to in "${receivers[@]}"; do echo "resident, after: $(rss "$to") kB ($to)"; done
