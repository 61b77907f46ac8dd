"""keep.py DIRECTORY CORPUS: writes inputs of a directory as the corpus of a target, small ones first, at most 20,000
bytes in all. Lines of the corpus that stand below a line beginning with # are kept: they are regressions."""

import pathlib
import sys

MAX = 20_000

corpus = pathlib.Path(sys.argv[2])
kept, named = [], False
for line in corpus.read_text().splitlines():
    if line.startswith("#"):
        kept, named = kept + [line], True
    elif named:
        kept, named = kept + [line], False
used = sum(len(line) // 2 for line in kept if not line.startswith("#"))
for data in sorted((path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()), key=lambda data: (len(data), data)):
    if used + len(data) > MAX:
        break
    if data.hex() not in kept:
        kept.append(data.hex())
        used += len(data)
corpus.write_text("".join(line + "\n" for line in kept))
print(f"{corpus}: {len(kept)} lines, {used} bytes")
