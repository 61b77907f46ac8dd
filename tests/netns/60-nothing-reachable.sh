#!/bin/bash
# Proves: no route, no carrier, no interface at all: a node is never wedged. When one comes back,
# the chat resumes, and what was said in between arrives.
# With keys as well.
. "$(dirname "$0")/lib.sh"

lan a b
start ann a
start bob b
meet ann bob
say ann "before"
check "they talk" tells bob message text=before

on a ip route flush table main
say ann "no route"
check "without any route it still arrives" tells bob message "text=no route"

ip -n "$P-sw" link set p-a-eth0 down
say ann "no carrier"
check "without carrier ann takes the line" tells ann sent "text=no carrier"
check "and runs" alive ann
ip -n "$P-sw" link set p-a-eth0 up
WITHIN=20 check "with carrier it arrives" tells bob message "text=no carrier"

on a ip link del eth0
say ann "no interface"
check "with no interface left ann takes the line" tells ann sent "text=no interface"
check "and runs" alive ann
plug a eth0 br1 10.77.1.1/24
WITHIN=20 check "when one comes back the line arrives" tells bob message "text=no interface"
say bob "and back"
WITHIN=20 check "both ways" tells ann message "text=and back"
is "each once" "$(times bob message)" 4
check "a handful of warnings, not a flood" below "$(cat "$T/ann.err" "$T/ann.out" | grep -ci 'unreachable\|warning')" 8

space dark
start dan dark --wait 2
check "a host with only lo starts" tells dan ready
space void
on void ip link set lo down
start eve void
check "on a host with nothing up it says why it does not run" \
    follow "$T/eve.err" 'no interface is up with an address, not even loopback: ip link set lo up' 10
reap eve 10
is "and ends as failed" "$STATUS" 1

finish
