"""OpenCV's resizes, in an environment of their own: ``python calls.py PICTURES.npz ANSWERS.npz HEIGHT WIDTH``."""

from __future__ import annotations

import sys

import cv2  # type: ignore[import-not-found]
import numpy as np

WAYS = ("NEAREST", "NEAREST_EXACT", "LINEAR", "CUBIC", "AREA", "LANCZOS4")

pictures, answers, height, width = np.load(sys.argv[1]), {}, int(sys.argv[3]), int(sys.argv[4])
for number, pixels in pictures.items():
    for way in WAYS:
        for kind in (np.uint8, np.float32):
            how = getattr(cv2, f"INTER_{way}")
            made = cv2.resize(pixels.astype(kind), (width, height), interpolation=how)
            answers[f"{way} {kind.__name__} {number}"] = made
np.savez(sys.argv[2], **answers)
