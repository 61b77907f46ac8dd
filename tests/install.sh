#!/bin/bash
# Installs what tests/packages.txt names and this machine lacks: as root, where apt-get is. Else it
# says so, loudly; the tests concerned are skipped then, or fail where CI=true.
set -u
cd "$(dirname "$0")" || exit 1

missing() { grep -v '^#' packages.txt | while read -r tool package; do command -v "$tool" >/dev/null || echo "$package"; done; }

wanted=$(missing)
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get -qq update
    # shellcheck disable=SC2086
    timeout 300 apt-get -qq install -y --no-install-recommends $wanted
fi
wanted=$(missing)
[ -z "$wanted" ] && exit 0
echo "############################################################"
echo "## MISSING: $(echo $wanted)"
echo "## Install them, or the tests that need them are SKIPPED."
echo "############################################################"
[ "${CI:-}" = true ] && exit 1
exit 0
