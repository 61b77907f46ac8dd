#!/bin/bash
# Proves: where nothing is wrong, the doctor says so in one line and ends with 0: asked of a node that
# runs and by itself, of two nodes and of three, across a node that relays, and on loopback. Where
# nobody is, it tells what it looked at and ends with 3.
# Mostly waits.
# With keys as well.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/doctor.sh"

lan a b c d
start ann a --commands
start bob b
meet ann bob
healthy "two nodes, asked of one" a
start cat c
meet ann bob cat
for h in a b c; do healthy "three nodes, asked of $h" $h; done
healthy "by itself, on a host without a node" d
ARGS="-n me --wait 4" healthy "and again" d
check "nobody thinks otherwise afterwards" tells ann left peer=me
doctor a -j
check "as JSON" python3 -c 'import json,sys; o=json.load(open(sys.argv[1])); assert o["healthy"] and not o["findings"] and len(o["hears"])==6, o' "$T/doctor"
is "a name" "$(on a "$UDPNODE" doctor bob; echo $?)" "healthy: nothing is wrong between us and bob
0"
is "nobody's name" "$(on a "$UDPNODE" doctor zoe; echo $?)" "nobody here is called zoe
3"
check "a drawing" eval 'on a "$UDPNODE" doctor --dot >"$T/dot" && grep -q "^digraph" "$T/dot" && grep -q bob "$T/dot"'
say ann "/doctor"
check "the same is answered in the chat" hears ann '"event":"doctor",.*"healthy":true'
say ann "still there"
check "and the chat goes on" tells cat message "text=still there"

for h in left mid right; do space "$h"; done
bridge br2
bridge br3
plug left eth0 br2 10.77.2.1/24
plug mid eth0 br2 10.77.2.9/24
plug mid eth1 br3 10.77.3.9/24
plug right eth0 br3 10.77.3.1/24
for h in left mid right; do start $h $h; done
check "the left side and the middle meet" meet left mid
check "the right side and the middle meet" meet right mid
for h in left mid right; do healthy "across a node that relays: $h" $h; done

space alone
for n in 1 2 3; do start lo$n alone --address 127.0.0.$n; done
check "three on loopback meet" meet lo1 lo2 lo3
ARGS="-n lo2" healthy "on loopback" alone
start two alone --address 127.0.0.2
check "a fourth takes another port" meet two lo2
ARGS="-n two" healthy "which is no fault" alone

space far
plug far eth0 br3 10.77.3.77/24
ip -n "$P-sw" link set p-far-eth0 nomaster
doctor far --wait 1
is "nobody: 3" "$STATUS" 3
check "and what was looked at" grep -q 'nobody is heard on eth0 (10.77.3.77/24): group 239.192.7.7:5007 joined, broadcast 10.77.3.255:5255' "$T/doctor"

finish
