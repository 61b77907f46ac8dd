"""cost.py CAPTURE LINES: the datagrams and bytes of each kind, for so many lines.

"entries N" is casts of entries for a line, "overhead N" the bytes of all datagrams over those of each
entry sent once; bytes are those in UDP.
"""

import socket
import struct
import sys

from pcap import frames, opener

KINDS = {1: "hello", 2: "bye", 3: "entries", 4: "frontier", 5: "nack", 6: "direct", 7: "receipt",
         8: "probe", 9: "answer", 10: "suspect", 11: "alive",
         12: "seek", 13: "whereabouts"}


def datagrams(path):
    for frame, header in frames(path):
        (length,) = struct.unpack_from(">H", frame, header + 4)
        yield socket.inet_ntoa(frame[30:34]), frame[header + 8 : header + length]


def main():
    lines = int(sys.argv[2])
    count, size, once = {}, {}, {}
    opened = opener()
    for to, sealed in datagrams(sys.argv[1]):
        payload = opened(sealed)
        if payload[:4] != b"\xffudn":
            continue
        cast = to.startswith("239.") or to.endswith(".255")
        key = KINDS.get(payload[5], "other") + (" cast" if cast else " alone")
        count[key] = count.get(key, 0) + 1
        size[key] = size.get(key, 0) + len(sealed)
        if payload[5] == 3:
            once[payload] = len(sealed)
    for key in sorted(count):
        print(f"{key}: {count[key]} datagrams, {size[key]} bytes, {size[key] / lines:.1f} a line")
    print(f"entries {count.get('entries cast', 0) / lines:.3f}")
    print(f"bytes {sum(size.values()) / lines:.1f}")
    print(f"overhead {sum(size.values()) / max(1, sum(once.values())):.3f}")


main()
