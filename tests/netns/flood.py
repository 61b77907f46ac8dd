"""flood.py CAPTURE COUNT ADDR:PORT...: random and mutated datagrams, spread over these addresses.

Mutated ones come from the datagrams of the capture: bits flipped, cut, joined, repeated as they
were. The seed is fixed, so that a failure can be repeated.
"""

import random
import sys

from pcap import payloads
from sender import addresses, sender

MAGIC = b"\xff"


def mutated(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(0, 4)):
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            del data[rng.randrange(len(data)) :]
        elif kind == 2:
            data += rng.randbytes(rng.randint(1, 40))
        elif data:
            at = rng.randrange(len(data))
            data[at : at + 4] = rng.randbytes(4)
    return bytes(data)


def one(rng, seeds):
    kind = rng.randrange(10)
    if kind == 0:
        return b""
    if kind == 1:
        return rng.randbytes(rng.randint(1, 60))
    if kind == 2:
        return seeds[0][: rng.randint(1, 12)] + rng.randbytes(rng.randint(0, 200))
    if kind == 3:
        return b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\x7f" + rng.randbytes(8) + b"\r\nann: forged"
    return mutated(rng, seeds)


def main():
    rng = random.Random(7)
    seeds = [p for p in payloads(sys.argv[1]) if p.startswith(MAGIC)]
    if not seeds:
        sys.exit("no native datagrams in the capture")
    count = int(sys.argv[2])
    targets = addresses(sys.argv[3:])
    # A stock of different ones, sent in a different order each time round.
    stock = [one(rng, seeds) for _ in range(min(count, 50_000))]
    out = sender(targets[0])
    sent = 0
    while sent < count:
        rng.shuffle(stock)
        for i, data in enumerate(stock[: count - sent]):
            try:
                out.sendto(data, targets[i % len(targets)])
            except OSError:
                pass
        sent += len(stock)


main()
