"""Cuts scikit-learn's two photographs into JPEG tiles of every common kind.

    python examples/tiles.py build/tiles

A two-class problem (china or flower) whose pictures exercise decoding: 4:2:0, 4:2:2 and 4:4:4,
baseline and progressive, odd sizes, grey, EXIF orientation 1 to 8, quality 60 to 95, and some
PNG. The folder gets train/, valid/ and test/, each with a folder a class.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SIZE, STEP = 96, 20
PARTS = (("train", 0.5), ("valid", 0.6), ("test", 1.0))
# Inverse of each EXIF orientation: what a camera held that way would have stored.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def main(folder: Path) -> None:
    sample = load_sample_images()
    generator = np.random.default_rng(0)
    for name, photograph in zip(("china", "flower"), sample.images, strict=True):
        image = Image.fromarray(photograph)
        places = [
            (x, y) for y in range(0, image.height - SIZE, STEP) for x in range(0, image.width - SIZE, STEP)
        ]
        generator.shuffle(places)
        for number, (x, y) in enumerate(places):
            part = next(p for p, upto in PARTS if number / len(places) < upto)
            target = folder / part / name
            target.mkdir(parents=True, exist_ok=True)
            width, height = SIZE - int(generator.integers(0, 23)), SIZE - int(generator.integers(0, 23))
            write(image.crop((x, y, x + width, y + height)), target / f"{name}-{number:04d}", number)


def write(tile: Image.Image, path: Path, number: int) -> None:
    """Encode one tile; its number decides how, so that every combination comes up."""
    if number % 13 == 5:
        tile = tile.convert("L")
    if number % 17 == 11:
        tile = tile.convert("RGB").quantize(64) if number % 2 else tile
        tile.save(path.with_suffix(".png"))
        return
    exif = Image.Exif()
    orientation = 1 + number % 8
    if orientation > 1:
        tile = tile.transpose(STORED[orientation])
        exif[0x0112] = orientation
    tile.save(
        path.with_suffix(".jpg"), quality=60 + (number * 7) % 36, subsampling=number % 3,
        progressive=number % 5 == 0, exif=exif,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
