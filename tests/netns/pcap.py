"""pcap.py CAPTURE MARKER: prints "TTL SRC SPORT DST DPORT" of each UDP datagram in a capture that holds a marker.

With the key of a group in the file that GROUP_KEY names, what is sealed with it is read as well.
"""

import os
import socket
import struct
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../pack"))
import decode


def frames(path):
    """The frames of a capture that hold UDP over IPv4, each with where the header of UDP begins in it."""
    with open(path, "rb") as capture:
        data = capture.read()
    at = 24
    while at + 16 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        if len(frame) >= 42 and frame[12:14] == b"\x08\x00" and frame[23] == 17:
            yield frame, 14 + (frame[14] & 15) * 4


def payloads(path):
    """What is in them, unless that is nothing."""
    return (frame[header + 8 :] for frame, header in frames(path) if len(frame) > 42)


def opener():
    """What opens datagrams that are sealed with the group's key, if we have one, and leaves others as they are."""
    if "GROUP_KEY" not in os.environ:
        return lambda payload: payload
    group = decode.Keyed(os.environ["GROUP_KEY"])

    def opened(payload):
        try:
            return group.inside(payload)
        except decode.Malformed:
            return payload

    return opened


def main():
    opened = opener()
    for frame, header in frames(sys.argv[1]):
        if sys.argv[2].encode() in opened(frame[header + 8 :]):
            src, dst = (socket.inet_ntoa(frame[i : i + 4]) for i in (26, 30))
            sport, dport = struct.unpack_from(">HH", frame, header)
            print(frame[22], src, sport, dst, dport)


if __name__ == "__main__":
    main()
