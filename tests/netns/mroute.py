#!/usr/bin/env python3
"""A multicast router that knows its routes: mroute.py GROUP INTERFACE INTERFACE

Has the kernel forward what is sent to GROUP on either interface to the other, one hop farther, and
joins the group on both so that switches send it here. Prints "routing" and goes on until its input
ends. Every source gets its route when its first datagram comes, and that one is lost: as with any
router that learns.
"""

import os
import select
import socket
import struct
import sys

MRT_INIT, MRT_ADD_VIF, MRT_ADD_MFC = 200, 202, 204
IGMPMSG_NOCACHE = 1
VIFF_USE_IFINDEX = 8


def main():
    group, names = socket.inet_aton(sys.argv[1]), sys.argv[2:4]
    router = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    router.setsockopt(socket.IPPROTO_IP, MRT_INIT, 1)
    member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for vif, name in enumerate(names):
        index = socket.if_nametoindex(name)
        router.setsockopt(
            socket.IPPROTO_IP, MRT_ADD_VIF, struct.pack("=HBBIi4s", vif, VIFF_USE_IFINDEX, 1, 0, index, bytes(4))
        )
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + struct.pack("=4si", bytes(4), index))
    print("routing", flush=True)
    while True:
        ready, _, _ = select.select([router, sys.stdin], [], [])
        if sys.stdin in ready and not os.read(0, 4096):
            return
        if router not in ready:
            continue
        told = router.recv(4096)
        # The kernel asks for a route: an IP header whose protocol is 0, with a message type in it.
        if len(told) < 20 or told[9] != 0 or told[8] != IGMPMSG_NOCACHE or told[16:20] != group:
            continue
        vif, source = told[10], told[12:16]
        hops = bytearray(32)
        hops[1 - vif] = 1
        route = struct.pack("=4s4sH32sxxIIIi", source, group, vif, bytes(hops), 0, 0, 0, 0)
        router.setsockopt(socket.IPPROTO_IP, MRT_ADD_MFC, route)


main()
