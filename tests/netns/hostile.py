"""hostile.py KIND CAPTURE SECONDS ADDR:PORT...: as many datagrams as one process can send, of one kind.

    garbage   random bytes
    header    what is ours from the capture as far as the group tag, then anything; every second one is a whole
              hello but for its signature
    sealed    what is sealed for the keyed group of the capture, as far as its tag, then anything
    stranger  the same with the tag of no group
    spray     hellos of fresh identities, each rightly signed: one key a datagram, a little over two hundred a second

Prints how many it sent. The datagrams are made before it starts, but for those that are signed.
"""

import hashlib
import random
import struct
import sys
import time

from pcap import payloads
from sender import addresses, sender

SEALED, HELLO = 16, 1

# Ed25519 (RFC 8032, 5.1), as slow as it reads: for tests, where nothing is secret.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    m, n = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    o, p = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = n - m, p - o, p + o, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def base():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


DOUBLES = [base()]
for _ in range(255):
    DOUBLES.append(add(DOUBLES[-1], DOUBLES[-1]))


def times_base(number):
    point, bit = (0, 1, 1, 0), 0
    while number:
        if number & 1:
            point = add(point, DOUBLES[bit])
        number >>= 1
        bit += 1
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


class Key:
    def __init__(self, secret):
        half = hashlib.sha512(secret).digest()
        scalar = int.from_bytes(half[:32], "little") & ((1 << 254) - 8) | 1 << 254
        self.scalar, self.prefix, self.public = scalar, half[32:], times_base(scalar)

    def sign(self, message):
        number = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % L
        point = times_base(number)
        hashed = int.from_bytes(hashlib.sha512(point + self.public + message).digest(), "little") % L
        return point + ((number + hashed * self.scalar) % L).to_bytes(32, "little")


def header(path, kind):
    for payload in payloads(path):
        if payload.startswith(b"\xffudn") and payload[5] == kind:
            return payload[:16]
    sys.exit("nothing of kind %d in the capture" % kind)


def hello(head, key, nick):
    """A hello: nick, flags, every 2000 ms, head 1, hash 0, nobody heard."""
    body = b"\xa6\x00" + bytes([0x60 + len(nick)]) + nick + b"\x01\x00\x02\x19\x07\xd0\x03\x01\x04\x00\x05\x80"
    return head + key + struct.pack(">QQ", 1, 1) + body


def make(kind, path, rng):
    """A function that gives the next datagram."""
    if kind == "spray":
        head = header(path, HELLO)

        def fresh():
            key = Key(rng.randbytes(32))
            unsigned = hello(head, key.public, b"x%d" % rng.randrange(10**6))
            return unsigned + key.sign(b"udpnode datagram 1\0" + unsigned)

        return fresh
    if kind == "garbage":
        stock = [rng.randbytes(rng.randint(0, 1200)) for _ in range(4096)]
    elif kind == "header":
        head = header(path, HELLO)
        stock = [head + rng.randbytes(rng.randint(0, 1100)) for _ in range(2048)]
        stock += [hello(head, rng.randbytes(32), b"mallory") + rng.randbytes(64) for _ in range(2048)]
    else:
        head = header(path, SEALED)
        head = head if kind == "sealed" else head[:8] + rng.randbytes(8)
        stock = [head + rng.randbytes(rng.randint(40, 1100)) for _ in range(4096)]
    rng.shuffle(stock)
    numbers = iter(range(10**12))
    return lambda: stock[next(numbers) % len(stock)]


def main():
    kind, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    targets = addresses(sys.argv[4:])
    following = make(kind, path, random.Random(kind))
    out = sender(targets[0])
    print("floods", flush=True)
    sent, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for target in targets * (1 if kind == "spray" else 32):
            try:
                out.sendto(following(), target)
                sent += 1
            except OSError:
                pass
    print("sent %d" % sent, flush=True)


main()
