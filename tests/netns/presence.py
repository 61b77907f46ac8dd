"""What nodes tell, and when, to the millisecond; and what they send.

    presence.py told SECONDS EVENT PEER FILE... -- COMMAND...
        runs the command; milliseconds until the last of these files has such an event behind where
        it ended before, or "never" and the files that have none. PEER "" is any.
    presence.py count PID...
        "CASTS UNICASTS": what was sent so far in the network namespaces of these processes.
"""

import json
import os
import subprocess
import sys
import time


class Tail:
    """The lines that are appended to a file."""

    def __init__(self, path):
        self.path, self.file, self.rest = path, open(path, "rb"), b""
        self.file.seek(0, os.SEEK_END)

    def lines(self):
        data = self.rest + self.file.read()
        *lines, self.rest = data.split(b"\n")
        return lines


def told(seconds, event, peer, files, command):
    waiting = [Tail(path) for path in files]
    began = time.monotonic()
    subprocess.run(command, check=True)
    while waiting and time.monotonic() - began < seconds:
        for tail in list(waiting):
            for line in tail.lines():
                found = json.loads(line)
                if found["event"] == event and peer in ("", found.get("peer")):
                    waiting.remove(tail)
                    took = time.monotonic() - began
                    break
        time.sleep(0.002)
    if waiting:
        return "never " + " ".join(os.path.basename(tail.path) for tail in waiting)
    return round(took * 1000)


def counters(pid, path, protocol):
    with open(f"/proc/{pid}/net/{path}", encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.startswith(protocol + ":")]
    return dict(zip(rows[0][1:], map(int, rows[1][1:])))


def count(pids):
    casts, sent = 0, 0
    for pid in pids:
        ip = counters(pid, "netstat", "IpExt")
        casts += ip["OutMcastPkts"] + ip["OutBcastPkts"]
        sent += counters(pid, "snmp", "Udp")["OutDatagrams"]
    return f"{casts} {max(0, sent - casts)}"


def main():
    verb, *words = sys.argv[1:]
    if verb == "count":
        print(count(words))
    else:
        at = words.index("--")
        print(told(float(words[0]), words[1], words[2], words[3:at], words[at + 1 :]))


main()
