# Sourced by the tests in this directory: hosts in network namespaces, nodes in them, and waiting
# for what they tell. Nothing sleeps: every wait is for an event, with a deadline; where something must
# not happen, or is measured, a time passes that is said (`pass`).
#
# Needs root, or a kernel that lets a user have namespaces of its own. Every namespace is named
# after this process; all of them, and all nodes, are gone when the script ends.
#
# With KEYED=1 all nodes of a test are in a keyed group: `KEYED=1 tests/netns/80-loss.sh` for one
# test, `KEYED=1 tests/run.sh netns` for all. Tests that choose what key there is, or none, say so
# with `not_keyed WHY`; what differs for a part of a test is asked with `keyed`.

set -u

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
UDPNODE=${UDPNODE:-${CARGO_TARGET_DIR:-$ROOT/target}/release/udpnode}
# What is imported leaves no trace in the tree.
export PYTHONDONTWRITEBYTECODE=1

skip_all() { echo "skip - $(basename "$0"): $*"; exit 77; }

[ -x "$UDPNODE" ] || { echo "not ok - $UDPNODE is missing: run make all"; exit 1; }
command -v ip >/dev/null || skip_all "needs iproute2"
if [ "$(id -u)" != 0 ] && [ -z "${UDPNODE_UNSHARED:-}" ]; then
    unshare -Urnm true 2>/dev/null || skip_all "needs root, or namespaces for users"
    UDPNODE_UNSHARED=1 exec unshare -Urnm bash "$0" "$@"
fi
[ -n "${UDPNODE_UNSHARED:-}" ] && mount -t tmpfs tmpfs /run

P=un$$
T=$(mktemp -d)
declare -A PID=() IN=()
SPACES=()
PASSED=0
FAILED=0

cleanup() {
    local p n
    for p in "${PID[@]}"; do kill -CONT "$p"; kill -KILL "$p"; wait "$p"; done 2>/dev/null
    for n in "${SPACES[@]}"; do ip netns del "$n" 2>/dev/null; done
    rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# --- keys --------------------------------------------------------------------------------------

# PROGRAM is the program itself. With keys, UDPNODE is one that becomes it (the same process), with the
# key of this test's group; but not where a test says a key itself, or plain mode, which has none.
PROGRAM=$(realpath "$UDPNODE")
keyed() { [ "${KEYED:-0}" = 1 ]; }
if keyed; then
    "$PROGRAM" keygen "$T/group.key" || { echo "not ok - no key for the group"; exit 1; }
    mkdir "$T/keyed"
    UDPNODE=$T/keyed/udpnode
    # Those who read captures open them with it.
    export GROUP_KEY=$T/group.key
    cat >"$UDPNODE" <<END
#!/bin/sh
for arg; do
    case \$arg in --plain | --key-file | --key-file=* | -k) exec '$PROGRAM' "\$@" ;; esac
done
exec '$PROGRAM' --key-file '$T/group.key' "\$@"
END
    chmod +x "$UDPNODE"
fi

# not_keyed WHY: ends a test that is not to be run with keys, if it is.
not_keyed() {
    keyed || return 0
    echo "######## $(basename "$0") IS NOT RUN WITH KEYS: $*"
    exit 0
}

# --- hosts -------------------------------------------------------------------------------------

# space NAME: a network namespace with nothing but lo, and lo up. IPv4 only, unless FAMILIES is "both"
# or "ipv6" (then it has addresses of IPv4 as far as it is given some).
space() {
    ip netns add "$P-$1" || { echo "not ok - no namespace"; exit 1; }
    SPACES+=("$P-$1")
    [ "${FAMILIES:-ipv4}" != ipv4 ] || families "$1" 1
    ip -n "$P-$1" link set lo up
}

# families HOST 0|1: whether its IPv6 is disabled, on what it has and will have.
families() {
    ip netns exec "$P-$1" sh -c 'for f in all default; do echo '"$2"' >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done'
}

# bridge NAME: a switch, in the namespace "sw".
bridge() {
    case " ${SPACES[*]} " in *" $P-sw "*) ;; *) space sw ;; esac
    ip -n "$P-sw" link add "$1" type bridge mcast_snooping 0
    ip -n "$P-sw" link set "$1" up
}

# plug HOST INTERFACE BRIDGE [ADDRESS/LEN]: a cable. No route but the link's own.
plug() {
    ip -n "$P-$1" link add "$2" type veth peer name "p-$1-$2" netns "$P-sw"
    ip -n "$P-sw" link set "p-$1-$2" master "$3" up
    [ -z "${4:-}" ] || ip -n "$P-$1" addr add "$4" dev "$2"
    ip -n "$P-$1" link set "$2" up
}

# lan HOST...: hosts h -> 10.77.1.N on one bridge, in this order from N = 1, each with eth0.
lan() {
    local n=0 h
    bridge br1
    for h; do n=$((n + 1)); space "$h"; plug "$h" eth0 br1 "10.77.1.$n/24"; done
}

on() { local h=$1; shift; ip netns exec "$P-$h" "$@"; }

# --- nodes -------------------------------------------------------------------------------------

# NAME: what it is called, if not as its tag. KEEP: options that say where its key is kept. FILES:
# how many it may have open.
launch() { # TAG HOST INPUT OUTPUT ARGS...
    local tag=$1 host=$2 input=$3 output=$4; shift 4
    (
        for fd in "${IN[@]}"; do exec {fd}>&-; done
        ulimit -n "${FILES:-1024}"
        # shellcheck disable=SC2086
        exec ip netns exec "$P-$host" env -u UDPNODE_NAME "$UDPNODE" -n "${NAME:-$tag}" ${KEEP:---ephemeral} "$@" \
            <"$input" >"$output" 2>"$T/$tag.err"
    ) &
    PID[$tag]=$!
}

# start TAG HOST ARGS...: a node that tells JSON and whose input stays open.
start() {
    local tag=$1 host=$2 fd; shift 2
    mkfifo "$T/$tag.in"
    : >"$T/$tag.out"
    launch "$tag" "$host" "$T/$tag.in" "$T/$tag.out" --json "$@"
    exec {fd}>"$T/$tag.in"
    IN[$tag]=$fd
}

# person TAG HOST ARGS...: as start, but at a terminal: lines wait for nobody to be there.
person() {
    local tag=$1 host=$2 fd; shift 2
    mkfifo "$T/$tag.in"
    : >"$T/$tag.out"
    (
        for fd in "${IN[@]}"; do exec {fd}>&-; done
        exec ip netns exec "$P-$host" script -qec "'$UDPNODE' -n $tag --ephemeral --json $* >'$T/$tag.out' 2>'$T/$tag.err'" /dev/null \
            <"$T/$tag.in" >/dev/null 2>&1
    ) &
    PID[$tag]=$!
    exec {fd}>"$T/$tag.in"
    IN[$tag]=$fd
}

# feed TAG HOST FILE ARGS...: a node whose input is a regular file.
feed() { local tag=$1 host=$2 file=$3; shift 3; : >"$T/$tag.out"; launch "$tag" "$host" "$file" "$T/$tag.out" --json "$@"; }

# pipe TAG HOST FILE ARGS...: the same through a pipe.
pipe() {
    local tag=$1 host=$2 file=$3; shift 3
    mkfifo "$T/$tag.in"
    : >"$T/$tag.out"
    launch "$tag" "$host" "$T/$tag.in" "$T/$tag.out" --json "$@"
    (for fd in "${IN[@]}"; do exec {fd}>&-; done; exec timeout 120 cat "$file" >"$T/$tag.in") &
}

# slow TAG HOST ARGS...: a node that tells JSON to a reader that takes 20 lines a second.
slow() {
    local tag=$1 host=$2 fd; shift 2
    mkfifo "$T/$tag.in" "$T/$tag.pipe"
    : >"$T/$tag.out"
    (for fd in "${IN[@]}"; do exec {fd}>&-; done; exec python3 "$HERE/slow.py" "$T/$tag.pipe" "$T/$tag.out") &
    PID[reader-$tag]=$!
    launch "$tag" "$host" "$T/$tag.in" "$T/$tag.pipe" --json "$@"
    exec {fd}>"$T/$tag.in"
    IN[$tag]=$fd
}

# other TAG HOST COMMAND...: a program that is not ours, its input open and its output in TAG.out.
other() {
    local tag=$1 host=$2 fd; shift 2
    mkfifo "$T/$tag.in"
    : >"$T/$tag.out"
    (
        for fd in "${IN[@]}"; do exec {fd}>&-; done
        exec ip netns exec "$P-$host" "$@" <"$T/$tag.in" >"$T/$tag.out" 2>"$T/$tag.err"
    ) &
    PID[$tag]=$!
    exec {fd}>"$T/$tag.in"
    IN[$tag]=$fd
}

# hears TAG REGEX: waits for a line of its output. WITHIN seconds (10).
hears() { follow "$T/$1.out" "$2" "${WITHIN:-10}"; }

# direct_texts TAG: the texts of all direct messages to it, in order.
direct_texts() { grep -P -- "$(event message direct=true)" "$T/$1.out" | grep -oP '"text":"\K[^"]*'; }

# plain_texts TAG: the texts of all plain messages, in order.
plain_texts() { grep -P -- "$(event message plain=true)" "$T/$1.out" | grep -oP '"text":"\K[^"]*'; }

say() { printf '%s\n' "$2" >&"${IN[$1]}"; }
# talk TAG FILE MS: says the lines of a file, one each MS milliseconds, while the test goes on.
talk() {
    python3 "$HERE/pace.py" "$3" <"$2" >&"${IN[$1]}" &
    PID[talk-$1]=$!
}

# lines TAG COUNT: a file of so many lines for TAG to say; prints its name.
lines() { seq -f "$1 says %g" "$2" >"$T/$1.lines"; echo "$T/$1.lines"; }

end_input() { local fd=${IN[$1]}; exec {fd}>&-; unset "IN[$1]"; }
alive() { kill -0 "${PID[$1]}" 2>/dev/null; }
rss() { awk '/^VmRSS/ {print $2}' "/proc/${PID[$1]}/status"; }
peak() { awk '/^VmHWM/ {print $2}' "/proc/${PID[$1]}/status"; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# reap TAG [SECONDS]: waits for its end and prints its exit status; 124 if it did not end.
# The status is kept: reap sets STATUS (a subshell could not wait for our child).
reap() {
    STATUS=124
    timeout "${2:-20}" tail -s 0.02 --pid="${PID[$1]}" -f /dev/null || return 0
    wait "${PID[$1]}" 2>/dev/null
    STATUS=$?
}

# stop TAG: asks it to leave and waits.
stop() { kill -TERM "${PID[$1]}" 2>/dev/null; reap "$1" 10; }

# --- what they tell ----------------------------------------------------------------------------

# follow "FILE..." REGEX SECONDS: waits until a line of the files fits.
follow() {
    local lines found watcher
    # shellcheck disable=SC2086
    exec {lines}< <(exec timeout "$3" tail -q -n +1 -s 0.02 -f $1 2>/dev/null)
    watcher=$!
    grep -m1 -qP -- "$2" <&"$lines"
    found=$?
    exec {lines}<&-
    kill "$watcher" 2>/dev/null
    return $found
}

# eventually COMMAND...: tries until it succeeds. WITHIN seconds (10).
eventually() {
    local until=$(($(now_ms) + ${WITHIN:-10} * 1000))
    until "$@"; do
        [ "$(now_ms)" -lt "$until" ] || return 1
        read -rt 0.02 <> <(:)
    done
    return 0
}

# hears_ipv6 HOST COUNT: so many sockets there are bound to the group ff05::7:7, port 5007.
hears_ipv6() { [ "$(on "$1" grep -c ': 000005FF000000000000000007000700:138F ' /proc/net/udp6)" = "$2" ]; }

# pass SECONDS: lets time pass in which something is measured, or must not happen.
pass() { read -rt "$1" <> <(:); return 0; }

# event KIND FIELD=VALUE...: a regex for one line of JSON.
event() {
    local regex="^(?=.*\"event\":\"$1\")" pair value; shift
    for pair; do
        value=${pair#*=}
        case $value in true | false) ;; '' | *[!0-9]*) value="\"$value\"" ;; esac
        regex="$regex(?=.*\"${pair%%=*}\":$value[,}])"
    done
    printf '%s' "$regex"
}

# tells TAG KIND FIELD=VALUE...: waits for such an event. WITHIN seconds (10).
tells() { local tag=$1; shift; follow "$T/$tag.out" "$(event "$@")" "${WITHIN:-10}"; }

# times TAG KIND FIELD=VALUE...: how many such events so far.
times() { local tag=$1; shift; grep -cP -- "$(event "$@")" "$T/$tag.out"; }

# texts TAG FROM: the texts of the messages of one author, in order.
texts() { grep -P -- "$(event message "from=$2")" "$T/$1.out" | grep -oP '"text":"\K[^"]*'; }

# all_hear TAG...: waits until each of these has told the last line of each of SPEAKERS; then each
# must have told all their lines, once and in order.
all_hear() {
    local to from
    for to; do for from in $SPEAKERS; do
        [ "$to" = "$from" ] || tells "$to" message "from=$from" "text=$(tail -n 1 "$T/$from.lines")" \
            || { echo "# $to does not hear the last line of $from"; return 1; }
    done; done
    for to; do for from in $SPEAKERS; do
        [ "$to" = "$from" ] && continue
        texts "$to" "$from" | diff "$T/$from.lines" - >"$T/diff" && continue
        echo "# $to heard of $from: $(head -n 5 "$T/diff" | tr '\n' ' ')"
        return 1
    done; done
}

# begin COUNT: each of SPEAKERS has so many lines to say, and says the first; when all have heard all
# of these, nobody is joining any more. The others are in $T/TAG.more.
begin() {
    local n of
    for n in $SPEAKERS; do tail -n +2 "$(lines "$n" "$1")" >"$T/$n.more"; say "$n" "$n says 1"; done
    for n in $SPEAKERS; do for of in $SPEAKERS; do
        [ "$n" = "$of" ] || tells "$n" message "text=$of says 1" || { echo "# $n does not hear $of"; return 1; }
    done; done
}

# untroubled TAG...: none of these told of messages that are gone, nor called history what was said
# after the first line.
untroubled() {
    local to past
    for to; do
        past=$(grep -P -- "$(event message history=true)" "$T/$to.out" | grep -vc ' says 1"')
        [ "$(times "$to" gap) $past" = "0 0" ] && continue
        echo "# $to: $(times "$to" gap) gaps, $past past messages"
        return 1
    done
}

# meet TAG...: waits until each of these has told that each other joined.
meet() {
    local a b
    for a; do for b; do
        [ "$a" = "$b" ] || tells "$a" joined "peer=$b" || { echo "# $a does not see $b"; return 1; }
    done; done
}

# --- capture -----------------------------------------------------------------------------------

# capture HOST INTERFACE: records what is on the wire to $T/cap, until captured.
capture() {
    ip netns exec "$P-$1" tcpdump --immediate-mode -U -n -i "$2" -w "$T/cap" udp 2>"$T/cap.err" &
    PID[tcpdump]=$!
    follow "$T/cap.err" "listening on" 10
}

# captured MARKER: ends the recording; "TTL SRC SPORT DST DPORT" of each datagram that holds it.
captured() {
    kill -INT "${PID[tcpdump]}"
    wait "${PID[tcpdump]}" 2>/dev/null
    unset "PID[tcpdump]"
    python3 "$HERE/pcap.py" "$T/cap" "$1"
}

# --- results -----------------------------------------------------------------------------------

# check DESCRIPTION COMMAND...: ok if the command succeeds.
check() {
    local what=$1; shift
    if "$@"; then
        PASSED=$((PASSED + 1)); echo "ok - $what"
    else
        FAILED=$((FAILED + 1)); echo "not ok - $what"; story
    fi
}

# is DESCRIPTION GOT WANTED
is() {
    if [ "$2" = "$3" ]; then
        PASSED=$((PASSED + 1)); echo "ok - $1"
    else
        FAILED=$((FAILED + 1)); echo "not ok - $1: got '$2', wanted '$3'"; story
    fi
}

below() { [ "$1" -lt "$2" ] || { echo "# $1 is not below $2"; return 1; }; }

# story: the last words of each node, for the reader of a failure.
story() {
    local f
    for f in "$T"/*.out "$T"/*.err; do
        [ -s "$f" ] && tail -n 4 "$f" | cut -c1-150 | cat -v | sed "s|^|#   $(basename "$f"): |"
    done
}

finish() {
    keyed && is "with keys: every node said so, that told what it is" \
        "$(grep -h '"event":"ready"' "$T"/*.out | grep -o '"keyed":[a-z]*' | sort -u)" '"keyed":true'
    echo "# $(basename "$0"): $PASSED ok, $FAILED not ok"
    [ "$FAILED" = 0 ] || exit 1
    exit 0
}
