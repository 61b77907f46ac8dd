"""What sends to several addresses at once."""

import socket


def addresses(words):
    """ADDR:PORT, each as Python names it."""
    return [(address, int(port)) for address, port in (word.rsplit(":", 1) for word in words)]


def sender(to):
    """A socket that may broadcast, from the address that leads there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(to)
        address = probe.getsockname()[0]
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    out.bind((address, 0))
    return out
