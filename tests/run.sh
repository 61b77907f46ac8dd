#!/bin/bash
# Runs the suites and prints, at the very end, "N passed, N failed, N skipped".
#
#   tests/run.sh                 everything
#   tests/run.sh check cargo     some of: check cargo mutants netns pack; keyed, a part of netns
#   tests/run.sh netns/80-loss.sh
#   KEYED=1 tests/run.sh netns                    every test in namespaces with the key of a group
#   KEYED=1 tests/run.sh netns/80-loss.sh
#
# Without KEYED=1 those tests in namespaces that say "With keys as well." at their beginning run both ways.
#
# Every step is bounded. With CI=true nothing may be skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

PASSED=0
FAILED=0
SKIPPED=0
FAILURES=()
LOG=$(mktemp)
trap 'rm -f "$LOG" "$LOG".*' EXIT

fail() { FAILED=$((FAILED + 1)); FAILURES+=("$1"); }

# step NAME SECONDS COMMAND...: runs it, shows and keeps its output, says how long it took.
step() {
    local name=$1 limit=$2 began=$SECONDS; shift 2
    echo "=== $name"
    timeout -k 10 "$limit" "$@" </dev/null 2>&1 | tee "$LOG"
    local status=${PIPESTATUS[0]}
    echo "=== $name: status $status after $((SECONDS - began)) s"
    return "$status"
}

check() {
    if step check 300 make --no-print-directory lint; then PASSED=$((PASSED + 1)); else fail check; fi
}

cargo_tests() {
    export RUST_BACKTRACE=0
    local status=0 passed failed ignored results=0
    step "cargo test" 600 cargo test --locked --no-fail-fast -- --test-threads "${TEST_THREADS:-6}" || status=$?
    while read -r passed failed ignored; do
        results=$((results + 1))
        PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + ignored))
    done < <(sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored.*/\1 \2 \3/p' "$LOG")
    # The long runs take an hour, mostly of the simulator: they belong to `make sim` and are nobody's to skip here.
    local long
    long=$(grep -cE '^test ([a-z_]+::)+long_[a-z_]+ \.\.\. ignored' "$LOG")
    [ "$long" = 0 ] || echo "=== $long long runs are left to 'make sim'"
    SKIPPED=$((SKIPPED - long))
    while read -r name; do FAILURES+=("$name"); done < <(sed -nE 's/^test (.*) \.\.\. FAILED$/\1/p' "$LOG")
    # A suite that does not build, crashes or is killed prints no result.
    if [ "$status" != 0 ] && ! grep -q '^test result: FAILED' "$LOG" || [ "$results" = 0 ]; then fail "cargo test ($status)"; fi
}

# named FILE: what it is called here.
named() { if [ "${KEYED:-0}" = 1 ]; then echo "${1#tests/} with keys"; else echo "${1#tests/}"; fi; }

# script FILE [SECONDS]: counts its "ok", "not ok" and "skip" lines.
script() {
    local status=0
    step "$(named "$1")" "${2:-120}" bash "$1" || status=$?
    count "$1" "$status"
}

# count FILE STATUS: the same for what is in the log.
count() {
    local name bad line
    name=$(named "$1")
    PASSED=$((PASSED + $(grep -c '^ok - ' "$LOG")))
    bad=$(grep -c '^not ok - ' "$LOG")
    FAILED=$((FAILED + bad))
    SKIPPED=$((SKIPPED + $(grep -c '^skip - ' "$LOG")))
    while read -r line; do FAILURES+=("$name: $line"); done < <(sed -n 's/^not ok - //p' "$LOG")
    case $2 in
        0 | 77) ;;
        *) [ "$bad" -gt 0 ] || fail "$name (status $2)" ;;
    esac
}

# beside FILE...: the same for scripts that mostly wait: all at once, then shown one by one.
beside() {
    local test began=$SECONDS status
    local -A pids=()
    for test; do
        timeout -k 10 120 bash "$test" </dev/null >"$LOG.$(basename "$test")" 2>&1 &
        pids[$test]=$!
    done
    for test; do
        status=0
        wait "${pids[$test]}" || status=$?
        mv "$LOG.$(basename "$test")" "$LOG"
        echo "=== $(named "$test")"
        cat "$LOG"
        echo "=== $(named "$test"): status $status, all of these after $((SECONDS - began)) s"
        count "$test" "$status"
    done
}

# says FILE WORDS: whether that is a line at its beginning.
says() { sed -n '2,8p' "$1" | grep -qxF "# $2"; }

# Those that say "Mostly waits." at their beginning leave the machine to each other.
namespaces() { # FILE...
    local test waiting=() busy=()
    for test; do
        if says "$test" "Mostly waits."; then waiting+=("$test"); else busy+=("$test"); fi
    done
    beside "${waiting[@]}"
    for test in "${busy[@]}"; do script "$test"; done
}

netns() {
    namespaces tests/netns/[0-9]*.sh
    [ "${KEYED:-0}" = 1 ] || keyed
    script tests/lab/demo-test.sh
}

# Those that are to run with keys whenever they run.
keyed() {
    local test chosen=() began=$SECONDS
    for test in tests/netns/[0-9]*.sh; do says "$test" "With keys as well." && chosen+=("$test"); done
    [ "${#chosen[@]}" -gt 0 ] || fail "no test runs with keys"
    KEYED=1 namespaces "${chosen[@]}"
    echo "=== ${#chosen[@]} tests with keys: after $((SECONDS - began)) s"
}

pack() {
    local test
    for test in tests/pack/[0-9]*.sh; do script "$test"; done
}

bash tests/install.sh || fail "tools are missing"
[ $# -gt 0 ] || set -- check cargo mutants netns pack
for suite; do
    case $suite in
        check) check ;;
        cargo) cargo_tests ;;
        mutants) MUTANTS=ci script tests/mutants/run.sh 420 ;;
        netns) netns ;;
        keyed) keyed ;;
        pack) pack ;;
        *.sh) script "tests/${suite#tests/}" ;;
        *) echo "no such suite: $suite"; exit 2 ;;
    esac
done

echo
if [ "$SKIPPED" -gt 0 ]; then
    echo "################ $SKIPPED SKIPPED: see the lines that begin with 'skip' or end with 'ignored' ################"
    [ "${CI:-}" = true ] && fail "$SKIPPED skipped, and CI may not skip"
fi
for failure in "${FAILURES[@]}"; do echo "FAILED: $failure"; done
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
[ "$FAILED" = 0 ]
