#!/bin/bash
# Proves: two subnets behind a router that routes no multicast are one room when one node names one
# peer of the other side, by name: all see all, and what each says is heard by all. Who knows the
# other side by itself stays there when the one that named it is gone, finds it again after the router was
# away, and after a restart without naming anybody, from what it remembers. A peer beyond the second interface is met.
# Mostly waits.
# With keys as well.
. "$(dirname "$0")/lib.sh"

bridge br1
bridge br2
space router
plug router eth0 br1 10.77.1.254/24
plug router eth1 br2 10.77.2.254/24
on router sysctl -qw net.ipv4.ip_forward=1
for n in 1 2 3; do
    space "l$n"; plug "l$n" eth0 br1 "10.77.1.$n/24"; ip -n "$P-l$n" route add default via 10.77.1.254
    space "r$n"; plug "r$n" eth0 br2 "10.77.2.$n/24"; ip -n "$P-r$n" route add default via 10.77.2.254
done
ALL="l1 l2 l3 r1 r2 r3"

# A name for a peer: where we may, of a host; else of what every host calls itself.
PEER=10.77.2.2
if mkdir -p "/etc/netns/$P-l1" 2>/dev/null && echo "10.77.2.2 far.example" >"/etc/netns/$P-l1/hosts"; then
    PEER=far.example
    trap 'cleanup; rm -rf "/etc/netns/$P-l1"' EXIT
fi

state() { mkdir -p "$T/state/$1"; echo "--state-dir $T/state/$1"; }
for n in $ALL; do
    peer=; [ "$n" = l1 ] && peer="--peer $PEER"
    # shellcheck disable=SC2086
    KEEP=$(state "$n") start "$n" "$n" $peer
done
began=$(now_ms)
# shellcheck disable=SC2086
WITHIN=20 check "one peer named as $PEER: all six see all" meet $ALL
took=$(($(now_ms) - began))
check "within a few seconds: $took ms" below "$took" 20000
for n in $ALL; do say "$n" "$n is here"; done
heard_once() { # each hears each other, once
    local n of
    for n in $ALL; do for of in $ALL; do
        [ "$n" = "$of" ] && continue
        tells "$n" message "from=$of" "text=$of is here" || { echo "# $n does not hear $of"; return 1; }
        [ "$(times "$n" message "from=$of")" = 1 ] || { echo "# $n hears $of twice"; return 1; }
    done; done
}
check "what each says is heard by all, once" heard_once
is "nobody was lost" "$(cat "$T"/*.out | grep -c '"event":"lost"')" 0
answer() { on "$1" "$UDPNODE" -n "$1" who --json; }
is "who, asked of a node that runs" "$(answer r3 | grep -o '"online":true' | wc -l)" 5

# The one that named a peer is gone.
stop l1
for n in l2 r1; do tells "$n" left peer=l1; done
say l2 "without l1"
for n in l3 r1 r2 r3; do check "$n hears l2 without l1" tells "$n" message from=l2 "text=without l1"; done

# The router is gone, and there again.
ip -n "$P-router" link set eth0 down
for pair in "l2 r1" "r3 l3"; do
    # shellcheck disable=SC2086
    set -- $pair
    WITHIN=30 check "$1 loses $2 without the router" tells "$1" lost "peer=$2"
done
say l2 "near only"
check "the near side goes on" tells l3 message from=l2 "text=near only"
ip -n "$P-router" link set eth0 up
WITHIN=60 check "with the router both sides see each other again" eval 'tells l2 back peer=r1 && tells r3 back peer=l3'
WITHIN=30 check "and what was said meanwhile arrives" tells r2 message from=l2 "text=near only"

# Restarted without a name for anybody: its own side is down, so nobody else can tell it.
for n in l2 l3; do stop "$n"; done
check "it remembers those beyond, and only them: $(tr '\n' ' ' <"$T/state/l3/peers")" \
    test "$(cut -d' ' -f1 "$T/state/l3/peers" | tr '\n' ' ')" = "10.77.2.1:5001 10.77.2.2:5002 10.77.2.3:5003 "
rm -f "$T/l3.in"
for n in r1 r2 r3; do tells "$n" left peer=l3; done
NAME=l3 KEEP=$(state l3) start again l3
for n in r1 r2 r3; do WITHIN=20 check "after a restart it finds $n" tells again joined "peer=$n"; done
say again "back home"
for n in r1 r2 r3; do check "$n hears it" tells "$n" message from=l3 "text=back home"; done

# Beyond its second interface, which the other side knows alone, as a tunnel beside a LAN is.
bridge br3
space two
space beyond
plug two eth0 br1 10.77.1.9/24
plug two eth1 br3 10.88.0.2/24
plug beyond eth0 br3 10.88.0.1/24
ip -n "$P-beyond" addr add 10.99.0.9/32 dev lo
ip -n "$P-two" route add 10.99.0.9 via 10.88.0.1
start bea beyond --address 10.99.0.9
start tom two --interface eth0 --interface eth1 --peer 10.99.0.9
check "a peer beyond the second interface is met" eval 'tells tom joined peer=bea && tells bea joined peer=tom'
stop tom
stop bea

# Among bridges that lead nowhere the way that the system would take is tried again soon, whoever comes late.
space many
space late
plug many eth0 br1 10.77.1.8/24
plug late eth0 br2 10.77.2.8/24
for n in 0 1 2 3 4; do
    ip -n "$P-many" link add "docker$n" type bridge
    ip -n "$P-many" addr add "172.1$n.0.1/16" dev "docker$n"
    ip -n "$P-many" link set "docker$n" up
done
ip -n "$P-many" route add default via 10.77.1.254
ip -n "$P-late" route add default via 10.77.2.254
start max many --group 239.192.8.8 --peer 10.77.2.8
tells max ready
pass 0.7
start lea late --group 239.192.8.8
WITHIN=6 check "one with five bridges beside meets whom it named within 6 s" meet lea max
stop lea
stop max

# Who keeps nothing remembers nothing.
is "no other file is kept" "$(ls "$T/state/l3" | tr '\n' ' ')" "boot key lock machine peers pins "
start eve l1
WITHIN=15 check "who is told of by a neighbour comes in as well" tells eve joined peer=r1
finish
