"""peer.py ADDR:PORT [BROADCAST]: a peer that knows sendto and recvfrom and nothing else.

Prints what it hears, and sends each line of standard input to whom it heard last; with the address
of a broadcast it listens there as well, and sends there.
"""

import select
import socket
import sys

host, port = sys.argv[1].split(":")
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
own.bind((host, int(port)))
sockets, to = [own], None
if len(sys.argv) > 2:
    there, number = sys.argv[2].split(":")
    to = (there, int(number))
    cast = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    cast.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    cast.bind(to)
    sockets.append(cast)
print("listening", flush=True)
rest = b""
while True:
    ready, _, _ = select.select(sockets + [sys.stdin], [], [])
    for sock in ready:
        if sock is sys.stdin:
            more = sys.stdin.buffer.raw.read(65536)
            if not more:
                sys.exit()
            *lines, rest = (rest + more).split(b"\n")
            for line in lines:
                own.sendto(line, to)
            continue
        data, sender = sock.recvfrom(65536)
        if sender != own.getsockname():
            to = to if len(sockets) > 1 else sender
            print(data.decode("utf-8"), flush=True)
