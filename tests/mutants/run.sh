#!/bin/bash
# Tests the tests: breaks the protocol in one place at a time and expects the simulator to notice.
#
#   tests/mutants/run.sh                 every mutant of list.txt
#   tests/mutants/run.sh repairs bye     those whose names hold one of these words
#   MUTANTS=ci tests/mutants/run.sh      those marked "ci": a minute or two
#   ALL=1 tests/mutants/run.sh           what its own tests miss is tried on all quick scenarios
#
# A mutant is caught if one of the tests in its line "by" fails or does not end, and survives if
# they pass. One that does not apply or does not build is an error of the list. Works on a private
# copy of the tree, in $CARGO_TARGET_DIR/mutants.
set -u
cd "$(dirname "$0")/../.." || exit 1

WORK=${CARGO_TARGET_DIR:-$PWD/target}/mutants
TREE=$WORK/tree
LIST=tests/mutants/list.txt
LIMIT=${LIMIT:-60}
CARGO=${CARGO:-cargo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} RUST_BACKTRACE=0
CAUGHT=0
SURVIVED=0
ERRORS=0

# All but what is long, and what notices every change and judges none.
QUICK=(--skip table --skip ten_thousand --skip fifty_nodes --skip the_same_seed)

# Each mutant of the list.
NAMES=() MARKS=() FILES=() BYS=() OLDS=() NEWS=()
read_list() {
    local line at=-1
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            '## '*)
                at=$((at + 1))
                NAMES[at]=${line#\#\# } MARKS[at]='' FILES[at]='' BYS[at]='' OLDS[at]='' NEWS[at]=''
                ;;
            'file: '*) FILES[at]=${line#file: } ;;
            'by: '*) BYS[at]=${line#by: } ;;
            'ci') MARKS[at]=ci ;;
            '-'*) OLDS[at]+=${line#-}$'\n' ;;
            '+'*) NEWS[at]+=${line#+}$'\n' ;;
            '' | '# '* | '#') ;;
            *) echo "not ok - $LIST: cannot read: $line"; exit 1 ;;
        esac
    done <"$LIST"
}

# fresh: a copy of the tree as it stands.
fresh() {
    mkdir -p "$TREE"
    rm -rf "${TREE:?}/src" "${TREE:?}/tests"
    cp -r src tests Cargo.toml Cargo.lock README.md "$TREE" || return 1
    # Of another version, so that what is built of it does not pass for what is built of the tree.
    sed -i '0,/^version = /s/^version = .*/version = "0.0.0"/' "$TREE/Cargo.toml"
    sed -i '/^name = "udpnode"$/{n;s/^version = .*/version = "0.0.0"/}' "$TREE/Cargo.lock"
}

# mutate AT: breaks the copy; false if the old text does not stand there exactly once.
mutate() {
    local at=$1 text rest
    text=$(cat "${FILES[at]}" && echo .) || return 1
    text=${text%.}
    [ -n "${OLDS[at]}" ] || return 1
    rest=${text#*"${OLDS[at]}"}
    [ "$rest" != "$text" ] && [ "${rest#*"${OLDS[at]}"}" = "$rest" ] || return 1
    printf '%s' "${text%%"${OLDS[at]}"*}${NEWS[at]}$rest" >"$TREE/${FILES[at]}"
}

build() {
    (cd "$TREE" && timeout 300 "$CARGO" test --quiet --locked --no-default-features --no-run --test sim) \
        >"$WORK/build.log" 2>&1
}

# passes ARGUMENTS: whether these tests of the copy pass; what does not end or eats all memory does not.
passes() {
    (cd "$TREE" && ulimit -v 8000000 && timeout -k 5 "$LIMIT" "$CARGO" test --quiet --locked --no-default-features --test sim \
        -- --test-threads 2 "$@") >"$WORK/run.log" 2>&1
}

# what: why the last run failed, in a few words.
what() {
    local names
    names=$(sed -nE "s/^thread '([^']+)'.* panicked at.*/\1/p" "$WORK/run.log" | sort -u)
    [ -n "$names" ] || { echo "no end"; return; }
    paste -sd ' ' <<<"$names"
}

# try AT: one mutant, from breaking to telling.
try() {
    local at=$1 began=$SECONDS
    if ! mutate "$at"; then
        ERRORS=$((ERRORS + 1))
        echo "not ok - does not apply: ${NAMES[at]}"
    elif ! build; then
        ERRORS=$((ERRORS + 1))
        echo "not ok - does not build: ${NAMES[at]}"
        grep -m 3 -A 4 '^error' "$WORK/build.log"
    elif ! passes ${BYS[at]} || { [ -n "${ALL:-}" ] && ! passes "${QUICK[@]}"; }; then
        CAUGHT=$((CAUGHT + 1))
        echo "ok - caught: ${NAMES[at]} (by $(what), $((SECONDS - began)) s)"
    else
        SURVIVED=$((SURVIVED + 1))
        echo "not ok - survived: ${NAMES[at]} ($((SECONDS - began)) s)"
    fi
    cp "${FILES[at]}" "$TREE/${FILES[at]}"
}

# chosen AT WORDS...: whether a mutant is to be tried.
chosen() {
    local at=$1 word; shift
    [ "${MUTANTS:-}" != ci ] || [ "${MARKS[at]}" = ci ] || return 1
    [ $# -gt 0 ] || return 0
    for word; do case ${NAMES[at]} in *"$word"*) return 0 ;; esac; done
    return 1
}

read_list
CHOSEN=()
for at in "${!NAMES[@]}"; do chosen "$at" "$@" && CHOSEN+=("$at"); done
[ ${#CHOSEN[@]} -gt 0 ] || { echo "not ok - no such mutant: $*"; exit 1; }
fresh || exit 1
# What fails unbroken catches nothing: first all these tests on the tree as it is.
mapfile -t TESTS < <(for at in "${CHOSEN[@]}"; do printf '%s\n' ${BYS[at]}; done | sort -u)
build || { cat "$WORK/build.log"; echo "not ok - the tree does not build"; exit 1; }
for test in "${TESTS[@]}"; do
    (cd "$TREE" && "$CARGO" test --quiet --locked --no-default-features --test sim -- --list "$test" 2>/dev/null) |
        grep -q ': test$' || { echo "not ok - no such test: $test"; ERRORS=$((ERRORS + 1)); }
done
passes "${TESTS[@]}" || { tail -n 30 "$WORK/run.log"; echo "not ok - the unbroken tree fails: $(what)"; exit 1; }
for at in "${CHOSEN[@]}"; do try "$at"; done
echo "# $CAUGHT caught, $SURVIVED survived"
[ "$SURVIVED" = 0 ] && [ "$ERRORS" = 0 ]
