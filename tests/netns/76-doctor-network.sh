#!/bin/bash
# Proves: the doctor names what is wrong with the network itself: a switch that snoops and nobody who
# asks, filtering by the reverse path, a TTL too small for the routers between. A node whose group goes
# silent joins it anew, and hears it again.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/doctor.sh"

# Two networks with a router for multicasts between.
for h in left near mid right; do space "$h"; done
bridge br2
bridge br3
plug left eth0 br2 10.77.2.1/24
plug near eth0 br2 10.77.2.2/24
plug mid eth0 br2 10.77.2.9/24
plug mid eth1 br3 10.77.3.9/24
plug right eth0 br3 10.77.3.1/24
on mid sysctl -qw net.ipv4.ip_forward=1
for h in left near; do ip -n "$P-$h" route add default via 10.77.2.9; done
ip -n "$P-right" route add default via 10.77.3.9
other router mid python3 "$HERE/mroute.py" 239.192.7.7 eth0 eth1
hears router routing || exit 1
start near near
start right right
check "multicast crosses the router" meet near right
healthy "a TTL of 2 passes one router" near
start left left --ttl 1
check "and so does unicast" meet left right
finds "a TTL of 1 does not: says left" left "ttl-too-small [this machine, eth0]"
check "and what to do" grep -q 'beyond 1 router: a TTL of 1 passes 0' "$T/doctor"
WITHIN=15 eventually finds "right says" right "ttl-too-small [left, eth0]"

# One link with addresses of two networks, and a filter.
space odd
plug odd eth0 br3 10.88.3.5/24
ip -n "$P-odd" route add 10.77.3.0/24 dev eth0
space by
plug by eth0 br3 10.77.3.2/24
ip -n "$P-by" route add 10.88.3.0/24 dev eth0
space filter
plug filter eth0 br3 10.77.3.3/24
on filter sysctl -qw net.ipv4.conf.eth0.rp_filter=1
for h in left near right; do stop $h; done
end_input router
for h in odd by filter; do start $h $h; done
check "two of three see the odd one" meet odd by
check "and each other" meet by filter
finds "the one that filters says" filter "reverse-path-filter [this machine, eth0]"
check "and what to do" grep -q 'sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0' "$T/doctor"
finds "one that sees both says" by "reverse-path-filter [filter, eth0]"

# A switch that snoops, was asked once, and never again.
three
ip -n "$P-sw" link set br1 type bridge mcast_snooping 1 mcast_querier 0 mcast_membership_interval 400
healthy "a switch that was never asked floods" a
space q
plug q eth0 br1 10.77.1.9/24
on q python3 "$HERE/query.py" 10.77.1.9
# Afterwards nobody is left whom the switch knows.
WITHIN=30 eventually finds "the group dies: ann says" a "snooping-without-querier [the network, eth0]"
finds "bob says" b "snooping-without-querier [the network, eth0]"
check "and what to do" grep -q 'mcast_querier 1' "$T/doctor"

finish
