"""pace.py MS: copies lines, one each MS milliseconds."""

import sys
import time

every = float(sys.argv[1]) / 1000
due = time.monotonic()
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    due += every
    time.sleep(max(0, due - time.monotonic()))
