#!/bin/bash
# Proves: install puts every file where it belongs, for everybody to read; uninstall takes back
# exactly that, the directories that install made included, and nothing that was there before.
. "$(dirname "$0")/lib.sh"
needs make install

# tree DIR: everything below, with types and modes.
tree() { (cd "$1" 2>/dev/null && find . -mindepth 1 -printf '%y %m %p\n' | LC_ALL=C sort -k3); }
files() { tree "$1" | sed -n 's/^f //p'; }

umask 077
check "install works" make_ install DESTDIR="$T/a"
is "its files, with their modes" "$(files "$T/a")" "755 ./usr/local/bin/udpnode
644 ./usr/local/share/bash-completion/completions/udpnode
644 ./usr/local/share/fish/vendor_completions.d/udpnode.fish
644 ./usr/local/share/man/man1/udpnode.1
644 ./usr/local/share/man/man7/udpnode.7
644 ./usr/local/share/zsh/site-functions/_udpnode"
is "directories are open to everybody" "$(tree "$T/a" | grep '^d' | grep -vc '^d 755')" 0
check "the program is the one that was built" cmp "$UDPNODE" "$T/a/usr/local/bin/udpnode"
check "and runs" test -n "$("$T/a/usr/local/bin/udpnode" --version)"
for script in share/bash-completion/completions/udpnode share/zsh/site-functions/_udpnode; do
    check "$script is not empty" test -s "$T/a/usr/local/$script"
done
check "uninstall works" make_ uninstall DESTDIR="$T/a"
is "and leaves nothing, not even the directory" "$(find "$T/a" 2>/dev/null)" ""

# What was there before stays: an empty directory, somebody else's page, a directory with a file.
mkdir -p "$T/b/usr/local/bin" "$T/b/usr/local/share/man/man1" "$T/b/usr/local/share/fish"
echo other >"$T/b/usr/local/share/man/man1/other.1"
before=$(tree "$T/b")
make_ install DESTDIR="$T/b"
check "twice does no harm" make_ install DESTDIR="$T/b"
check "something was installed" test "$(tree "$T/b" | wc -l)" -gt "$(echo "$before" | wc -l)"
make_ uninstall DESTDIR="$T/b"
is "uninstall restores what was there before" "$(tree "$T/b")" "$before"

# What came later stays as well, and the directory it is in.
make_ install DESTDIR="$T/c" PREFIX=/opt/u
echo later >"$T/c/opt/u/bin/later"
make_ uninstall DESTDIR="$T/c" PREFIX=/opt/u
is "what came later stays" "$(files "$T/c")" "600 ./opt/u/bin/later"
rm "$T/c/opt/u/bin/later"
check "uninstalling again is no error" make_ uninstall DESTDIR="$T/c" PREFIX=/opt/u
is "and then nothing is left" "$(find "$T/c" 2>/dev/null)" ""

for prefix in /usr /usr/; do
    make_ install DESTDIR="$T/d" PREFIX=$prefix
    check "with PREFIX=$prefix zsh finds it where Debian looks" test -f "$T/d/usr/share/zsh/vendor-completions/_udpnode"
    make_ uninstall DESTDIR="$T/d" PREFIX=$prefix
    is "and it is gone again" "$(find "$T/d" 2>/dev/null)" ""
done

make_ -n install CARGO_TARGET_DIR="$T/nothing" DESTDIR="$T/e"
check "without a program install builds one" grep -q 'build --release' "$T/make.log"
make_ -n install DESTDIR="$T/e"
check "with one it does not" test -z "$(grep 'build --release' "$T/make.log")"

finish
