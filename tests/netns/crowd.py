"""crowd.py COUNT ADDR PORT WHAT: holds so many TCP connections, until its input ends.

WHAT is what each says: silent, garbage, half (a preamble of ours and half a frame) or drip (a
preamble, then a byte now and then). Whoever is closed connects again, as long as that works.
"""

import resource
import select
import socket
import sys

count, address, port, what = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
PREAMBLE = b"\xffudn\x01\x00\x00\x00"
SAYS = {"silent": b"", "garbage": b"\x00\x01\x02 no protocol at all" * 50, "half": PREAMBLE + b"\x04\x00half", "drip": PREAMBLE}


def connect():
    sock = socket.create_connection((address, port), timeout=10)
    sock.sendall(SAYS[what])
    return sock


held = [connect() for _ in range(count)]
print("holding", len(held), flush=True)
turns, closed = 0, 0
while turns < 6000:
    turns += 1
    ready, _, _ = select.select([sys.stdin] + held, [], [], 0.02)
    if sys.stdin in ready:
        break
    for sock in ready:
        try:
            gone = not sock.recv(4096)
        except OSError:
            gone = True
        if gone:
            closed += 1
            held.remove(sock)
            sock.close()
    if what == "drip":
        for sock in held[:50]:
            try:
                sock.send(b"\x00")
            except OSError:
                pass
    while len(held) < count:
        try:
            held.append(connect())
        except OSError:
            break
print("closed", closed, flush=True)
