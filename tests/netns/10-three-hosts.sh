#!/bin/bash
# Proves: three hosts on one switch, without a default route and without any option, see each other
# within a second; a line arrives at each of the others exactly once; and it travels as it should:
# as multicast, broadcast or unicast, from port 5000 + last octet, multicast with TTL 2.
# With keys as well.
. "$(dirname "$0")/lib.sh"

lan a b c
start ann a
start bob b
tells ann ready
tells bob ready
began=$(now_ms)
start cat c
check "all meet" meet ann bob cat
took=$(($(now_ms) - began))
check "within a second of the last start ($took ms)" below "$took" 1000

once() { # TEXT
    local to
    for to in bob cat; do
        check "$to hears '$1'" tells "$to" message from=ann "text=$1"
    done
    check "ann is told that both hold '$1'" tells ann delivered confirmed=2 online=2
    for to in bob cat; do is "$to heard '$1' once" "$(times "$to" message "text=$1")" 1; done
}

capture c eth0
say ann "by-multicast"
once "by-multicast"
sent=$(captured "by-multicast" | sort -u)
is "it left as multicast from 5001 with TTL 2" "$sent" "2 10.77.1.1 5001 239.192.7.7 5007"

stop ann
is "SIGTERM ends it with 143" "$STATUS" 143
check "bob is told that ann left" tells bob left peer=ann

rm "$T/ann.in"
start ann a --cast broadcast
meet ann bob cat
capture c eth0
say ann "by-broadcast"
once "by-broadcast"
sent=$(captured "by-broadcast" | cut -d' ' -f2- | sort -u)
is "it left as broadcast" "$sent" "10.77.1.1 5001 10.77.1.255 5255"
stop ann

rm "$T/ann.in"
start ann a --cast unicast
meet ann bob cat
capture a eth0
say ann "by-unicast"
once "by-unicast"
sent=$(captured "by-unicast" | cut -d' ' -f2- | sort -u | tr '\n' ';')
is "it left as one copy to each" "$sent" "10.77.1.1 5001 10.77.1.2 5002;10.77.1.1 5001 10.77.1.3 5003;"

finish
