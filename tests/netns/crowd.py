"""crowd.py COUNT ADDR PORT WHAT...: holds so many TCP connections, until its input ends.

WHAT is what each says, in turn: silent, garbage, half (a preamble of ours and half a frame), drip (a
preamble, then a byte a second), oversized (a preamble, then a frame longer than any of ours) or
handshake (a preamble, then a handshake that no key has made). Whoever is closed connects again, a
thousand a second at most, as long as that works.
"""

import os
import resource
import select
import socket
import sys
import time

count, address, port, kinds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
PREAMBLE = b"\xffudn\x01\x01\x00\x00"
# A header of kind 17, with the tag of the default group.
LINK = b"\xffudn\x01\x11\x00\x00" + bytes.fromhex("703bfc246e6ad8a1")
SAYS = {
    "silent": lambda: b"",
    "garbage": lambda: b"\x00\x01\x02 no protocol at all" * 50,
    "half": lambda: PREAMBLE + b"\x00\x98half",
    "drip": lambda: PREAMBLE,
    "oversized": lambda: PREAMBLE + b"\xff\xff" + bytes(32768),
    "handshake": lambda: PREAMBLE + b"\x00\x98" + LINK + os.urandom(136),
}


def connect(turn):
    kind = kinds[turn % len(kinds)]
    until = time.monotonic() + 10
    while True:
        try:
            sock = socket.create_connection((address, port), timeout=10)
            break
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    try:
        sock.sendall(SAYS[kind]())
    except OSError:
        pass  # closed before it took all: seen below
    return sock, kind


turn = count
held = dict(connect(turn) for turn in range(count))
print("holding", len(held), flush=True)
closed, dripped = 0, time.monotonic()
began = time.monotonic()
ends = began + 120
while time.monotonic() < ends:
    ready, _, _ = select.select([sys.stdin, *held], [], [], 0.02)
    if sys.stdin in ready:
        break
    for sock in ready:
        try:
            gone = not sock.recv(4096)
        except OSError:
            gone = True
        if gone:
            closed += 1
            del held[sock]
            sock.close()
    if time.monotonic() - dripped >= 1:
        dripped = time.monotonic()
        for sock in (sock for sock, kind in held.items() if kind == "drip"):
            try:
                sock.send(b"\x00")
            except OSError:
                pass
    while len(held) < count and turn - count < 1000 * (time.monotonic() - began):
        turn += 1
        try:
            sock, kind = connect(turn)
        except OSError:
            break
        held[sock] = kind
print("closed", closed, flush=True)
