#!/bin/bash
# Proves: 1,000 direct messages arrive, each once and in order, over TCP and over UDP with 20 % of
# all datagrams lost; single ones over TCP have no tail of 30 ms; what is said to one who is away
# waits, and is delivered once when that one is back; and one that stops for a while loses nothing.
# No direct message can be read on the wire, by TCP or by UDP; in a keyed group nothing can.
# With keys as well.
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip_all "needs nftables"

command -v tcpdump >/dev/null || skip_all "needs tcpdump"

MANY=1000
lan a b
{ echo "for everybody"; for i in $(seq "$MANY"); do echo "/tell bob direct $i"; done; } >"$T/tells"
for i in $(seq "$MANY"); do echo "direct $i"; done >"$T/wanted"

# record WAY: everything on the wire of b, until sealed looks at it.
record() {
    ip netns exec "$P-b" tcpdump --immediate-mode -B 16384 -U -n -i eth0 -w "$T/$1.pcap" 2>"$T/$1.err" &
    PID[tcpdump]=$!
    follow "$T/$1.err" "listening on" 10
}
# sealed WAY FILTER: what is for all is there to be read without a key, and much besides, but nothing of what is for one.
sealed() {
    kill -INT "${PID[tcpdump]}"
    wait "${PID[tcpdump]}" 2>/dev/null
    unset "PID[tcpdump]"
    local packets
    packets=$(tcpdump -nr "$T/$1.pcap" "$2" 2>/dev/null | wc -l)
    if keyed; then
        is "$1: with a key, not what is for everybody either" "$(grep -ac 'for everybody' "$T/$1.pcap")" 0
    else
        check "$1: what is for everybody can be read on the wire" grep -aq 'for everybody' "$T/$1.pcap"
    fi
    check "$1: of $packets packets" below 100 "$packets"
    is "$1: none shows what is for one" "$(grep -ac 'direct [0-9]' "$T/$1.pcap")" 0
}

# --- TCP ---------------------------------------------------------------------------------------
record TCP
start bob b --tcp
began=$(now_ms)
feed tcp a "$T/tells" --commands --tcp
reap tcp 60
echo "# TCP: $MANY in $(($(now_ms) - began)) ms"
is "TCP: the sender ends with 0" "$STATUS" 0
tells bob left peer=tcp
direct_texts bob >"$T/got"
check "TCP: $MANY arrived, each once and in order" cmp "$T/wanted" "$T/got"
is "TCP: whoever reads it finds its author by the address" "$(times bob message direct=true address=10.77.1.1:5001)" "$MANY"
is "TCP: every one is told as delivered" "$(times tcp delivered direct=true confirmed=1)" "$MANY"
stop bob
sealed TCP 'tcp and greater 100'
letters=$(tcpdump -nr "$T/TCP.pcap" 'udp and src host 10.77.1.1 and dst host 10.77.1.2 and greater 250' 2>/dev/null | wc -l)
check "TCP: $letters datagrams that may be letters" below "$letters" $((MANY / 10))

timeout 60 python3 "$HERE/latency.py" 200 "$UDPNODE" "$P-a" "$P-b" --tcp >"$T/latency"
read -r p50 p99 most <"$T/latency"
echo "# TCP: 200 single messages: p50 ${p50:-?} us, p99 ${p99:-?} us, most ${most:-?} us"
check "TCP: single messages have no tail of 30 ms" below "${p99:-99999}" 30000
timeout 60 python3 "$HERE/latency.py" 200 "$UDPNODE" "$P-a" "$P-b" >"$T/latency"
read -r p50 p99 most <"$T/latency"
echo "# UDP: 200 single messages: p50 ${p50:-?} us, p99 ${p99:-?} us, most ${most:-?} us"

# --- one that stops, and goes on ---------------------------------------------------------------
NAME=bob start slow b --tcp
NAME=ann start quick a --commands --tcp
tells quick joined peer=bob
tells slow joined peer=ann
kill -STOP "${PID[slow]}"
cat "$T/tells" >&"${IN[quick]}" &
tells quick sent direct=true "text=direct $MANY"
follow "$T/none" . 2 # long enough for repeats, too short to be lost
kill -CONT "${PID[slow]}"
WITHIN=30 tells slow message direct=true "text=direct $MANY"
direct_texts slow >"$T/got"
check "one that read nothing for 2 s got all, once and in order" cmp "$T/wanted" "$T/got"
stop slow; stop quick

# --- one that is away --------------------------------------------------------------------------
NAME=bob KEEP="--state-dir $T/bob.state" start here b --tcp
NAME=ann start waits a --commands --tcp
tells waits joined peer=bob
tells here joined peer=ann
kill -KILL "${PID[here]}"; reap here
WITHIN=20 tells waits lost peer=bob
say waits "/tell bob are you back?"
say waits "/tell bob and again"
check "what waits for one who is away is told" tells waits sent direct=true "text=and again" queued=true
is "and is not delivered" "$(times waits delivered direct=true)" 0
NAME=bob KEEP="--state-dir $T/bob.state" start back b --tcp
tells waits back peer=bob
check "it is delivered when that one is back" tells back message direct=true "text=and again"
check "and told so" tells waits delivered direct=true mid=2 confirmed=1
say waits "/tell bob more"
tells back message "text=more"
is "each once and in order" "$(direct_texts back | paste -sd,)" "are you back?,and again,more"
stop back; stop waits

# --- UDP with loss -----------------------------------------------------------------------------
for h in a b; do
    on "$h" nft 'table inet t { chain i { type filter hook input priority 0; ip protocol udp numgen random mod 100 < 20 counter drop; }; }' \
        || skip_all "this kernel has no nftables"
done
record UDP
NAME=bob start lossy b
began=$(now_ms)
feed udp a "$T/tells" --commands
reap udp 90
echo "# UDP with 20 % loss: $MANY in $(($(now_ms) - began)) ms"
is "UDP: the sender ends with 0" "$STATUS" 0
direct_texts lossy >"$T/got"
check "UDP: $MANY arrived, each once and in order" cmp "$T/wanted" "$T/got"
stop lossy
sealed UDP 'udp and greater 200'

finish
