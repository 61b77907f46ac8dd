#!/bin/bash
# Runs the suites and prints, at the very end, "N passed, N failed, N skipped".
#
#   tests/run.sh                 everything
#   tests/run.sh check cargo     some of: check cargo mutants netns pack
#   tests/run.sh netns/80-loss.sh
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

# script FILE [SECONDS]: counts its "ok", "not ok" and "skip" lines.
script() {
    local status=0
    step "${1#tests/}" "${2:-120}" bash "$1" || status=$?
    count "$1" "$status"
}

# count FILE STATUS: the same for what is in the log.
count() {
    local name=${1#tests/} bad line
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
        echo "=== ${test#tests/}"
        cat "$LOG"
        echo "=== ${test#tests/}: status $status, all of these after $((SECONDS - began)) s"
        count "$test" "$status"
    done
}

# Those that say "Mostly waits." at their beginning leave the machine to each other.
netns() {
    local test waiting=() busy=()
    for test in tests/netns/[0-9]*.sh; do
        if sed -n '2,6p' "$test" | grep -q '^# Mostly waits\.$'; then waiting+=("$test"); else busy+=("$test"); fi
    done
    beside "${waiting[@]}"
    for test in "${busy[@]}"; do script "$test"; done
    script tests/lab/demo-test.sh
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
