#!/bin/bash
# Proves: the same as 21-slow-reader.sh where much was said by others before the slow one joined.
# Mostly waits.
OLD=2000 exec bash "$(dirname "$0")/21-slow-reader.sh"
