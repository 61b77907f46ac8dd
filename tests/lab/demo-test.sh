#!/bin/bash
# Proves: the demonstration runs, shows three nodes in talk, and ends by itself with 0.
set -u
export DEMO_GROUP="239.255.78.$(($$ % 250 + 1)):45078"
shown=$(timeout 60 bash "$(dirname "$0")/demo.sh" 2>&1)
status=$?
if [ "$status" = 0 ] && grep -q '^cat  | .* ann: hello everybody' <<<"$shown"; then
    echo "ok - the demonstration ends with 0 and shows the talk"
else
    echo "not ok - the demonstration ended with $status"
    sed 's/^/#   /' <<<"$shown"
    exit 1
fi
