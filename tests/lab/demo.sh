#!/bin/bash
# Three nodes on loopback talk to each other: what each of them shows, side by side. In a group of
# their own, without a trace on disk. Ends by itself, with 0 if all went well.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
UDPNODE=${UDPNODE:-${CARGO_TARGET_DIR:-$ROOT/target}/release/udpnode}
GROUP=${DEMO_GROUP:-239.255.77.7:45077}
T=$(mktemp -d)
declare -A PID=() IN=()
trap 'for p in "${PID[@]}"; do kill "$p" 2>/dev/null; done; rm -rf "$T"' EXIT
trap 'exit 1' INT TERM

# label NAME: shows each line with the name of the node that printed it, and keeps it.
label() {
    local line
    while IFS= read -r line; do
        printf '%-5s| %s\n' "$1" "$line"
        printf '%s\n' "$line" >>"$T/$1.txt"
    done
}

start() { # NAME ADDRESS
    local fd
    mkfifo "$T/$1.in"
    : >"$T/$1.txt"
    (
        for fd in "${IN[@]}"; do exec {fd}>&-; done
        exec "$UDPNODE" -n "$1" -a "$2" -g "$GROUP" --ephemeral <"$T/$1.in" > >(label "$1") 2>&1
    ) &
    PID[$1]=$!
    exec {fd}>"$T/$1.in"
    IN[$1]=$fd
}

# sees NAME TEXT: waits until a node shows this.
sees() {
    local lines found watcher
    exec {lines}< <(exec timeout 15 tail -n +1 -s 0.05 -f "$T/$1.txt")
    watcher=$!
    grep -m1 -qF -- "$2" <&"$lines"
    found=$?
    exec {lines}<&-
    kill "$watcher" 2>/dev/null
    [ "$found" = 0 ] && return
    echo "demo: $1 did not show: $2"
    exit 1
}

# says NAME TEXT: types a line and waits until the two others show it.
says() {
    printf '%s> %s\n' "$1" "$2"
    printf '%s\n' "$2" >&"${IN[$1]}"
    local other
    for other in "${!PID[@]}"; do [ "$other" = "$1" ] || sees "$other" "$1: $2"; done
}

# leaves NAME: ends its input and waits for it.
leaves() {
    local fd=${IN[$1]} status
    printf '%s> (end of input)\n' "$1"
    exec {fd}>&-
    unset "IN[$1]"
    timeout 20 tail -s 0.05 --pid="${PID[$1]}" -f /dev/null || { echo "demo: $1 did not end"; exit 1; }
    wait "${PID[$1]}"
    status=$?
    unset "PID[$1]"
    [ "$status" = 0 ] || { echo "demo: $1 ended with $status"; exit 1; }
}

start ann 127.0.0.2
start bob 127.0.0.3
start cat 127.0.0.4
for who in ann bob cat; do
    for other in ann bob cat; do [ "$who" = "$other" ] || sees "$who" "* $other joined"; done
done
says ann "hello everybody: no server, no internet"
says bob "hi ann, this came by multicast over lo"
says cat "and each of us has it exactly once"
leaves ann
for who in bob cat; do sees "$who" "* ann left"; done
says bob "ann has left; we stay in touch"
leaves bob
sees cat "* bob left"
leaves cat
echo "demo: done"
