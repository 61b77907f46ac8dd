#!/usr/bin/env python3
"""Decodes udpnode datagrams. Written from the tables of man/udpnode.7 alone, with the standard library.

    decode.py FILE...           one line for each datagram, as the program's own traces show it
    decode.py --all FILE...     everything in it as one JSON object a line, signatures checked
    decode.py --open SEED BOOT FILE...  what letters say, as JSON, for the holder of that Ed25519 seed (hexadecimal)
    decode.py --key KEYFILE ... what is sealed with that key (a line of udpnode keygen) for the default group;
                                what is not sealed with it is malformed

FILE holds one datagram in hexadecimal, or is a capture (pcap, Ethernet or "any" device).
"""

import hashlib
import hmac
import ipaddress
import json
import struct
import sys
import unicodedata

MAGIC = bytes.fromhex("ff75646e")
KINDS = {1: "hello", 2: "bye", 3: "entries", 4: "frontier", 5: "nack", 6: "direct", 7: "receipt",
         8: "probe", 9: "answer", 10: "suspect", 11: "alive",
         12: "seek", 13: "whereabouts"}
DATAGRAM_DOMAIN = b"udpnode datagram 1\0"
ENTRY_DOMAIN = b"udpnode entry 1\0"
DEFAULT = "239.192.7.7:5007"
SEALED = 16


class Malformed(Exception):
    """The bytes are not what the page describes."""


# --- CBOR (RFC 8949), as much as the page uses ---------------------------------------------------


class Reader:
    """Reads values from bytes, and nothing twice."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed("cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self):
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if low < 24:
            return major, low
        if low > 27:
            raise Malformed("indefinite length")
        return major, int.from_bytes(self.take(1 << (low - 24)), "big")

    def value(self, depth=0):
        major, n = self.head()
        if depth > 8:
            raise Malformed("too deep")
        if major == 0:
            return n
        if major == 1:
            return -1 - n
        if major == 2:
            return self.take(n)
        if major == 3:
            try:
                return self.take(n).decode()
            except UnicodeDecodeError:
                raise Malformed("not UTF-8") from None
        if major == 4:
            return [self.value(depth + 1) for _ in range(min(n, len(self.data)))]
        if major == 5:
            pairs = [(self.value(depth + 1), self.value(depth + 1)) for _ in range(min(n, len(self.data)))]
            return dict(pairs)
        if major == 7 and n in (20, 21):
            return n == 21
        if major == 7 and n == 22:
            return None
        raise Malformed(f"major type {major}")


def cbor(data):
    """One value and nothing behind it."""
    reader = Reader(data)
    value = reader.value()
    if reader.at != len(data):
        raise Malformed("bytes behind the value")
    return value


# --- the shapes of the page's CDDL ---------------------------------------------------------------


def uint(bits):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise Malformed(f"{value!r} is no u{bits}")
        return value

    return check


def exactly(kind, length=None):
    def check(value):
        if not isinstance(value, kind) or length is not None and len(value) != length:
            raise Malformed(f"{value!r} is no {kind.__name__} of {length}")
        return value

    return check


def many(item):
    return lambda value: [item(one) for one in exactly(list)(value)]


def record(*optional, **fields):
    """An array: a name and a type for each place, the last ones optional; what stands behind is skipped."""

    def check(value):
        if len(exactly(list)(value)) < len(fields):
            raise Malformed("an array is too short")
        found = {name: kind(one) for (name, kind), one in zip(fields.items(), value)}
        more = zip(optional, value[len(fields) :])
        return found | {name: kind(one) for (name, kind), one in more if one is not None}

    return check


def table(*fields):
    """A map: key, name, type and whether it may be missing; other keys are skipped."""

    def check(value):
        exactly(dict)(value)
        found = {}
        for key, name, kind, *optional in fields:
            if key in value:
                found[name] = kind(value[key])
            elif not optional:
                raise Malformed(f"{name} is missing")
        return found

    return check


U8, U16, U32, U64 = uint(8), uint(16), uint(32), uint(64)
ID, KEY, TEXT, FLAG = exactly(bytes, 16), exactly(bytes, 32), exactly(str), exactly(bool)

HEARD = record(("U", U8), ("B", U8), ("M", U8), id=ID, casts=U8, base=U64)
CONDITION = table(
    (0, "clock", U64, True), (1, "flaws", U16, True), (2, "mtu", U32, True), (3, "casts-ttl", U8, True),
    (4, "group", exactly(bytes), True), (5, "probe", U8, True), (6, "pad", exactly(bytes), True),
)
HELLO = table(
    (0, "nick", TEXT), (1, "flags", U8), (2, "every_ms", U32), (3, "head", U64), (4, "hash", U64),
    (5, "heard", many(HEARD)), (6, "interface", TEXT, True), (7, "ttl", U8, True), (8, "of", U16, True),
    (9, "round", U32, True), (10, "sends", U8, True), (11, "condition", CONDITION, True),
    (12, "away", TEXT, True), (13, "challenge", U64, True), (14, "proofs", many(record(id=ID, challenge=U64)), True),
    (15, "pad", exactly(bytes), True),
)
PROGRESS = record(author=ID, boot=U64, next=U64, floor=U64, tip=ID)
FRONTIER = table((0, "hash", U64), (1, "logs", many(PROGRESS)), (2, "whole", FLAG, True))
HOLE = record(author=ID, boot=U64, **{"from": U64, "to": U64})
NACK = table((0, "asked", ID, True), (1, "round", U8), (2, "holes", many(HOLE)))
BYE = table((0, "head", U64))
LETTER = table((0, "to", ID), (1, "sealed", exactly(bytes)))
DIRECT = table(
    (1, "seq", U64), (2, "base", U64), (3, "mid", U64), (4, "wall_ms", U64), (5, "text", TEXT),
    (6, "part", U16, True), (7, "parts", U16, True),
)
RECEIPT = table((1, "boot", U64), (2, "next", U64), (3, "ahead", U64))
SUSPECTED = record(id=ID, boot=U64, for_ms=U32)
BODIES = {
    "hello": HELLO, "bye": BYE, "frontier": FRONTIER, "nack": NACK, "direct": LETTER, "receipt": LETTER,
    "probe": table(
        (0, "token", U32), (1, "flags", U8), (2, "challenge", U64, True), (3, "pad", exactly(bytes, 8), True)
    ),
    "answer": table((0, "token", U32), (1, "proof", U64, True), (2, "challenge", U64, True)),
    "suspect": table((0, "whom", many(SUSPECTED))), "alive": table(),
}
SEEK = table((0, "ids", many(ID)), (1, "padding", exactly(bytes)))
PLACE = record(id=ID, ip=exactly(bytes), port=U16)
WHEREABOUTS = table((0, "peers", many(PLACE)))
BODIES |= {"seek": SEEK, "whereabouts": WHEREABOUTS}
SIGNED = record(entry=exactly(bytes), signature=exactly(bytes, 64))
ENTRY = table(
    (0, "author", KEY), (1, "boot", U64), (2, "seq", U64), (3, "wall_ms", U64), (4, "nick", TEXT),
    (5, "first", U64), (6, "count", U32), (7, "kind", U8), (8, "body", exactly(bytes)), (9, "prev", ID),
)
LINES = table((0, "lines", many(TEXT)), (1, "part", U16, True), (2, "parts", U16, True))


# --- ids, tags and signatures --------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def compress(chain, block, length, flags):
    """One block of BLAKE3, of the first chunk."""
    def turn(x, by):
        return (x >> by | x << 32 - by) & 0xFFFFFFFF

    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = [*chain, *IV[:4], 0, 0, length, flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(QUARTERS):
            for m, first, second in ((words[2 * i], 16, 12), (words[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + m) & 0xFFFFFFFF
                v[d] = turn(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                v[b] = turn(v[b] ^ v[c], second)
        words = [words[at] for at in ORDER]
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def blake3(data, key=IV, flags=0):
    """The first 32 bytes of BLAKE3 of at most 1024 bytes."""
    assert len(data) <= 1024
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    for at, block in enumerate(blocks):
        ends = (1 if at == 0 else 0) | (2 | 8 if at == len(blocks) - 1 else 0)
        key = compress(key, block, len(block), flags | ends)
    return struct.pack("<8I", *key)


def peer_id(key):
    return blake3(key)[:16]


def derived(context, material):
    """BLAKE3 in its key derivation mode."""
    return blake3(material, struct.unpack("<8I", blake3(context, flags=32)), 64)


def group_tag(group):
    return derived(b"udpnode 1 open group tag", group.encode())[:8]


def entry_domain(group=DEFAULT):
    """What entries of an open group are signed for."""
    return ENTRY_DOMAIN + derived(b"udpnode 1 open group entries", group.encode())


P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    """Points of the curve in extended coordinates (RFC 8032, 5.1.4)."""
    A, B = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - xx) % P or not x and sign:
        raise Malformed("no point of the curve")
    return (P - x if x & 1 != sign else x), y, 1, (P - x if x & 1 != sign else x) * y % P


BASE = point(bytes.fromhex("58" + "66" * 31))


def verifies(key, domain, signed, signature):
    try:
        a, r = point(key), point(signature[:32])
    except Malformed:
        return False
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + domain + signed).digest(), "little") % Q
    if s >= Q or any(times(8, p)[0] % P == 0 for p in (a, r)):
        return False
    left, right = times(s, BASE), add(r, times(h, a))
    return not (left[0] * right[2] - right[0] * left[2]) % P and not (left[1] * right[2] - right[1] * left[2]) % P


# --- letters: Noise K with X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439) and BLAKE2s -----------

PATTERN = b"Noise_K_25519_ChaChaPoly_BLAKE2s"
LETTER_DOMAIN = b"udpnode letter 1\0"
LENGTHS = (64, 128, 256, 512, 959)


def x25519(scalar, u):
    """The ladder of RFC 7748, 5."""
    k = int.from_bytes(scalar, "little") & ~7 & (1 << 255) - 1 | 1 << 254
    u = int.from_bytes(u, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap != bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P, c * b % P, a * a % P, b * b % P
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def exchange_public(key):
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


def exchange_private(seed):
    return hashlib.sha512(seed).digest()[:32]


def chacha_rounds(start):
    def turn(x, by):
        return (x << by | x >> 32 - by) & 0xFFFFFFFF

    v = list(start)
    for _ in range(10):
        for a, b, c, d in QUARTERS:
            for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                v[x] = (v[x] + v[y]) & 0xFFFFFFFF
                v[z] = turn(v[z] ^ v[x], by)
    return v


def chacha20(key, count, nonce):
    start = struct.unpack("<12I", b"expand 32-byte k" + key) + (count,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(chacha_rounds(start), start)))


def hchacha20(key, nonce):
    """The key of XChaCha20 for the first 16 bytes of its nonce."""
    v = chacha_rounds(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))
    return struct.pack("<8I", *v[:4], *v[12:])


def unseal(key, data, more, nonce=bytes(12)):
    """The text, or Malformed."""
    text, tag = data[:-16], data[-16:]
    once = chacha20(key, 0, nonce)
    r, s = int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, int.from_bytes(once[16:32], "little")
    blocks = [part[at : at + 16].ljust(16, b"\0") for part in (more, text) for at in range(0, len(part), 16)]
    total = 0
    for block in [*blocks, struct.pack("<QQ", len(more), len(text))]:
        total = (total + int.from_bytes(block + b"\1", "little")) * r % (2**130 - 5)
    if (total + s) % 2**128 != int.from_bytes(tag, "little"):
        raise Malformed("not sealed for us")
    stream = b"".join(chacha20(key, 1 + at, nonce) for at in range((len(text) + 63) // 64))
    return bytes(a ^ b for a, b in zip(text, stream))


def blake2s(data):
    return hashlib.blake2s(data).digest()


def opened(found, seed, me, boot):
    """What a letter says to the holder of `seed`, whose public key is `me`, in the run `boot`."""
    def mix(chain, shared):
        secret = hmac.digest(chain, shared, "blake2s")
        first = hmac.digest(secret, b"\1", "blake2s")
        return first, hmac.digest(secret, first + b"\2", "blake2s")

    kind = 6 if found["kind"] == "direct" else 7
    prologue = LETTER_DOMAIN + bytes([1, kind]) + peer_id(found["key"]) + struct.pack(">Q", found["boot"])
    prologue += peer_id(me) + struct.pack(">Q", boot)
    theirs, sealed = exchange_public(found["key"]), found["sealed"]
    chain = hashed = PATTERN.ljust(32, b"\0")
    for known in (prologue, theirs, exchange_public(me), sealed[:32]):
        hashed = blake2s(hashed + known)
    for public in (sealed[:32], theirs):
        chain, key = mix(chain, x25519(exchange_private(seed), public))
    secret = unseal(key, sealed[32:], hashed)
    if len(secret) not in LENGTHS:
        raise Malformed("not a length of secrets")
    (size,) = struct.unpack_from(">H", secret)
    return (DIRECT if kind == 6 else RECEIPT)(cbor(secret[2 : 2 + size]))


def ed25519_public(seed):
    n = int.from_bytes(exchange_private(seed), "little") & ~7 & (1 << 255) - 1 | 1 << 254
    x, y, z, _ = times(n, BASE)
    inverse = pow(z, P - 2, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


# --- keyed groups --------------------------------------------------------------------------------


class Keyed:
    """A keyed group: what is sealed for it can be read."""

    def __init__(self, path, group=DEFAULT):
        with open(path, encoding="utf-8") as file:
            (digits,) = [line.split()[1] for line in file if line.startswith("udpnode-key-1 ")]
        material = bytes.fromhex(digits) + group.encode()
        self.key = derived(b"udpnode 1 group sealing key", material)
        self.tag = derived(b"udpnode 1 keyed group tag", material)[:8]
        self.entry_domain = ENTRY_DOMAIN + derived(b"udpnode 1 keyed group entries", material)

    def inside(self, data):
        """The datagram that is sealed in this one, or Malformed."""
        header, nonce = data[:16], data[16:40]
        if len(data) < 58 or header != MAGIC + bytes([1, SEALED, 0, 0]) + self.tag:
            raise Malformed("not sealed for this group")
        text = unseal(hchacha20(self.key, nonce[:16]), data[40:], header, bytes(4) + nonce[16:])
        return MAGIC + bytes([1, text[0], text[1], 0]) + self.tag + text[2:]


# --- datagrams -----------------------------------------------------------------------------------


def decode(data, check=False, domain=None):
    """A datagram as a dictionary. With `check`, signatures are verified, those of entries for `domain`."""
    if data[:4] != MAGIC:
        return {"kind": "plain", "text": data.decode(errors="replace")}
    if len(data) < 16:
        raise Malformed("no header")
    if data[4] != 1:
        return {"kind": "version", "version": data[4]}
    if data[5] == SEALED:
        return {"kind": "sealed", "group": data[8:16], "bytes": len(data)}
    kind = KINDS.get(data[5])
    if kind is None:
        return {"kind": "unknown", "number": data[5]}
    found = {"kind": kind, "group": data[8:16]}
    if kind == "entries":
        found["errand"] = data[6]
        return found | {"entries": [entry(one, check and domain) for one in exactly(list)(cbor(data[16:]))]}
    if len(data) < 128:
        raise Malformed("no sender or no signature")
    key, (boot, counter) = data[16:48], struct.unpack(">QQ", data[48:64])
    body, signature = data[64:-64], data[-64:]
    found |= {"key": key, "from": peer_id(key), "boot": boot, "counter": counter}
    if check:
        found["good"] = verifies(key, DATAGRAM_DOMAIN, data[:-64], signature)
    return found | BODIES[kind](cbor(body))


def entry(value, domain):
    signed = SIGNED(value)
    found = ENTRY(cbor(signed["entry"]))
    if domain:
        found["good"] = verifies(found["author"], domain, signed["entry"], signed["signature"])
    if found["kind"] == 1:
        found |= LINES(cbor(found.pop("body")))
    return found


# --- as one line of text -------------------------------------------------------------------------


def quoted(text):
    escapes = {"\\": "\\\\", '"': '\\"', "\t": "\\t"}
    assert not any(unicodedata.category(c).startswith("C") for c in text.replace("\t", "")), "for samples only"
    return '"' + "".join(escapes.get(c, c) for c in text[:60]) + '"'


def casts(bits):
    return "".join(name for bit, name in ((1, "U"), (2, "B"), (4, "M"), (8, "T")) if bits & bit)


def line(found):
    kind = found["kind"]
    if kind == "plain":
        return f"plain {len(found['text'].encode())} bytes {quoted(found['text'])}"
    if kind in ("version", "unknown"):
        return f"{kind} {found.get('version', found.get('number'))}"
    parts = [f"v1 group={found['group'].hex()}"]
    if kind == "sealed":
        return f"{parts[0]} {found['bytes']} bytes sealed"
    if kind == "entries":
        errands = ("said", "repeat", "repair", "relay")
        parts += [f"errand={errands[found['errand']]}"] if 0 < found["errand"] < len(errands) else []
        return " ".join(parts + [line_of_entry(one) for one in found["entries"]])
    parts.append(f"from={found['key'].hex()[:8]} boot={found['boot']} #{found['counter']} {kind}")
    if kind == "hello":
        parts.append(f"nick={quoted(found['nick'])} every={found['every_ms']}ms")
        parts.append(f"head={found['head']} hash={found['hash']:016x}")
        parts += [name for bit, name in ((1, "ephemeral"), (2, "asks"), (4, "listens")) if found["flags"] & bit]
        parts += [f"away={quoted(found['away'])}"] if "away" in found else []
        parts += [f"on={quoted(found['interface'])}"] if "interface" in found else []
        parts += [f"{name}={found[name]}" for name in ("ttl", "round") if name in found]
        parts += [f"sends={casts(found['sends'])}"] if "sends" in found else []
        parts += [f"of={found['of']}"] if "of" in found else []
        told = found.get("condition", {})
        for name in ("clock", "flaws", "mtu", "casts-ttl", "group", "probe", "pad"):
            shown = {"group": lambda raw: raw[:18].hex(), "pad": len}.get(name, str)
            parts += [f"{name}={shown(told[name])}"] if name in told else []
        parts += [f"challenge={found['challenge']:016x}"] if "challenge" in found else []
        parts += [f"proves={one['id'].hex()[:8]}:{one['challenge']:016x}" for one in found.get("proofs", ())]
        parts += [f"pad={len(found['pad'])}"] if "pad" in found else []
        for heard in found["heard"]:
            left = "".join(f":{name}{heard[name]}" for name in "UBM" if name in heard)
            parts.append(f"hears={heard['id'].hex()[:8]}:{casts(heard['casts'])}{left}")
    if kind == "bye":
        parts.append(f"head={found['head']}")
    if kind in ("direct", "receipt"):
        parts.append(f"to={found['to'].hex()[:8]} {len(found['sealed'])} bytes sealed")
    if kind in ("probe", "answer"):
        parts.append(f"{found['token']:08x}")
        parts += ["doubts"] if found.get("flags", 0) & 1 else []
        parts += [f"{name}={found[name]:016x}" for name in ("proof", "challenge") if name in found]
    if kind == "suspect":
        parts += [f"{one['id'].hex()[:8]}/{one['boot']} for={one['for_ms']}ms" for one in found["whom"]]
    if kind == "seek":
        parts += [one.hex()[:8] for one in found["ids"]]
    if kind == "whereabouts":
        parts += [f"{one['id'].hex()[:8]}={place(one['ip'], one['port'])}" for one in found["peers"]]
    if kind == "frontier":
        parts.append(f"hash={found['hash']:016x}")
        parts += ["whole"] if found.get("whole") else []
        for log in found["logs"]:
            parts.append(f"{log['author'].hex()[:8]}/{log['boot']} next={log['next']} floor={log['floor']}")
            parts += [f"tip={log['tip'].hex()[:8]}"] if any(log["tip"]) else []
    if kind == "nack":
        parts.append(f"round={found['round']}")
        parts += [f"asked={found['asked'].hex()[:8]}"] if "asked" in found else []
        parts += [f"{h['author'].hex()[:8]}/{h['boot']} {h['from']}..{h['to']}" for h in found["holes"]]
    return " ".join(parts)


def place(ip, port):
    if len(ip) not in (4, 16):
        return "malformed"
    ip = ipaddress.ip_address(ip)
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def line_of_entry(found):
    text = f"entry={found['author'].hex()[:8]}/{found['boot']}/{found['seq']} nick={quoted(found['nick'])}"
    text += f" messages={found['first']}+{found['count']}"
    text += f" prev={found['prev'].hex()[:8]}" if found["seq"] > 1 else ""
    if found["kind"] != 1:
        return text + f" kind={found['kind']} {len(found['body'])} bytes"
    text += f" part={found['part']}/{found['parts']}" if "part" in found and "parts" in found else ""
    return " ".join([text] + [quoted(one) for one in found["lines"]])


# --- files ---------------------------------------------------------------------------------------


def captured(data):
    """The UDP datagrams in a capture, in its order."""
    order = "<" if data[:4] == bytes.fromhex("d4c3b2a1") else ">"
    skip = {1: 14, 113: 16, 276: 20}[struct.unpack_from(order + "I", data, 20)[0]]
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack_from(order + "I", data, at + 8)[0]
        packet = data[at + 16 + skip : at + 16 + size]
        at += 16 + size
        if len(packet) > 28 and packet[0] >> 4 == 4 and packet[9] == 17:
            udp = packet[(packet[0] & 15) * 4 :]
            yield udp[8 : struct.unpack_from(">H", udp, 4)[0]]


def datagrams(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] in (bytes.fromhex("d4c3b2a1"), bytes.fromhex("a1b2c3d4")):
        return captured(data)
    return [bytes.fromhex(data.decode())]


def open_letters(seed, boot, paths):
    seed, bad = bytes.fromhex(seed), False
    for path in paths:
        for data in datagrams(path):
            try:
                found = decode(data)
                if found["kind"] in ("direct", "receipt"):
                    print(json.dumps(opened(found, seed, ed25519_public(seed), int(boot)), ensure_ascii=False))
            except Malformed as why:
                bad = True
                print(f"not opened: {why}")
    return 1 if bad else 0


def main(args):
    if args[:1] == ["--open"]:
        return open_letters(args[1], args[2], args[3:])
    group, domain = None, entry_domain()
    if args[:1] == ["--key"]:
        group, args = Keyed(args[1]), args[2:]
        domain = group.entry_domain
    everything = args[:1] == ["--all"]
    bad = False
    for path in args[everything:]:
        for data in datagrams(path):
            try:
                found = decode(group.inside(data) if group else data, everything, domain)
                print(json.dumps(found, default=bytes.hex, ensure_ascii=False) if everything else line(found))
            except Malformed as why:
                bad = True
                print(f"malformed, {len(data)} bytes: {why}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
