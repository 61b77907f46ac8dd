#!/bin/bash
# Proves: where a router passes multicast on, and the TTL is sufficient, two subnets are one room without
# naming anybody, and the group is carried by multicast across; with a TTL of 1 they are two.
# Mostly waits.
. "$(dirname "$0")/lib.sh"

command -v smcrouted >/dev/null || skip_all "needs smcrouted"
bridge br1
bridge br2
space router
plug router eth0 br1 10.77.1.254/24
plug router eth1 br2 10.77.2.254/24
on router sysctl -qw net.ipv4.ip_forward=1
for n in 1 2; do
    space "l$n"; plug "l$n" eth0 br1 "10.77.1.$n/24"; ip -n "$P-l$n" route add default via 10.77.1.254
    space "r$n"; plug "r$n" eth0 br2 "10.77.2.$n/24"; ip -n "$P-r$n" route add default via 10.77.2.254
done
cat >"$T/smcroute.conf" <<'END'
phyint eth0 enable
phyint eth1 enable
mroute from eth0 group 239.192.0.0/16 to eth1
mroute from eth1 group 239.192.0.0/16 to eth0
END
ip netns exec "$P-router" smcrouted -n -N -i "$P" -f "$T/smcroute.conf" -P "$T/smcroute.pid" -u "$T/smcroute.sock" \
    -l info >"$T/smcrouted.out" 2>"$T/smcrouted.err" &
PID[smcrouted]=$!
# It answers when it is there.
for _ in $(seq 100); do
    ip netns exec "$P-router" smcroutectl -u "$T/smcroute.sock" show routes >/dev/null 2>&1 && break
    timeout 0.1 tail -f /dev/null
done
check "the multicast router runs" alive smcrouted

# TTL 1: the router passes nothing on.
for n in l1 r1; do start "near-$n" "$n" --ttl 1; done
start near-l2 l2 --ttl 1
check "neighbours meet" tells near-l1 joined peer=near-l2
say near-l1 "only here"
check "and hear each other" tells near-l2 message "text=only here"
is "nobody beyond the router does" "$(times near-r1 joined)" 0
for n in l1 l2 r1; do stop "near-$n"; done

# TTL 2, as usual.
for n in l1 l2 r1 r2; do start "$n" "$n"; done
check "with a TTL of 2 both sides meet" meet l1 l2 r1 r2
# It takes a hello to know that multicast reaches everybody.
by_multicast() { # a line goes across by multicast within ten tries
    local n
    for n in $(seq 10); do
        say l1 "line $n"
        tells r2 message from=l1 "text=line $n" || return 1
        tells r2 message from=l1 "text=line $n" cast=multicast && return 0
    done
    return 1
}
WITHIN=2 check "what is said crosses by multicast" by_multicast
check "both ways" eval 'say r1 "back"; tells l2 message from=r1 text=back'
is "nobody was lost" "$(cat "$T"/[lr]?.out | grep -c '"event":"lost"')" 0
finish
