#!/bin/bash
# Proves: hosts that have nothing but link-local addresses of IPv6 chat: natively, over streams, by
# unicast where multicast is dropped, in plain mode, several on one host, and with the address and
# port that were asked for. An address that is not ready yet is waited for in silence. One on whose host another
# program holds the port of the group is met by what it casts itself.
# Mostly waits.
FAMILIES=ipv6
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"
[ -e /proc/net/if_inet6 ] || skip_all "this kernel has no IPv6"

bridge br1
for h in a b c; do space $h; plug $h eth0 br1; done
ll() { on "$1" ip -6 -o address show dev eth0 scope link | grep -oP 'fe80:[^/ ]*'; }
ready() { [ -n "$(on "$1" ip -6 -o address show dev eth0 scope link -tentative)" ]; }

# Started while the addresses are still tentative.
start ann a --tcp
start bob b --tcp --commands
check "two that have link-local addresses alone meet" meet ann bob
is "without a word about addresses that were not ready" "$(grep -c 'cannot use' "$T"/*.out "$T"/*.err | grep -vc ':0$')" 0
say ann "by IPv6"
check "bob hears ann" tells bob message from=ann "text=by IPv6" segment=eth0
check "and ann is told so" tells ann delivered confirmed=1 online=1
say bob "/tell ann a word"
check "a direct message arrives" tells ann message direct=true "text=a word"
check "by a stream of IPv6" eval 'on b ss -tnH | grep -q fe80'

start dan b
check "a second node on a host meets both" meet ann bob dan
say dan "from the same host"
for n in ann bob; do check "$n hears it" tells $n message "text=from the same host"; done

on c nft 'table inet t { chain i { type filter hook input priority 0; ip6 daddr ff05::7:7 counter drop; }; }' || skip_all "this kernel has no nftables"
for h in a b c; do eventually ready $h; done
start cat c --peer "[$(ll a)%eth0]:$(grep -oP '\]:\K[0-9]+' "$T/bob.out" | head -n 1)" --address "[$(ll c)%eth0]:6001"
check "one that hears unicast alone meets ann" meet ann cat
check "at the address and port it asked for" follow "$T/cat.out" '"addresses":\["\[fe80:[^"]*\]:6001"\]' 5
say ann "to all"
check "and hears" tells cat message "text=to all"
for n in ann bob cat dan; do stop $n; done

start eve a --plain -g ff05::7:7
start fay b --plain -g ff05::7:7
for n in eve fay; do tells $n ready; done
check "plain mode speaks IPv6 too" eval 'say eve "plain words"; tells fay message plain=true "text=eve: plain words"'
is "once" "$(times fay message "text=eve: plain words")" 1
for h in d e; do space $h; plug $h eth0 br1; done
other holder d python3 -c 'import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 5007)); print("held", flush=True); input()'
hears holder held
for h in d e; do eventually ready $h; done
start dot d
check "one that cannot listen for the group says so" hears dot 'no multicast on eth0: cannot listen at .ff05::7:7.:5007: .* by python3'
start eli e
check "it meets another all the same: what it casts is heard" meet dot eli
say dot "heard though deaf"
check "by what it says as well" tells eli message "text=heard though deaf" cast=multicast
say eli "by unicast"
check "and it hears the other" tells dot message "text=by unicast" cast=unicast
say holder enough
reap holder
for n in dot eli; do stop $n; done

for h in x y; do
    space $h; plug $h eth0 br1
    on $h ip link set eth0 down address 02:00:00:00:00:99
done
on x ip link set eth0 up
eventually ready x
on y ip link set eth0 up
start yan y
check "an address that another machine has is told of" eval 'WITHIN=20 hears yan "cannot use .fe80::ff:fe00:99%2.:5153 on eth0: it is not ready, or another machine has it"'
on x ip link set eth0 down
on y ip link set eth0 address 02:00:00:00:00:98
on y ip link set eth0 down
on y ip link set eth0 up
check "and used when it has another" hears yan 'fe80::ff:fe00:98%2.:5152. appeared'
is "each told once" "$(grep -c warning "$T/yan.out")" 2
check "who names no interface that exists is told" eval '! on a "$UDPNODE" --ephemeral --peer fe80::1%eth7 </dev/null 2>"$T/no.err" && grep -q "there is no interface .eth7" "$T/no.err"'
finish
