#!/bin/bash
# Proves: on a machine with nothing but lo, two nodes find each other without any option: the
# second takes a free port and says so.
. "$(dirname "$0")/lib.sh"

space alone
start ann alone
check "the first takes the port by the rule" tells ann ready
check "which is 5001" grep -q '127.0.0.1:5001' "$T/ann.out"
start bob alone
check "they meet" meet ann bob
check "the second says that the port was taken" follow "$T/bob.err $T/bob.out" '5001.*(taken|in use|another)|(taken|in use).*5001' 5
say ann "hi bob"
say bob "hi ann"
check "bob hears ann" tells bob message from=ann "text=hi bob"
check "ann hears bob" tells ann message from=bob "text=hi ann"
is "once" "$(times bob message)$(times ann message)" 11
start cat alone
check "a third one too" meet ann bob cat
say cat "hi both"
for to in ann bob; do check "$to hears cat" tells "$to" message from=cat "text=hi both"; done

finish
