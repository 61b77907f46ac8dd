#!/bin/bash
# Proves: a host with two interfaces on one LAN, one with secondary addresses and one at the end of a
# point-to-point link say and show every text once, natively and in plain mode. One whose interfaces have one
# address is met behind each.
# Mostly waits.
FAMILIES=both
. "$(dirname "$0")/lib.sh"
[ -e /proc/net/if_inet6 ] || skip_all "this kernel has no IPv6"

for h in a twin b; do space $h; done
bridge br1
plug a eth0 br1 10.77.1.1/24
plug twin eth0 br1 10.77.1.2/24
plug twin eth1 br1 10.77.1.3/24
plug b eth0 br1 10.77.1.4/24
start ann a
start tom twin
start bob b
check "all meet" meet ann tom bob
eventually hears_ipv6 twin 2
for n in ann tom bob; do say $n "$n says it"; done
for n in ann tom bob; do for of in ann tom bob; do
    [ $n = $of ] || check "$n hears $of" tells $n message "text=$of says it"
done; done
# The last words come after any copy.
for n in ann tom bob; do say $n "$n has said it"; done
for n in ann tom bob; do for of in ann tom bob; do [ $n = $of ] || tells $n message "text=$of has said it"; done; done
for n in ann tom bob; do is "$n shows each text once" "$(times $n message)" 4; done
for n in ann tom bob; do is "$n met each once" "$(times $n joined)" 2; done
on twin ip addr add 10.77.1.33/24 dev eth0
on twin ip addr add 10.77.9.2/24 dev eth0
say tom "with secondary addresses"
for n in ann bob; do check "$n hears it" tells $n message "text=with secondary addresses"; done
say ann "to one with secondary addresses"
check "and is heard" tells tom message "text=to one with secondary addresses"
is "which is nothing to tell of" "$(cat "$T/tom.err"; grep -c warning "$T/tom.out")" 0
for n in ann tom bob; do stop $n; done

# Unnumbered: both of its interfaces have one address.
bridge br4
for h in un z; do space $h; done
plug un eth0 br1 10.77.1.9/24
plug un eth1 br4 10.77.1.9/24
plug z eth0 br4 10.77.1.44/24
rm -f "$T"/*.in
start uma un
start zoe z
start amy a
check "a host whose interfaces have one address meets those behind each" meet uma zoe
check "and they meet it" eval 'tells uma joined peer=amy && tells amy joined peer=uma'
check "from one port" eval '! grep "is taken" "$T/uma.out" "$T/uma.err"'
# By multicast as soon as both have said that they hear it so, which is within two of their hellos.
by_multicast() {
    for try in 1 2 3 4 5 6 7 8 9; do
        say uma "to both sides, $try"
        for n in zoe amy; do tells $n message "text=to both sides, $try" || return 1; done
        [ "$(times zoe message "text=to both sides, $try" cast=multicast)$(times amy message "text=to both sides, $try" cast=multicast)" = 11 ] && return
        sleep 0.5
    done
    return 1
}
check "both hear it, by multicast" by_multicast
say zoe "across"
check "and passes on what each side says" tells amy message "text=across"
for n in uma zoe amy; do stop $n; done

for cast in multicast broadcast; do
    rm -f "$T"/*.in
    start pam a --plain --cast $cast
    start pat b --plain --cast $cast
    for n in pam pat; do tells $n ready; done
    start pip twin --plain --cast $cast
    for n in pam pat; do check "$n hears one that comes by $cast" tells $n message plain=true "text=pip: Entering user"; done
    for n in pam pip; do say $n "$n says it"; say $n "$n says it"; say $n "$n has said it"; done
    for n in pam pat pip; do for of in pam pip; do
        [ $n = $of ] || check "$n hears $of" tells $n message plain=true "text=$of: $of has said it"
        [ $n = $of ] || is "as often as it was said" "$(times $n message "text=$of: $of says it")" 2
    done; done
    for n in pam pat; do is "$n is greeted once" "$(times $n message "text=pip: Entering user")" 1; done
    for n in pam pat pip; do stop $n; done
done

for h in left right; do space $h; done
ip -n "$P-left" link add ptp type veth peer name ptp netns "$P-right"
on left ip addr add 10.9.0.1 peer 10.9.0.2/32 dev ptp
on right ip addr add 10.9.0.2 peer 10.9.0.1/32 dev ptp
for h in left right; do on $h ip link set ptp up; done
start lea left
start rob right
check "the two ends of a link meet" meet lea rob
say lea "over the link"
check "and chat" tells rob message "text=over the link"
say rob "and back"
check "both ways" tells lea message "text=and back"
is "once" "$(times lea message)$(times rob message)" 11
finish
