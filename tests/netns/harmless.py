"""Fails if a file holds a byte that could steer a terminal: controls, DEL, C1, what is not UTF-8."""

import sys

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as why:
                sys.exit(f"# {path}:{number}: {why}")
            for c in text.rstrip("\n"):
                code = ord(c)
                if (code < 32 and c != "\t") or 127 <= code < 160 or 0x202A <= code <= 0x202E:
                    sys.exit(f"# {path}:{number}: U+{code:04X} in {text[:200]!r}")
