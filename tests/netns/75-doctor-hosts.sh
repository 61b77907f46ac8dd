#!/bin/bash
# Proves: the doctor names what is wrong on one host, asked there and elsewhere: an interface that does no
# multicast, a small MTU there or in between, an address without a broadcast, a port that another
# program holds, a wrong clock, another group, a key that was copied.
# Mostly waits.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/doctor.sh"
command -v cc >/dev/null || skip_all "needs a C compiler, for a wrong clock"

three
ip -n "$P-c" link set eth0 multicast off
WITHIN=15 eventually finds "no multicast flag: ann says" a "no-multicast-flag [cat, eth0]"
finds "cat says" c "no-multicast-flag [this machine, eth0]"
check "and what to do" grep -q 'ip link set dev eth0 multicast on' "$T/doctor"
ip -n "$P-c" link set eth0 multicast on
WITHIN=15 eventually healthy "it is set" a

ip -n "$P-c" link set eth0 mtu 1000
finds "a small MTU: cat says" c "mtu-too-small [this machine, eth0]"
finds "ann says" a "mtu-too-small [cat, eth0]"
ip -n "$P-c" link set eth0 mtu 1500
ip -n "$P-sw" link set p-c-eth0 mtu 1000
# A veth drops in both directions what is larger than the MTU of its other end.
finds "in between: cat says" c "mtu-too-small [from us to ann, eth0]" "mtu-too-small [from us to bob, eth0]"
finds "ann says" a "mtu-too-small [from us to cat, eth0]"
ip -n "$P-sw" link set p-c-eth0 mtu 1500
ip -n "$P-sw" link set br1 mtu 1500
healthy "MTUs fit" c

stop cat
space e
plug e eth0 br1 10.77.1.5/32
ip -n "$P-e" route add 10.77.1.0/24 dev eth0
start eve e
meet ann eve
finds "no broadcast address: ann says" a "no-broadcast-address [eve, eth0]"
finds "eve says" e "no-broadcast-address [this machine, eth0]"
stop eve

other holder c python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.77.1.3", 5003)); print("held", flush=True); input()'
hears holder held
start cleo c
meet ann bob cleo
finds "a port is taken" c "port-taken [this machine, eth0]"
check "by whom" grep -qE 'port 5003 on eth0 is held by python3[^ ]* \(process [0-9]+\)' "$T/doctor"
healthy "which is nobody else's trouble" a
say holder enough
reap holder
finds "it is free again" c "port-taken [this machine, eth0]"
check "and not held by anybody" grep -q 'port 5003 on eth0 was held when we came and is free now' "$T/doctor"
stop cleo

other holder2 c python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5007)); print("held", flush=True); input()'
hears holder2 held
start coco c
meet ann bob coco
finds "the port of the group is taken" c "port-taken [this machine, eth0]"
finds "which others are told, but not why" a "multicast-dropped [coco, eth0]"
say holder2 enough
reap holder2
check "it is heard when it is free again" tells coco warning "text=multicast on eth0 is heard now"
WITHIN=15 eventually healthy "and nothing is wrong any more" c
stop coco

cat >"$T/clock.c" <<'C'
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    int done = syscall(SYS_clock_gettime, id, at);
    if (id == CLOCK_REALTIME) at->tv_sec += 60;
    return done;
}
C
cc -shared -fPIC -o "$T/clock.so" "$T/clock.c" || exit 1
LD_PRELOAD="$T/clock.so" start tim d
meet ann bob tim
finds "a clock is wrong" a "clock-skew [between tim and us]"
check "by how much" grep -qE "tim's clock is (59.9|60.0) s ahead of ours" "$T/doctor"
stop tim

start zoe c --group 239.1.1.1:5009
# What is sealed for another group shows no name, nor which group.
called() { if keyed; then echo "[$2]"; else echo "[$1 ($2)]"; fi; }
finds "another group" a "other-group $(called zoe 10.77.1.3:5003)"
said='zoe (10.77.1.3:5003) is in the group 239.1.1.1:5009, and we are in 239.192.7.7:5007'
keyed && said='10.77.1.3:5003 seals with another key or for another group'
check "which one" grep -q "$said" "$T/doctor"
doctor c
is "who is alone with its group is told of all others" "$STATUS $(grep -o '^other-group \[.*\]' "$T/doctor" | tr '\n' ' ')" \
    "3 other-group $(called ann 10.77.1.1:5001) other-group $(called bob 10.77.1.2:5002) "
stop zoe

KEEP="--state-dir $T/one" NAME=dup start one c
check "dup joins" tells ann joined peer=dup
stop one
cp -a "$T/one" "$T/two"
KEEP="--state-dir $T/one" NAME=dup start one2 c
KEEP="--state-dir $T/two" NAME=dup start two d
WITHIN=15 eventually finds "two machines with one key" a "cloned-identity [dup]"
check "both are named" eval 'grep -q 10.77.1.3:5003 "$T/doctor" && grep -q 10.77.1.4:5004 "$T/doctor"'
stop two
stop one2

finish
