"""How the libraries that people train with bring a picture to a size, and prepared.json: what comes of one picture.

    make conformance

tests/test_resize.py holds the rules to the same calls on many pictures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

HERE = Path(__file__).parent
PICTURE = HERE / "pictures" / "rgb.png"
SIZE = 8

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Call = Callable[[Pixels, int, int], Floats]


def pillow(way: Image.Resampling) -> Call:
    """Pillow's ``Image.resize``."""
    return lambda x, h, w: np.asarray(Image.fromarray(x).resize((w, h), way), np.float32)


def tensorflow(**how: Any) -> Call:
    """``tf.image.resize``."""

    def call(x: Pixels, h: int, w: int) -> Floats:
        import tensorflow as tf

        return np.asarray(tf.image.resize(x, (h, w), **how), np.float32)

    return call


def tensorflow_1(x: Pixels, h: int, w: int) -> Floats:
    """TensorFlow 1's ``resize_bilinear``."""
    import tensorflow as tf

    return np.asarray(tf.compat.v1.image.resize_bilinear(x[None], (h, w))[0], np.float32)


def torch_cubic(x: Pixels, h: int, w: int) -> Floats:
    """torch.nn.functional.interpolate(mode="bicubic") by its definition: places in single precision."""

    def along(have: int, want: int) -> npt.NDArray[np.float64]:
        scale = np.float32(have) / np.float32(want)
        at = (np.arange(want, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
        low = np.floor(at).astype(int)
        matrix = np.zeros((want, have))
        for tap in range(-1, 3):
            d = np.abs((at - low).astype(float) - tap)
            a = -0.75
            near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
            np.add.at(matrix, (np.arange(want), np.clip(low + tap, 0, have - 1)), np.where(d <= 1, near, far))
        return matrix

    rows, columns = along(x.shape[0], h), along(x.shape[1], w)
    made = np.einsum("jp,pqc,kq->jkc", rows, x.astype(float), columns, optimize=True)
    return np.asarray(made, np.float32)


R = Image.Resampling
CALLS: dict[str, Call] = {
    "bilinear": tensorflow(method="bilinear"),
    "bilinear-antialias": tensorflow(method="bilinear", antialias=True),
    "bilinear-tf1": tensorflow_1,
    "bilinear-pillow": pillow(R.BILINEAR),
    "bicubic": tensorflow(method="bicubic"),
    "bicubic-antialias": tensorflow(method="bicubic", antialias=True),
    "bicubic-pillow": pillow(R.BICUBIC),
    "bicubic-torch": torch_cubic,
    "lanczos3": tensorflow(method="lanczos3"),
    "lanczos3-antialias": tensorflow(method="lanczos3", antialias=True),
    "lanczos5": tensorflow(method="lanczos5"),
    "lanczos5-antialias": tensorflow(method="lanczos5", antialias=True),
    "lanczos-pillow": pillow(R.LANCZOS),
    "box-pillow": pillow(R.BOX),
    "hamming-pillow": pillow(R.HAMMING),
    "area": tensorflow(method="area"),
    "nearest": pillow(R.NEAREST),
    "nearest-tf": tensorflow(method="nearest"),
}


def torchvision(x: Pixels, side: int, height: int, width: int, way: Image.Resampling) -> Floats:
    """Resize(side) and CenterCrop((height, width)) on a Pillow image, by torchvision's rules."""
    image = Image.fromarray(x)
    w, h = image.size
    image = image.resize((side, int(side * h / w)) if w <= h else (int(side * w / h), side), way)
    top, left = round((image.height - height) / 2.0), round((image.width - width) / 2.0)
    return np.asarray(image.crop((left, top, left + width, top + height)), np.float32)


def cases() -> list[dict[str, Any]]:
    """Settings of models without a bundle, and the values that they come to."""
    pixels = np.asarray(Image.open(PICTURE))
    side = min(pixels.shape[:2])
    top, left = ((have - side) // 2 for have in pixels.shape[:2])
    centre = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    padded = ImageOps.pad(Image.fromarray(pixels), (SIZE, SIZE), R.BICUBIC, (255, 1, 7))
    settings: dict[str, dict[str, Any]] = {
        "bilinear-tf1": {"channels": "BGR", "mean": [103.939, 116.779, 123.68]},
        "bilinear-antialias": {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "nearest": {"scale": 1 / 127.5, "mean": [1]},
    }  # fmt: skip
    ways: list[tuple[Any, dict[str, Any]]] = [
        (call(pixels, SIZE, SIZE), {"resize": resize, **settings.get(resize, {})})
        for resize, call in CALLS.items()
    ]
    ways += [
        (CALLS["bilinear"](centre, SIZE, SIZE), {"resize": "bilinear", "fit": "crop"}),
        (padded, {"resize": "bicubic-pillow", "fit": "pad", "pad_colour": [255, 1, 7]}),
        (
            torchvision(pixels, 11, SIZE, SIZE, R.BILINEAR),
            {"resize": "bilinear-pillow", "fit": "shorter-side", "shorter_side": 11},
        ),
    ]
    made = []
    for resized, of in ways:
        values = np.asarray(resized, np.float64)
        if of.get("channels") == "BGR":
            values = values[..., ::-1]
        values = (values * of.get("scale", 1) - np.array(of.get("mean", 0))) / np.array(of.get("std", 1))
        made.append({**of, "values": values.astype(np.float32).tolist()})
    return made


if __name__ == "__main__":
    record = {"file": f"pictures/{PICTURE.name}", "cases": cases()}
    (HERE / "prepared.json").write_text(json.dumps(record) + "\n")
