"""Prints "TTL SRC SPORT DST DPORT" of each UDP datagram in a capture that holds a marker."""

import socket
import struct
import sys


def datagrams(data):
    at = 24
    while at + 16 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
            continue
        header = 14 + (frame[14] & 15) * 4
        sport, dport = struct.unpack_from(">HH", frame, header)
        src, dst = (socket.inet_ntoa(frame[i : i + 4]) for i in (26, 30))
        yield frame[22], src, sport, dst, dport, frame[header + 8 :]


with open(sys.argv[1], "rb") as capture:
    for ttl, src, sport, dst, dport, payload in datagrams(capture.read()):
        if sys.argv[2].encode() in payload:
            print(ttl, src, sport, dst, dport)
