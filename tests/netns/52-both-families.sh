#!/bin/bash
# Proves: IPv4 and IPv6 at once: a peer known by both is one peer, each text is shown once and cast
# once, and where one family fails the other carries it; one who has both passes on what is said
# between those who have but one; the two groups of a room are one room, other groups are not; and
# two nodes stay within what a quiet group may send.
# Mostly waits.
FAMILIES=both
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"
[ -e /proc/net/if_inet6 ] || skip_all "this kernel has no IPv6"

lan a b c
families c 1
start ann a --commands
start bob b --commands
check "two meet" meet ann bob
for h in a b; do check "$h listens to the group of IPv6 as well" eventually hears_ipv6 $h 1; done
for h in a b; do
    on $h nft 'table inet t { counter v4 { }; counter v6 { }; counter one { };
        chain o { type filter hook output priority 0;
            ip daddr { 239.192.7.7, 10.77.1.255 } udp dport { 5007, 5255 } counter name v4
            ip6 daddr ff05::7:7 udp dport 5007 counter name v6
            ip daddr { 10.77.1.1, 10.77.1.2 } meta l4proto udp counter name one
            ip6 daddr fe80::/10 meta l4proto udp counter name one; }; }' || skip_all "this kernel has no nftables"
done
packets() { on "$1" nft list counter inet t "$2" | grep -oP 'packets \K[0-9]+'; }
check "hellos go by IPv6" eventually eval '[ "$(packets a v6)" -gt 2 ]'
casts() { echo $(($(packets a v4) + $(packets a v6) + $(packets b v4) + $(packets b v6))); }
ones() { echo $(($(packets a one) + $(packets b one))); }
before=$(casts) unicasts=$(ones)
pass 8
echo "# two quiet nodes in 8 s: $(($(casts) - before)) casts, $(($(ones) - unicasts)) unicasts"
check "at most 8 casts a second" below $(($(casts) - before)) 65
check "at most 5 unicasts a second and node" below $(($(ones) - unicasts)) 81

start cat c
check "a third one meets them" meet ann bob cat
is "who has IPv6 disabled does not, and says nothing of it" "$(on c grep -c 138F /proc/net/udp6) $(wc -c <"$T/cat.err")" "0 0"
is "nor does anybody else" "$(cat "$T"/ann.err "$T"/bob.err)" ""

for n in $(seq 10); do say ann "line $n"; done
check "bob hears ann" tells bob message from=ann "text=line 10"
check "cat hears ann" tells cat message from=ann "text=line 10"
check "all confirm" tells ann delivered confirmed=2 online=2
for to in bob cat; do is "$to heard each line once" "$(texts $to ann | sort | uniq -c | awk '$1 != 1 || 1 { n += $1 } END { print n, NR }')" "10 10"; done
for n in ann bob; do is "$n met each once" "$(times $n joined)" 2; done

on b nft 'table ip t { chain i { type filter hook input priority 0; udp dport != 0 counter drop; }; }' || exit 1
say ann "IPv4 is broken"
WITHIN=20 check "where IPv4 is broken bob still hears ann" tells bob message from=ann "text=IPv4 is broken"
say bob "I hear"
WITHIN=20 check "and ann hears bob" tells ann message from=bob "text=I hear"
by_v6() { grep -P -- "$(event message from=ann)" "$T/bob.out" | tail -n 1 | grep -q '"address":"\[fe80:'; }
more() { say ann "more $1"; WITHIN=10 tells bob message from=ann "text=more $1"; }
check "then by IPv6" eval 'for n in 1 2 3 4 5 6 7 8; do more $n || break; by_v6 && break; done; by_v6'
say cat "from IPv4 alone"
WITHIN=20 check "ann passes on what one says who has IPv4 alone" tells bob message from=cat "text=from IPv4 alone"
is "neither lost the other" "$(times ann lost peer=bob)$(times bob lost peer=ann)" 00
on b nft delete table ip t

stop ann; stop bob; stop cat
space d; plug d eth0 br1 10.77.1.4/24
start dan d -g ff05::7:7
start eve b -g 239.192.7.7
start fay a -g 239.192.7.8 --commands
check "the two groups of a room are one room" meet dan eve
for h in d b; do eventually hears_ipv6 $h 1; done
say dan "here"
check "they hear each other" tells eve message from=dan text=here
say fay /stats
check "another group hears nothing" tells fay stats
is "of them nor they of it" "$(times fay joined) $(times dan joined) $(times eve joined)" "0 1 1"
finish
