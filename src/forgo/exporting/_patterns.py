"""Generated pictures without people: patterns and noise, in every encoding that has a rule.

They replace the examples' pictures in slim bundles. They exercise the decoder more than most
photographs do: odd sizes, each chroma sampling, progressive scans, grey, palettes, every EXIF orientation.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

COUNT = 96
_SAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
_SIZES = ((96, 64), (65, 97), (128, 128), (40, 200), (151, 83))


def write(folder: Path, count: int = COUNT) -> list[Path]:
    """Write pictures into a folder: the same ones each time, if Pillow encodes them alike."""
    generator = np.random.default_rng(20)
    files = []
    for number in range(count):
        width, height = _SIZES[number % len(_SIZES)]
        image = Image.fromarray(_pattern(number, width, height, generator))
        data, suffix = _stored(image, number)
        files.append(folder / f"made-{number:02d}{suffix}")
        files[-1].write_bytes(data)
    return files


def _pattern(number: int, width: int, height: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A picture of one of six kinds, with random colours, positions and scales."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    a, b = generator.uniform(0, 255, (2, 3))
    kind = number % 6
    if kind == 0:  # noise in blocks
        block = int(generator.choice([1, 2, 4, 8, 16]))
        small = generator.integers(0, 256, (-(-height // block), -(-width // block), 3))
        return np.asarray(small.repeat(block, 0).repeat(block, 1)[:height, :width], np.uint8)
    angle = generator.uniform(0, np.pi)
    along = (np.cos(angle) * x + np.sin(angle) * y) / max(width, height)
    if kind == 1:  # a gradient
        share = np.clip(along + 0.3, 0, 1)
    elif kind == 2:  # stripes
        share = (np.sin(along * generator.uniform(10, 120)) > 0).astype(np.float64)
    elif kind == 3:  # a disc
        centre = generator.uniform(0.2, 0.8, 2)
        share = (
            np.hypot(x / width - centre[0], y / height - centre[1]) < generator.uniform(0.1, 0.5)
        ).astype(np.float64)
    elif kind == 4:  # squares
        side = generator.integers(3, 40)
        share = ((x // side + y // side) % 2).astype(np.float64)
    else:  # waves
        share = 0.5 + 0.5 * np.sin(along * generator.uniform(5, 60)) * np.cos(y / generator.uniform(3, 30))
    colours = share[..., None] * a + (1 - share[..., None]) * b
    noisy = colours + generator.normal(0, generator.choice([0, 4, 20]), colours.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _stored(image: Image.Image, number: int) -> tuple[bytes, str]:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = number % 8 + 1
    if number % 4 == 3:
        mode = ("RGB", "P", "L")[number // 4 % 3]
        image.convert(mode).save(out, "PNG", exif=exif if number % 8 == 7 else None)
        return out.getvalue(), ".png"
    if number % 9 == 4:
        image = image.convert("L")
    image.save(
        out,
        "JPEG",
        quality=60 + number % 40,
        subsampling=_SAMPLINGS[number % 3],
        progressive=number % 5 == 1,
        exif=exif,
    )
    return out.getvalue(), ".jpg"
