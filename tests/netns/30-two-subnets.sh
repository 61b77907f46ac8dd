#!/bin/bash
# Proves: a node with a foot in each of two subnets sees both sides, and what it says is heard on
# both, once each, though nothing routes between them.
# With keys as well.
. "$(dirname "$0")/lib.sh"

for h in left mid right; do space "$h"; done
bridge br1
bridge br2
plug left eth0 br1 10.77.1.1/24
plug mid eth0 br1 10.77.1.9/24
plug mid eth1 br2 10.77.2.9/24
plug right eth0 br2 10.77.2.1/24
start lea left
start mia mid
start rob right
check "the left side and the middle meet" meet lea mia
check "the right side and the middle meet" meet rob mia

say mia "to both"
for to in lea rob; do check "$to hears the middle" tells "$to" message from=mia "text=to both"; done
check "both confirm" tells mia delivered confirmed=2 online=2
say lea "from the left"
say rob "from the right"
check "the middle hears the left" tells mia message from=lea "text=from the left"
check "the middle hears the right" tells mia message from=rob "text=from the right"
is "on eth0" "$(times mia message from=lea segment=eth0)" 1
is "on eth1" "$(times mia message from=rob segment=eth1)" 1
for to in lea rob; do is "$to heard it once" "$(times "$to" message "text=to both")" 1; done
is "the middle tells of each once" "$(times mia joined)" 2

finish
