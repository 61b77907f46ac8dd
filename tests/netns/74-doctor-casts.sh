#!/bin/bash
# Proves: the doctor names the cast that is dropped, and on which side: at a host's door in or out,
# between two in the switch, or for all; and of two hosts alone the way on which it is lost.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/doctor.sh"
command -v nft >/dev/null || skip_all "needs nftables"

three
drop c input ip daddr 239.192.7.7 || skip_all "this kernel has no nftables"
finds "cat lets no multicast in: ann says" a "multicast-dropped [cat, eth0]"
finds "cat says of itself" c "multicast-dropped [this machine, eth0]"
finds "somebody who comes by says" d "multicast-dropped [cat, eth0]"
is "one of the others is well" "$(on a "$UDPNODE" doctor bob; echo $?)" "healthy: nothing is wrong between us and bob
0"
check "and it is said what to do" grep -q 'let in UDP port 5007 on cat.s machine: nft insert' "$T/doctor"
pass c
healthy "it is let in again" a

drop c output ip daddr 239.192.7.7
finds "cat lets no multicast out" a "multicast-dropped [cat, eth0]"
check "it is said in which direction" grep -q "cat's multicasts reach nobody" "$T/doctor"
finds "cat says of itself" c "multicast-dropped [this machine, eth0]"
pass c

drop c input ip daddr 10.77.1.255
finds "cat lets no broadcast in" b "broadcast-dropped [cat, eth0]"
finds "cat says of itself" c "broadcast-dropped [this machine, eth0]"
pass c
drop a output ip daddr 10.77.1.255
finds "ann lets no broadcast out" b "broadcast-dropped [ann, eth0]"
pass a

on sw nft 'table bridge doctor { chain c { type filter hook forward priority 0;
    iifname "p-a-eth0" oifname "p-b-eth0" ip daddr 239.192.7.7 drop; }; }' || exit 1
finds "the switch drops from ann to bob: cat says" c "multicast-dropped [from ann to bob, eth0]"
finds "ann says" a "multicast-dropped [from us to bob, eth0]"
on sw nft 'delete table bridge doctor; table bridge doctor { chain c { type filter hook forward priority 0;
    ip daddr 239.192.7.7 drop; }; }'
finds "the switch drops all multicast" d "multicast-dropped [the network, eth0]"
stop cat
WITHIN=20 check "cat left" tells ann left peer=cat
finds "of two it is the way" a "multicast-dropped [between bob and us, eth0]"
on sw nft delete table bridge doctor
healthy "and all is well again" b

finish
