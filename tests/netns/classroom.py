"""classroom.py ADDRESS NAME: a chat of the classroom, as its exercises write it.

Joins 224.1.1.1:5007 by the address of an interface, says that it enters, then what comes on
standard input; prints what it hears, its own words included, until it says "quit".
"""

import socket
import struct
import sys
import threading

GROUP, PORT = "224.1.1.1", 5007
address, name = sys.argv[1:]

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("", PORT))
mreq = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq)


def reader():
    while True:
        text = sock.recv(65536).decode("utf-8")
        print(text, flush=True)
        if text == name + ": quit":
            return


listening = threading.Thread(target=reader)
listening.start()
sock.sendto(str.encode(name + ": Entering user"), (GROUP, PORT))
for line in sys.stdin:
    sock.sendto(str.encode(name + ": " + line.rstrip("\n")), (GROUP, PORT))
    if line == "quit\n":
        break
listening.join(10)
