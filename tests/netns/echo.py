"""echo.py PROGRAM SPACE OPTIONS...: a node in a terminal, and how long it takes to echo what is typed.

Types a key every 20 ms from the first line of standard input on, until the second; that line says what
must then still be shown: "FROM COUNT" waits for the lines "FROM: FROM says 1" to COUNT. Prints "shows NAME"
for each who joins, and at the end, in ms, "echo P50 P99 MAX KEYS"; "rss BEFORE AFTER" in kB;
"joined SHOWN COUNTED"; and "lines SHOWN TOOK", TOOK being
how long after the second line the last of them was shown, or -1 if one never was.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

program, space, *options = sys.argv[1:]
KEYS = "qzjvkwxp"


def rss(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Terminal:
    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", LANG="C.UTF-8")
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.rest = b""
        self.lines = []
        # When each line was shown first, and when the last of what was read came.
        self.at = {}
        # Who joined, one by one and counted.
        self.one_by_one = self.more = 0

    def read(self, seconds):
        """What is written within that time, once something is; lines are kept."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return b""
        data = os.read(self.fd, 65536)
        now = time.monotonic()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.note(line.decode(errors="replace"), now)
        return data

    def note(self, line, now):
        joined = re.search(r"\* (\S+) joined", line)
        if joined and len(self.at) < 100_000:
            self.at.setdefault("joined " + joined[1], now)
        many = re.search(r"\* and (\d+) more joined", line)
        if many:
            self.more += int(many[1])
        self.one_by_one += bool(joined)
        said = re.search(r"\d (\S+): (\S+ says \d+)\r*$", line)
        if said:
            self.at.setdefault(said[1] + ": " + said[2], now)


def waits():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main():
    term = Terminal(["ip", "netns", "exec", space, program, *options])
    told = set()
    while not waits():
        term.read(0.02)
        for name in [name for name in term.at if name.startswith("joined ") and name not in told]:
            told.add(name)
            print("shows", name.split()[1], flush=True)
    sys.stdin.readline()
    before, took, typed = rss(term.pid), [], ""
    while not waits():
        if len(typed) >= 40:
            os.write(term.fd, b"\x15")
            typed = ""
            term.read(0.05)
        key = KEYS[len(took) % len(KEYS)]
        typed += key
        began = time.monotonic()
        os.write(term.fd, key.encode())
        seen = b""
        while typed.encode() not in seen and time.monotonic() - began < 5:
            seen = (seen + term.read(0.5))[-100_000:]
        took.append((time.monotonic() - began) * 1000)
        rest = began + 0.02 - time.monotonic()
        while rest > 0:
            term.read(rest)
            rest = began + 0.02 - time.monotonic()
    name, count = sys.stdin.readline().split()
    ended, after = time.monotonic(), rss(term.pid)
    wanted = ["%s: %s says %d" % (name, name, n) for n in range(1, int(count) + 1)]
    while time.monotonic() - ended < 10 and not all(line in term.at for line in wanted):
        term.read(0.05)
    shown = [term.at[line] for line in wanted if line in term.at]
    late = max([0] + [at - ended for at in shown]) * 1000 if len(shown) == len(wanted) else -1
    took.sort()
    print("echo %.1f %.1f %.1f %d" % (took[len(took) // 2], took[len(took) * 99 // 100], took[-1], len(took)))
    print("rss", before, after)
    print("joined", term.one_by_one, term.more)
    print("lines %d %d" % (len(shown), late), flush=True)
    os.write(term.fd, b"\x15\x04")
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        try:
            term.read(0.1)
        except OSError:
            break
    print("status", os.waitstatus_to_exitcode(os.waitpid(term.pid, 0)[1]), flush=True)


main()
