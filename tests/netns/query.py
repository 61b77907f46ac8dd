#!/usr/bin/env python3
"""Asks once who is in which group (an IGMP general query): query.py ADDRESS"""

import socket
import struct
import sys


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


query = bytearray(struct.pack("!BBH4s", 0x11, 10, 0, bytes(4)))
query[2:4] = struct.pack("!H", checksum(bytes(query)))
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
# Router alert (RFC 2113), without which a query may be ignored.
sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([0x94, 4, 0, 0]))
sender.sendto(bytes(query), ("224.0.0.1", 0))
