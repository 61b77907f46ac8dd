# Sourced by the tests in this directory: a directory of its own for each, and counting of results.

set -u

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$HERE/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$REPO/target}
UDPNODE=${UDPNODE:-$TARGET/release/udpnode}

skip_all() { echo "skip - $(basename "$0"): $*"; exit 77; }
needs() { local tool; for tool; do command -v "$tool" >/dev/null || skip_all "needs $tool"; done; }

[ -x "$UDPNODE" ] || { echo "not ok - $UDPNODE is missing: run make all"; exit 1; }

T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
PASSED=0
FAILED=0

# make_ GOAL VARIABLE=VALUE...: with a record of directories of our own, and no word from an outer make.
make_() { env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s --no-print-directory -C "$REPO" MADE="$T/made" "$@" >"$T/make.log" 2>&1; }

# check DESCRIPTION COMMAND...: ok if the command succeeds.
check() {
    local what=$1; shift
    if "$@"; then PASSED=$((PASSED + 1)); echo "ok - $what"; else FAILED=$((FAILED + 1)); echo "not ok - $what"; fi
}

# is DESCRIPTION GOT WANTED
is() {
    if [ "$2" = "$3" ]; then PASSED=$((PASSED + 1)); echo "ok - $1"; return; fi
    FAILED=$((FAILED + 1))
    echo "not ok - $1"
    diff <(echo "$3") <(echo "$2") | head -n 20 | sed 's/^/#   /'
}

finish() {
    echo "# $(basename "$0"): $PASSED ok, $FAILED not ok"
    [ "$FAILED" = 0 ] || exit 1
    exit 0
}
