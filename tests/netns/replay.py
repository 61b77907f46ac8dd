"""Sends every IPv4 datagram of a capture again, from this machine and with the addresses it had: INTERFACE FILE..."""

import socket
import sys
import time

from pcap import frames

GAP = 0.0005

interface = sys.argv[1]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((interface, 0))
own = out.getsockname()[4]
count = 0
for path in sys.argv[2:]:
    for frame, header in frames(path):
        # Checksums left to the card are not in the capture; none is as good.
        out.send(frame[:6] + own + frame[12 : header + 6] + b"\0\0" + frame[header + 8 :])
        count += 1
        time.sleep(GAP)
print(count)
