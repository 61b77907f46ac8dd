"""latency.py COUNT PROGRAM SPACE1 SPACE2 OPTIONS...: single direct messages from one node to another.

Starts both, each in its network namespace, sends one message after the other and prints how long
each took from standard input to standard output, as p50, p99 and the greatest, in microseconds.
"""

import json
import subprocess
import sys
import time

count, program, *spaces = sys.argv[1:5]
options = sys.argv[5:]


def node(name, space):
    command = ["ip", "netns", "exec", space, program, "-n", name, "--ephemeral", "--json", "--commands", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def until(lines, wanted):
    for line in lines:
        event = json.loads(line)
        if wanted(event):
            return event
    sys.exit("a node ended")


nodes = [node("ann", spaces[0]), node("bob", spaces[1])]
try:
    ann, bob = nodes
    heard = iter(bob.stdout.readline, b"")
    until(iter(ann.stdout.readline, b""), lambda e: e["event"] == "joined")
    until(heard, lambda e: e["event"] == "joined")
    took = []
    for n in range(int(count) + 10):
        began = time.monotonic_ns()
        ann.stdin.write(b"/tell bob single %d\n" % n)
        until(heard, lambda e: e.get("text") == "single %d" % n)
        took.append((time.monotonic_ns() - began) // 1000)
        # One at a time: the answer to this one is on its way before the next goes.
        time.sleep(0.005)
    took = sorted(took[10:])
    print(took[len(took) // 2], took[len(took) * 99 // 100], took[-1])
finally:
    for child in nodes:
        child.kill()
        child.wait()
