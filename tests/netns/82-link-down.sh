#!/bin/bash
# Proves: of three hosts that talk all the time, one has no link for 30 s: within 3 s of its return
# all have the same; what was said apart comes afterwards, once and in its author's order, and is
# neither history nor gone.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
command -v script >/dev/null || skip_all "needs script"

APART=150
SPEAKERS="ann bob cat"
lan a b c
start ann a
start bob b
person cat c
check "all meet" meet ann bob cat
for n in $SPEAKERS; do talk "$n" "$(lines "$n" $((APART + 10)))" 200; done
check "cat is heard" tells ann message "text=cat says 5"
ip -n "$P-sw" link set p-c-eth0 down
down=$(now_ms)
for n in $SPEAKERS; do WITHIN=45 tells "$n" sent "text=$n says $((APART + 5))"; done
check "ann lost cat" tells ann lost peer=cat
check "cat, who hears nobody, seems disconnected" tells cat disconnected online=2
is "and has lost nobody" "$(times cat lost)" 0
is "cat heard nothing of ann meanwhile" "$(texts cat ann | grep -c "says 5[0-9]")" 0
ip -n "$P-sw" link set p-c-eth0 up
up=$(now_ms)
echo "# apart for $((up - down)) ms"
check "it was 30 s" below 29000 $((up - down))
for n in $SPEAKERS; do for of in $SPEAKERS; do
    [ "$n" = "$of" ] || tells "$n" message "text=$of says $((APART + 5))"
done; done
took=$(($(now_ms) - up))
check "all have what was said apart $took ms after the return" below $took 3000
# shellcheck disable=SC2086
check "in the end all have all lines, each once and in order" all_hear $SPEAKERS
# shellcheck disable=SC2086
check "no gap, no history" untroubled $SPEAKERS
for n in $SPEAKERS; do is "$n tells no join twice" "$(times "$n" joined)" 2; done

finish
