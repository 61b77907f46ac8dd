#!/bin/bash
# Proves: what happens to interfaces is followed at once, without a word too many: two segments are
# seen within a second, one that comes or changes its address is used well within one, one that is
# deleted and made anew is heard again; a firewall that refuses to send is told of once; and who
# stood still does not take everybody for lost.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

for h in left mid right far; do space "$h"; done
for b in br1 br2 br3; do bridge "$b"; done
plug left eth0 br1 10.77.1.1/24
plug mid eth0 br1 10.77.1.9/24
plug mid eth1 br2 10.77.2.9/24
plug right eth0 br2 10.77.2.1/24
plug far eth0 br3 10.77.3.1/24
start lea left
start rob right
start fay far
for n in lea rob fay; do tells $n ready; done
start mia mid
tells mia ready
began=$(now_ms)
check "one with two interfaces meets both sides" eval 'tells mia joined peer=lea && tells mia joined peer=rob'
took=$(($(now_ms) - began))
check "within a second ($took ms)" below $took 1000

# Each is told of once, in a warning.
warned() { cat "$T/mia.out" "$T/mia.err" | grep -cP "$1"; }
warns() { follow "$T/mia.out $T/mia.err" "$1" 5; }
at_once() { # WHAT REGEX COMMAND...
    local what=$1 regex=$2 began; shift 2
    began=$(now_ms)
    "$@"
    check "$what is noticed" warns "$regex"
    took=$(($(now_ms) - began))
    check "at once ($took ms)" below $took 400
}
plug mid eth2 br3
at_once "a third interface with an address" 'eth2 \(10.77.3.9:5009\) appeared' on mid ip addr add 10.77.3.9/24 dev eth2
check "who is there is met" tells mia joined peer=fay
say mia "to three sides"
for n in lea rob fay; do check "$n hears it" tells $n message "text=to three sides"; done
change() { on mid ip addr del 10.77.3.9/24 dev eth2; on mid ip addr add 10.77.3.10/24 dev eth2; }
at_once "another address" 'eth2.*10.77.3.10:5010' change
say mia "from another address"
check "fay hears it" tells fay message "text=from another address"
at_once "that one is gone" 'eth1 is gone: chatting over eth0, eth2' on mid ip link del eth1
say mia "without one of them"
for n in lea fay; do check "$n hears it" tells $n message "text=without one of them"; done

# Deleted and made anew before anybody looks: the same name, number and address.
number=$(on mid cat /sys/class/net/eth2/ifindex)
renew() {
    kill -STOP "${PID[mia]}"
    on mid ip link del eth2
    on mid ip link add eth2 index "$number" type veth peer name "p-mid-eth2b" netns "$P-sw"
    ip -n "$P-sw" link set p-mid-eth2b master br3 up
    on mid ip addr add 10.77.3.10/24 dev eth2
    on mid ip link set eth2 up
    kill -CONT "${PID[mia]}"
}
at_once "that one was made anew" 'eth2 changed' renew
is "with its old number" "$(on mid cat /sys/class/net/eth2/ifindex)" "$number"
say fay "to one made anew"
check "it hears casts again" tells mia message "text=to one made anew"
# As if a hundred things happened: they are looked at together.
for n in $(seq 100); do echo "link set eth2 down"; echo "link set eth2 up"; done | on mid ip -batch -
say mia "after a burst"
check "fay hears it" tells fay message "text=after a burst"
check "without a flood of words ($(warned eth2))" below "$(warned eth2)" 20
for n in lea fay; do is "$n heard each text once" "$(grep '"event":"message"' "$T/$n.out" | grep -oP '"text":"[^"]*"' | sort | uniq -d)" ""; done

on left nft 'table inet t { chain o { type filter hook output priority 0; meta l4proto udp numgen inc mod 2 == 0 counter drop; }; }' \
    || skip_all "this kernel has no nftables"
for n in $(seq 20); do say lea "refused $n"; done
WITHIN=30 check "what the firewall lets through arrives" tells mia message "text=refused 20"
pass 3
on left nft delete table inet t
refused() { cat "$T/lea.out" "$T/lea.err" | grep -c "not permitted"; }
is "that it refuses is told once" "$(refused)" 1
check "and lea runs" alive lea

kill -STOP "${PID[mia]}"
pass 10
kill -CONT "${PID[mia]}"
say mia "I stood still"
for n in lea fay; do check "$n hears one that stood still" tells $n message "text=I stood still"; done
is "which took nobody for lost" "$(times mia lost)" "$(times mia lost peer=rob)"
finish
