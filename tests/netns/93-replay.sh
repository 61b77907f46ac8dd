#!/bin/bash
# Proves: whoever recorded everything on the network and sends it all again, with the addresses it had, makes no
# node tell anything: not those who were there, not those who started anew, not one who never was.
. "$(dirname "$0")/lib.sh"
command -v tcpdump >/dev/null || skip_all "needs tcpdump"

HOSTS="a b c"
lan a b c d eve
record() {
    local h
    for h in $HOSTS; do
        ip netns exec "$P-$h" tcpdump --immediate-mode -B 16384 -U -n -i eth0 -w "$T/$h.pcap" udp 2>"$T/$h.cap.err" &
        PID[tcpdump-$h]=$!
        follow "$T/$h.cap.err" "listening on" 10
    done
}
stop_recording() {
    local h
    for h in $HOSTS; do
        kill -INT "${PID[tcpdump-$h]}"
        wait "${PID[tcpdump-$h]}" 2>/dev/null
        unset "PID[tcpdump-$h]"
    done
}
# again TAG...: the recording changes nothing at these. Counts grow as long as it is heard, which nobody waits for otherwise.
again() {
    local tag sent what=$1
    shift
    for tag; do cp "$T/$tag.out" "$T/$tag.before"; done
    sent=$(on eve python3 "$HERE/replay.py" eth0 "$T/a.pcap" "$T/b.pcap" "$T/c.pcap")
    # What came of it would be told after the hellos of two periods at most.
    pass 5
    check "$sent datagrams are sent again" below 200 "$sent"
    for tag; do check "$what: $tag tells nothing" cmp "$T/$tag.before" "$T/$tag.out"; done
}

record
KEEP="--state-dir $T/ann" start ann a
KEEP="--state-dir $T/bob" start bob b
KEEP="--state-dir $T/cat" start cat c
meet ann bob cat
for n in $(seq 20); do say ann "ann says $n"; say bob "bob says $n"; say cat "cat says $n"; done
for tag in ann bob; do check "$tag has it all" tells "$tag" message from=cat "text=cat says 20"; done
stop cat
check "cat left" tells ann left peer=cat
kill -KILL "${PID[bob]}"; wait "${PID[bob]}" 2>/dev/null; unset "PID[bob]"
check "bob is lost" tells ann lost peer=bob
stop_recording

again "who was there" ann
stop ann
KEEP="--state-dir $T/ann" start ann2 a
NAME=cat KEEP="--state-dir $T/cat" start cat2 c
check "a new run sees another" tells ann2 joined peer=cat
check "and the other way round" tells cat2 joined peer=ann2
pass 3
again "who started anew" ann2 cat2
for tag in ann2 cat2; do stop "$tag"; done
start dan d
check "dan is there" tells dan ready
capture d eth0
again "who never was" dan
captured nothing
for n in 1 2 3; do
    bytes() { tcpdump -nr "$T/cap" "$1" 2>/dev/null | grep -oP 'length \K[0-9]+' | awk '{ all += $1 } END { print all + 0 }'; }
    check "10.77.1.$n is sent no more than came from there" below "$(bytes "dst host 10.77.1.$n")" "$(($(bytes "src host 10.77.1.$n") + 1))"
done
finish
