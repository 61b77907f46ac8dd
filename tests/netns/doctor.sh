# Sourced by the tests of the doctor, behind lib.sh.

# doctor HOST ARGS...: what it says is in $T/doctor, its exit status in STATUS. It asks the node that
# runs on that host, or is one itself.
doctor() {
    local host=$1; shift
    env -u UDPNODE_NAME timeout 20 ip netns exec "$P-$host" "$UDPNODE" --ephemeral "$@" doctor >"$T/doctor" 2>"$T/doctor.err"
    STATUS=$?
}

# finds DESCRIPTION HOST "CODE [SIDE, SEGMENT]"...: the doctor there finds exactly these, and ends with 1.
finds() {
    local what=$1 host=$2 wanted; shift 2
    wanted=$(printf '%s\n' "$@" | sort)
    # shellcheck disable=SC2086
    doctor "$host" ${ARGS:-}
    is "$what" "$STATUS $(sed -nE 's/^([a-z-]+ \[[^]]*\]).*/\1/p' "$T/doctor" | sort)" "1 $wanted"
}

# healthy DESCRIPTION HOST: one line, and status 0.
healthy() {
    # shellcheck disable=SC2086
    doctor "$2" ${ARGS:-}
    is "$1" "$STATUS $(wc -l <"$T/doctor") $(cut -c1-8 "$T/doctor")" "0 1 healthy:"
    [ "$STATUS" = 0 ] || sed 's/^/#   /' "$T/doctor"
}

# three: nodes ann, bob and cat on hosts a, b and c; host d has none.
three() {
    lan a b c d
    start ann a
    start bob b
    start cat c
    meet ann bob cat
}

# drop HOST HOOK MATCH...: a firewall there. pass HOST: none any more.
drop() {
    local host=$1 hook=$2; shift 2
    on "$host" nft "table inet doctor { chain c { type filter hook $hook priority 0; $* drop; }; }"
}
pass() { on "$1" nft delete table inet doctor; }

# eventually finds|healthy ...: asks again until it is so, WITHIN seconds (10): what is told with hellos takes its time.
eventually() {
    local until=$((SECONDS + ${WITHIN:-10}))
    while [ "$SECONDS" -lt "$until" ]; do
        (PASSED=0 FAILED=0; "$@" >/dev/null; [ "$FAILED" = 0 ]) && break
    done
    "$@"
}
