"""Sends every IPv4 datagram of a capture again, from this machine and with the addresses it had: INTERFACE FILE..."""

import socket
import struct
import sys
import time

GAP = 0.0005

interface = sys.argv[1]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((interface, 0))
own = out.getsockname()[4]
count = 0
for path in sys.argv[2:]:
    with open(path, "rb") as capture:
        data = capture.read()
    at = 24
    while at + 16 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
            continue
        # Checksums left to the card are not in the capture; none is as good.
        header = 14 + (frame[14] & 15) * 4
        out.send(frame[:6] + own + frame[12 : header + 6] + b"\0\0" + frame[header + 8 :])
        count += 1
        time.sleep(GAP)
print(count)
