#!/bin/bash
# Proves: a state directory that is on a full disk, on one that cannot be written, or another user's is told
# once with what to do, changes nothing there, and does not keep the node from chatting.
# Mostly waits.
. "$(dirname "$0")/lib.sh"

MOUNTS=()
unmount() { for m in "${MOUNTS[@]}"; do umount "$m" 2>/dev/null; done; }
trap 'unmount; cleanup' EXIT

# place NAME OPTIONS: a file system of its own.
place() { mkdir "$T/$1" && mount -t tmpfs -o "mode=0755,$2" tmpfs "$T/$1" && MOUNTS+=("$T/$1"); }

# without TAG WHY [PLACE]: a node on that directory has a key of its own, says why, once, and chats.
without() {
    NAME=ann KEEP="--state-dir $T/${3:-$1}/ann" start "ann-$1" ann
    check "$1: it runs" tells "ann-$1" ready name=ann
    check "$1: and says why" hears "ann-$1" "$(event warning).*$2.*this run has a key of its own"
    check "$1: it meets bob" tells "ann-$1" joined peer=bob
    say "ann-$1" "from $1"
    check "$1: bob hears it" tells bob message "text=from $1"
    stop "ann-$1"
    is "$1: it was told once" "$(times "ann-$1" warning)" 1
    is "$1: and on no other road" "$(cat "$T/ann-$1.err")" ""
}

lan ann bob
start bob bob

# Directories and empty files need no room here, what is in them does.
place full size=4k,nr_inodes=20
head -c 4096 /dev/zero >"$T/full/ballast"
without full "No space left on device"
is "full: no half of a key is there" "$(find "$T/full/ann" -name key -o -name boot | wc -l)" 0

# A key that is there is not used without counting the run.
place kept size=64k,nr_inodes=20
NAME=ann KEEP="--state-dir $T/kept/ann" start first ann
tells first ready name=ann; stop first
sum=$(md5sum "$T/kept/ann/key" "$T/kept/ann/boot")
mount -o remount,ro "$T/kept"
without kept "Read-only file system"
is "kept: it is as it was" "$(md5sum "$T/kept/ann/key" "$T/kept/ann/boot")" "$sum"

place inodes size=64k,nr_inodes=2
mkdir "$T/inodes/ann"
without inodes "No space left on device"

mkdir -p "$T/theirs/ann"
if chown 12345 "$T/theirs/ann" 2>/dev/null; then
    without theirs "belongs to user 12345"
    is "theirs: nothing was written there" "$(ls -A "$T/theirs/ann")" ""
    chown 0 "$T/theirs/ann"
    NAME=ann KEEP="--state-dir $T/theirs/ann" start mine ann
    tells mine ready name=ann; stop mine
    chown 12345 "$T/theirs/ann/key"
    without their-key "belongs to user 12345" theirs
fi
stop bob
finish
