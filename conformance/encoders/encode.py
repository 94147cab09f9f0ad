"""Pictures by encoders that Pillow doesn't have, in an environment of their own.

python conformance/encoders/encode.py PHOTOGRAPH FOLDER
"""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import tifffile  # type: ignore[import-not-found]
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


def tiffs(photograph: Image.Image) -> dict[str, bytes]:
    """TIFFs in tiles and planes, of many compressions and depths, in both byte orders."""
    made: dict[str, bytes] = {}
    rgb, grey = np.asarray(photograph), np.asarray(photograph.convert("L"))
    alpha = np.dstack([rgb, np.asarray(Image.linear_gradient("L").resize(photograph.size))])
    wide = rgb.astype(np.uint16) * 257 - np.arange(rgb.shape[1], dtype=np.uint16)[:, None]

    def save(name: str, pixels: np.ndarray, **options: object) -> None:
        out = io.BytesIO()
        tifffile.imwrite(out, pixels, metadata=None, software=False, **options)
        made[f"encoded-{name}.tif"] = out.getvalue()

    for how in ("lzw", "packbits", "deflate", None):
        save(f"rgb-{how}", rgb, compression=how)
        save(f"tiles-{how}", rgb, compression=how, tile=(16, 16))
        save(f"strips-{how}", rgb, compression=how, rowsperstrip=7)
        save(
            f"planes-{how}",
            rgb.transpose(2, 0, 1).copy(),
            compression=how,
            planarconfig="separate",
            rowsperstrip=9,
        )
    for how in ("lzw", "deflate"):
        for order in "<>":
            end = "little" if order == "<" else "big"
            save(f"differences-{how}-{end}", rgb, compression=how, predictor=2, byteorder=order)
            save(f"differences-16-{how}-{end}", wide, compression=how, predictor=2, byteorder=order)
            save(
                f"differences-tiles-16-{how}-{end}",
                wide,
                compression=how,
                predictor=2,
                byteorder=order,
                tile=(32, 16),
            )
    for order in "<>":
        end = "little" if order == "<" else "big"
        save(f"rgb-16-{end}", wide, byteorder=order)
        save(f"grey-16-{end}", wide[..., 0].copy(), byteorder=order, compression="lzw")
    save(
        "planes-tiles",
        rgb.transpose(2, 0, 1).copy(),
        planarconfig="separate",
        tile=(16, 32),
        compression="lzw",
    )
    save(
        "planes-alpha",
        alpha.transpose(2, 0, 1).copy(),
        planarconfig="separate",
        extrasamples=["unassalpha"],
        photometric="rgb",
    )
    save("alpha-lzw", alpha, extrasamples=["unassalpha"], compression="lzw", predictor=2)
    save("alpha-16", np.dstack([wide, alpha[..., 3].astype(np.uint16) * 257]), extrasamples=["unassalpha"])
    save("alpha-associated", alpha, extrasamples=["assocalpha"])
    save("unspecified", alpha, extrasamples=["unspecified"])
    save(
        "grey-alpha",
        np.dstack([grey, alpha[..., 3]]),
        photometric="minisblack",
        extrasamples=["unassalpha"],
        compression="lzw",
    )
    save(
        "grey-unspecified",
        np.dstack([grey, alpha[..., 3]]),
        photometric="minisblack",
        extrasamples=["unspecified"],
    )
    save("white-is-0", grey, photometric="miniswhite", compression="packbits")
    save("white-is-0-16", wide[..., 0].copy(), photometric="miniswhite")
    save("bilevel", grey > 128, compression="packbits", photometric="minisblack")
    save("bilevel-tiles", grey > 128, compression="lzw", photometric="minisblack", tile=(16, 32))
    save("bilevel-white-is-0", grey > 128, photometric="miniswhite")
    save("cmyk-lzw", alpha, photometric="separated", compression="lzw")
    save("cmyk-16", np.dstack([wide, wide[..., :1]]), photometric="separated")
    save("float", grey.astype(np.float32), photometric="minisblack")
    save("32-bit", grey.astype(np.uint32), photometric="minisblack")
    save("big", rgb, bigtiff=True)
    save("jpeg", rgb, compression="jpeg", tile=(16, 16))
    save("lzma", rgb, compression="lzma")
    save("zstd", rgb, compression="zstd")
    save("webp", rgb, compression="webp", tile=(16, 16))
    save("pages", np.stack([rgb, rgb[::-1]]), photometric="rgb", compression="lzw")
    noise = np.random.default_rng(8).integers(0, 256, (70, 90), np.uint8)
    save("noise-lzw", noise, compression="lzw")
    save("flat-lzw", np.zeros((200, 300), np.uint8), compression="lzw")
    return made


if __name__ == "__main__":
    with Image.open(sys.argv[1]) as image:
        photograph = image.convert("RGB")
    for name, data in (webps(photograph) | tiffs(photograph)).items():
        (Path(sys.argv[2]) / name).write_bytes(data)
