"""Writes scikit-learn's 1,797 real handwritten digits as class folders.

    python examples/digits.py build/digits

The folder gets train/, valid/ and test/ (70, 10 and 20% of each digit), each with a folder a
class, holding 32 x 32 grey PNG files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = (("train", 0.7), ("valid", 0.8), ("test", 1.0))


def main(folder: Path) -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    seen = dict.fromkeys(range(10), 0)
    totals = np.bincount(digits.target)
    for i in order:
        digit = int(digits.target[i])
        share = seen[digit] / totals[digit]
        seen[digit] += 1
        part = next(name for name, upto in PARTS if share < upto)
        place = folder / part / NAMES[digit]
        place.mkdir(parents=True, exist_ok=True)
        ink = (digits.images[i] * (255 / 16)).round().astype(np.uint8)  # 0 to 16 in the source
        picture = Image.fromarray(255 - ink).resize((32, 32), Image.Resampling.BICUBIC)
        picture.save(place / f"{NAMES[digit]}-{i:04d}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
