#!/bin/bash
# Proves: interfaces that go down, vanish and appear while a node runs are followed: it does not
# exit, says one line for each change, and the chat goes on over what is left.
. "$(dirname "$0")/lib.sh"

for h in left mid right far; do space "$h"; done
for b in br1 br2 br3; do bridge "$b"; done
plug left eth0 br1 10.77.1.1/24
plug mid eth0 br1 10.77.1.9/24
plug mid eth1 br2 10.77.2.9/24
plug right eth0 br2 10.77.2.1/24
plug far eth0 br3
# An address may have a label that is no interface's name.
ip -n "$P-far" addr add 10.77.3.1/24 dev eth0 label eth0vip
start lea left
start mia mid
start rob right
start fay far
meet lea mia
meet rob mia

told() { cat "$T/mia.err" "$T/mia.out" | grep -v '"event":"\(joined\|left\|lost\|back\|message\|ready\|sent\|delivered\)"' | grep -c "$1"; }
gone_again() { [ "$(told 'eth1 is gone')" = 2 ]; }
still() { # TEXT
    say mia "$1"
    check "lea hears '$1'" tells lea message "text=$1"
    say lea "re: $1"
    check "mia hears 're: $1'" tells mia message "text=re: $1"
}

on mid ip link set eth1 down
still "eth1 is down"
check "it is told that eth1 is gone" hears mia 'eth1 is gone'
is "in one line" "$(told 'eth1 is gone')" 1
on mid ip link set eth1 up
say mia "eth1 is up"
WITHIN=15
check "rob hears mia again when eth1 is up" tells rob message "text=eth1 is up"
WITHIN=10
is "one line tells that it is back" "$(told 'eth1 (10.77.2.9:5009) appeared')" 1
on mid ip link del eth1
still "eth1 is deleted"
check "it is told that eth1 is gone again" eventually gone_again
is "and that eth1 came, once in all" "$(told 'eth1 (.*) appeared')" 1
plug mid eth2 br3 10.77.3.9/24
check "somebody on a new interface is met" tells mia joined peer=fay
is "one line tells of the new interface" "$(told 'eth2 (10.77.3.9:5009) appeared')" 1
say mia "eth2 is new"
check "and hears mia" tells fay message "text=eth2 is new"
say fay "hello from afar"
check "and is heard" tells mia message "text=hello from afar" segment=eth2
on mid ip addr del 10.77.3.9/24 dev eth2
on mid ip addr add 10.77.3.10/24 dev eth2
say mia "another address"
WITHIN=15 check "a changed address is followed" tells fay message "text=another address"
still "after all that"
check "mia never exited" alive mia
is "nothing arrived twice" "$(cat "$T"/lea.out | grep '"event":"message"' | grep -oP '"text":"[^"]*"' | sort | uniq -d)" ""

finish
