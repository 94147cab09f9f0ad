"""Answers what Python makes of pictures, for tests in Go: a process that is asked again and again.

Each question on stdin is four bytes of length, big-endian, and a picture. Each answer on stdout is a
line: width, height and the digest of the pixels, or "refused" and the reason.
"""

from __future__ import annotations

import hashlib
import sys

from forgo._errors import PictureError
from forgo._picture import decode

ask, answer = sys.stdin.buffer, sys.stdout
while size := ask.read(4):
    try:
        pixels = decode(ask.read(int.from_bytes(size, "big")))
        height, width = pixels.shape[:2]
        line = f"{width} {height} {hashlib.sha256(pixels.tobytes()).hexdigest()}"
    except PictureError as e:
        line = f"refused {e}"
    print(line.replace("\n", " "), file=answer, flush=True)
