"""slow.py PIPE FILE: copies lines, 20 a second."""

import sys
import time

with open(sys.argv[1], "rb", buffering=0) as pipe, open(sys.argv[2], "ab", buffering=0) as out:
    rest = b""
    while True:
        while b"\n" not in rest:
            more = pipe.read(4096)
            if not more:
                sys.exit()
            rest += more
        line, rest = rest.split(b"\n", 1)
        out.write(line + b"\n")
        time.sleep(0.05)
