#!/bin/bash
# Fuzzes with libFuzzer and says what came of it: what was tried, seconds, coverage and crashes of each target.
#
#   make fuzz                                   every target: FUZZ_RUNS things, or until FUZZ_SECONDS have passed
#   FUZZ_RUNS=100000 make fuzz                  a short run
#   FUZZ_TARGETS="group keyed" make fuzz        some of them
#   FUZZ_KEEP=1 make fuzz                       what was found new is merged into tests/fuzz/corpus
#
# 10^8 each, or eight hours in all, whichever comes first: what was really run is said. An input has several things to
# be tried where a live node or group is needed for them: datagrams, texts, acts of a group. Needs a C++ compiler and
# python3. FUZZ_DIR keeps the corpora that grow from night to night, how much was tried in all, and what crashed.
set -u
cd "$(dirname "$0")/../.." || exit 1

ALL="datagram group keyed typed files screen streams"
FUZZ_TARGETS=${FUZZ_TARGETS:-$ALL}
FUZZ_RUNS=${FUZZ_RUNS:-100000000}
FUZZ_SECONDS=${FUZZ_SECONDS:-28800}
FUZZ_JOBS=${FUZZ_JOBS:-$(nproc)}
TARGET=${CARGO_TARGET_DIR:-$PWD/target}
FUZZ_DIR=${FUZZ_DIR:-$TARGET/fuzz-found}
ENGINE=$TARGET/fuzz/release/udpnode-fuzz
# What the engine returns when it is interrupted.
INTERRUPTED=72
# The longest input that is looked for, in bytes: twice as many are tried of half as long ones. In mod.rs of the targets
# stands how long they may be at most.
declare -A LEN=([typed]=512 [files]=1024 [screen]=512 [streams]=1024)
# Of the time of a small target most went into weighing inputs: twice as many are tried without, and more is found.
# Nor is there a reason to begin with short ones: a group that lives already is what most is done with.
FAST=(-entropic=0 -reduce_inputs=0 -len_control=0)
# As this machine can do best.
export RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-cpu=native"

export RUSTC_WRAPPER=$PWD/tests/fuzz/rustc.sh
"${CARGO:-cargo}" build --release --locked --manifest-path tests/fuzz/Cargo.toml --target-dir "$TARGET/fuzz" || exit 1

unpack() { # FILE DIRECTORY: a line of digits each becomes a file
    python3 - "$1" "$2" <<'END'
import hashlib, pathlib, sys
for line in open(sys.argv[1]):
    if not line.startswith("#"):
        data = bytes.fromhex(line)
        pathlib.Path(sys.argv[2], hashlib.sha1(data).hexdigest()).write_bytes(data)
END
}

# one TARGET SECONDS: fuzzes, and leaves a line about it in TARGET.told.
one() {
    local name=$1 seconds=$2 dir=$FUZZ_DIR/$1 began=$SECONDS status inputs tried things engine
    mkdir -p "$dir/corpus" "$dir/crashes"
    unpack "tests/fuzz/corpus/$name.hex" "$dir/corpus"
    rm -f "$dir/tried"
    UDPNODE_FUZZ=$name UDPNODE_FUZZ_TRIED=$dir/tried "$ENGINE" "$dir/corpus" -artifact_prefix="$dir/crashes/" -runs="$FUZZ_RUNS" \
        -max_total_time="$seconds" -max_len="${LEN[$name]:-4096}" -timeout=10 -rss_limit_mb=1024 "${FAST[@]}" \
        -print_final_stats=1 -reload=0 -verbosity=1 >"$dir/log" 2>&1 &
    engine=$!
    # An input has several things to be tried: when they are enough the engine is stopped, as by a key.
    while sleep 1 && kill -0 "$engine" 2>/dev/null; do
        tried=0
        [ ! -s "$dir/tried" ] || read -r tried things <"$dir/tried"
        [ "${tried:-0}" -lt "$FUZZ_RUNS" ] || kill -INT "$engine"
    done
    wait "$engine"
    status=$?
    [ "$status" != "$INTERRUPTED" ] || status=0
    [ ! -s "$dir/tried" ] || read -r tried things <"$dir/tried"
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log" | tail -n 1)
    # Ended by a crash, libFuzzer says how far it was in its last report only.
    [ -n "$inputs" ] || inputs=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$dir/log" | tail -n 1)
    [ -z "${tried:-}" ] || echo "$tried" >>"$dir/nights"
    printf '%-9s %12s %-9s in %10s inputs %7s s %8s/s   cov %6s   peak %5s MB   crashes %s   status %s   in all nights %s\n' "$name" \
        "${tried:-0}" "${things:-things}" "${inputs:-0}" $((SECONDS - began)) $((${tried:-0} / (SECONDS - began + 1))) \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$dir/log" | tail -n 1)" \
        "$(sed -n 's/^stat::peak_rss_mb: *//p' "$dir/log" | tail -n 1)" \
        "$(find "$dir/crashes" -type f -newer "$FUZZ_DIR/began" | wc -l)" "$status" \
        "$(awk '{ sum += $1 } END { printf "%.0f", sum }' "$dir/nights" 2>/dev/null)" >"$dir/told"
    cat "$dir/told"
    return "$status"
}

mkdir -p "$FUZZ_DIR"
touch "$FUZZ_DIR/began"
count=$(wc -w <<<"$FUZZ_TARGETS")
share=$((FUZZ_SECONDS * FUZZ_JOBS / count))
[ "$FUZZ_JOBS" -le "$count" ] || share=$FUZZ_SECONDS
echo "fuzzing $count targets, $FUZZ_JOBS at once: at most $FUZZ_RUNS things and $share s each, in $FUZZ_DIR"
failed=0
for name in $FUZZ_TARGETS; do
    while [ "$(jobs -rp | wc -l)" -ge "$FUZZ_JOBS" ]; do wait -n || failed=1; done
    one "$name" "$share" &
done
for job in $(jobs -p); do wait "$job" || failed=1; done

if [ -n "${FUZZ_KEEP:-}" ] && [ "$failed" = 0 ]; then
    for name in $FUZZ_TARGETS; do
        rm -rf "$FUZZ_DIR/$name/small" && mkdir "$FUZZ_DIR/$name/small"
        UDPNODE_FUZZ=$name "$ENGINE" -merge=1 "$FUZZ_DIR/$name/small" "$FUZZ_DIR/$name/corpus" >/dev/null 2>&1
        python3 tests/fuzz/keep.py "$FUZZ_DIR/$name/small" "tests/fuzz/corpus/$name.hex"
    done
fi
for crash in $(find "$FUZZ_DIR"/*/crashes -type f -newer "$FUZZ_DIR/began" 2>/dev/null); do
    echo "CRASH $crash; as a line of the corpus:"
    python3 -c 'import sys; print(open(sys.argv[1], "rb").read().hex())' "$crash"
done
[ "$failed" = 0 ] && echo "no crash" || echo "FAILED: see the logs in $FUZZ_DIR"
exit "$failed"
