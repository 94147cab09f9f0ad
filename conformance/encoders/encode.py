"""Pictures by encoders that Pillow doesn't have, in an environment of their own.

python conformance/encoders/encode.py PHOTOGRAPH FOLDER
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import webp  # type: ignore[import-not-found]
from PIL import Image

# The fields of libwebp's WebPConfig, each of four bytes; the package names a few of them only.
FIELDS = [
    "lossless",
    "quality",
    "method",
    "image_hint",
    "target_size",
    "target_PSNR",
    "segments",
    "sns_strength",
    "filter_strength",
    "filter_sharpness",
    "filter_type",
    "autofilter",
    "alpha_compression",
    "alpha_filtering",
    "alpha_quality",
    "pass",
    "show_compressed",
    "preprocessing",
    "partitions",
    "partition_limit",
    "emulate_jpeg_size",
    "thread_level",
    "low_memory",
    "near_lossless",
]


def config(quality: float = 60, **settings: int) -> webp.WebPConfig:
    """A configuration with these settings."""
    made = webp.WebPConfig.new(quality=quality)
    fields = webp.ffi.buffer(made.ptr)
    for name, value in settings.items():
        at = 4 * FIELDS.index(name)
        fields[at : at + 4] = struct.pack("i", value)
    if not made.validate():
        raise ValueError(f"no such configuration: {settings}")
    return made


def webps(photograph: Image.Image) -> dict[str, bytes]:
    """Lossy and lossless WebPs with libwebp's settings."""
    made: dict[str, bytes] = {}
    translucent = photograph.convert("RGBA")
    translucent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    picture = webp.WebPPicture.from_pil(photograph)
    configurations = {
        "segments-4": config(30, segments=4, sns_strength=100, method=6),
        "segments-1": config(30, segments=1, sns_strength=0),
        "partitions-8": config(partitions=3),
        "simple-filter": config(10, filter_type=0, filter_strength=60),
        "strong-filter": config(5, filter_type=1, filter_strength=100),
        "no-filter": config(filter_strength=0),
        "sharpness-3": config(20, filter_sharpness=3, filter_strength=80),
        "sharpness-7": config(20, filter_sharpness=7, filter_strength=80),
        "automatic-filter": config(40, autofilter=1, method=6),
        "method-0": config(method=0),
        "lossless-method-0": config(lossless=1, method=0),
        "lossless-method-3": config(lossless=1, method=3),
        "lossless-method-6": config(100, lossless=1, method=6),
        "near-lossless": config(lossless=1, near_lossless=40),
    }
    for name, configuration in configurations.items():
        made[f"encoded-{name}.webp"] = bytes(picture.encode(configuration).buffer())
    over = webp.WebPPicture.from_pil(translucent)
    for filtering in (0, 1, 2):
        for compression in (0, 1):
            configuration = config(50, alpha_filtering=filtering, alpha_compression=compression)
            name = f"encoded-alpha-filter-{filtering}-{'packed' if compression else 'plain'}.webp"
            made[name] = bytes(over.encode(configuration).buffer())
    return made


if __name__ == "__main__":
    with Image.open(sys.argv[1]) as image:
        photograph = image.convert("RGB")
    for name, data in webps(photograph).items():
        (Path(sys.argv[2]) / name).write_bytes(data)
