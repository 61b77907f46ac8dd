#!/bin/bash
# Proves: the static program runs in a root directory with nothing else in it - no libraries, no
# /dev, no /proc, no /etc - and chats with the usual one, both ways, and ends as it should.
. "$(dirname "$0")/lib.sh"

STATIC=${UDPNODE_STATIC:-$(ls "${CARGO_TARGET_DIR:-$ROOT/target}"/*/release/udpnode 2>/dev/null | head -n 1)}
[ -x "$STATIC" ] || skip_all "needs the static program: make static"

lan a b
mkdir -p "$T/cell"
cp "$STATIC" "$T/cell/udpnode"
KEY=()
FILES_THERE=$T/cell/udpnode
if keyed; then
    cp "$T/group.key" "$T/cell/key"
    KEY=(--key-file /key)
    FILES_THERE+=" $T/cell/key"
fi
files() { find "$T/cell" -mindepth 1 | sort -r | paste -sd' '; }
is "there is nothing else" "$(files)" "$FILES_THERE"
check "it wants no interpreter" bash -c '! grep -qa "/ld-\(linux\|musl\)" "$1"' - "$STATIC"
# The same trick with the usual program fails: the test can tell them apart.
mkdir "$T/other"
cp "$PROGRAM" "$T/other/udpnode"
check "the usual program does not run there" bash -c '! chroot "$1" /udpnode --version 2>/dev/null' - "$T/other"
check "the static one does" test -n "$(chroot "$T/cell" /udpnode --version)"

# As start, but in that root.
mkfifo "$T/eve.in"
: >"$T/eve.out"
(exec ip netns exec "$P-b" env -i "$(command -v chroot)" "$T/cell" /udpnode -n eve --json "${KEY[@]}" <"$T/eve.in" >"$T/eve.out" 2>"$T/eve.err") &
PID[eve]=$!
exec {fd}>"$T/eve.in"
IN[eve]=$fd
start ann a
check "they meet" meet ann eve
check "without a home it has a key for this run" tells eve warning
say ann "into the void"
check "it hears" tells eve message from=ann "text=into the void"
say eve "out of it"
check "it is heard" tells ann message from=eve "text=out of it"
check "and confirmed" tells eve delivered confirmed=1
end_input eve
reap eve
is "its end is that of the usual one" "$STATUS" 0
check "it said bye" tells ann left peer=eve
is "it wrote nothing into its root" "$(files)" "$FILES_THERE"

finish
