"""Records what Python makes of pictures and graphs, for both languages to be held to.

    make conformance

pictures/ and pictures.json: encoded pictures with the pixels that Pillow decodes, or the refusal.
graphs/: small ONNX graphs for the engine conformance kit.
bundles/: two bundles of format 1. They are never made again: later versions must load them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_iris, load_sample_image

from forgo._errors import PictureError
from forgo._picture import decode

sys.path.insert(0, str(Path(__file__).parent.parent))
from conformance import engine_graphs
from conformance.jpegs import jpegs
from conformance.others import bmps, gifs, tiffs
from conformance.pngs import chunk, encode, packed_rows, pngs
from conformance.unknown import unknown
from conformance.webps import webps
from tests.environments import environment

HERE = Path(__file__).parent


def pictures() -> dict[str, bytes]:
    """Every kind of picture that has a rule, and those that are refused."""
    photograph = Image.fromarray(load_sample_image("china.jpg")).crop((180, 60, 180 + 53, 60 + 41))
    made: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, kind: str, **options: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, kind, **options)
        made[name] = out.getvalue()
        return made[name]

    for sampling, label in enumerate(("444", "422", "420")):
        for progressive in (False, True):
            how = "progressive" if progressive else "baseline"
            save(
                f"{label}-{how}.jpg",
                photograph,
                "JPEG",
                quality=80,
                subsampling=sampling,
                progressive=progressive,
            )
    save("411.jpg", photograph, "JPEG", quality=80, subsampling="4:1:1")
    for side in (1, 2, 3, 4, 5, 8, 9, 17):
        save(
            f"tiny-{side}.jpg",
            photograph.crop((0, 0, side, 1 + side // 2)),
            "JPEG",
            quality=90,
            subsampling=2,
        )
    for quality in (60, 95):
        save(f"quality-{quality}.jpg", photograph, "JPEG", quality=quality)
    grey = photograph.convert("L")
    save("grey.jpg", grey, "JPEG", quality=80)
    save("restart.jpg", photograph, "JPEG", quality=80, subsampling=2, restart_marker_blocks=3)
    save("rgb-coded.jpg", photograph, "JPEG", quality=85, keep_rgb=True)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"exif-{orientation}.jpg", photograph, "JPEG", quality=80, subsampling=2, exif=exif)
    base = made["420-baseline.jpg"]
    for name, tiff in {
        "motorola": b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00",
        "as-long": b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x04\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00",
        "out-of-range": b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00",
        "cut-short": b"II*\x00\x08\x00\x00\x00\x05\x00\x0f\x01",
        "far-offset": b"II*\x00\xff\xff\xff\xff",
        "no-tiff": b"hello, world",
    }.items():
        made[f"exif-{name}.jpg"] = _with_exif(base, tiff)
    made["exif-twice.jpg"] = _with_exif(_with_exif(base, _orientation(3)), _orientation(6))
    made["stray-bytes.jpg"] = base[:-2] + b"\x00\x11\x22" + base[-2:] + b"after the end"
    made["leading-fill.jpg"] = base[:2] + b"\xff\xff\xff" + base[2:]
    two = io.BytesIO()
    photograph.save(
        two, "MPO", save_all=True, append_images=[photograph.transpose(Image.Transpose.ROTATE_180)]
    )
    made["two-frames.mpo.jpg"] = two.getvalue()
    # Legal, and usual in Motion JPEG: the standard tables apply.
    made["no-huffman-tables.jpg"] = _without(base, 0xC4)
    made["no-huffman-tables-grey.jpg"] = _without(made["grey.jpg"], 0xC4)

    save("rgb.png", photograph, "PNG")
    save("grey.png", grey, "PNG")
    save("one-bit.png", photograph.convert("1"), "PNG")
    for colours in (2, 4, 16, 200):
        save(f"palette-{colours}.png", photograph.quantize(colours), "PNG")
    for bits in (2, 4):
        made[f"grey-{bits}-bit.png"] = encode(
            grey.width, grey.height, bits, 0, packed_rows(np.asarray(grey) >> (8 - bits), bits)
        )
    exif = Image.Exif()
    exif[0x0112] = 6
    save("exif-6.png", photograph, "PNG", exif=exif)
    save("cmyk.jpg", photograph.convert("CMYK"), "JPEG")
    save("alpha.png", photograph.convert("RGBA"), "PNG")
    save("grey-alpha.png", grey.convert("LA"), "PNG")
    save("transparent-colour.png", photograph, "PNG", transparency=photograph.getpixel((3, 3)))
    save("transparent-palette.png", photograph.quantize(8), "PNG", transparency=0)
    save("sixteen-bit-grey.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG")
    made["sixteen-bit-rgb.png"] = encode(4, 4, 16, 2, (b"\x00" + b"\x12\x34" * 12) * 4)
    save("animated.png", photograph, "PNG", save_all=True, append_images=[grey.convert("RGB")])

    made |= jpegs() | pngs(photograph) | gifs(photograph) | bmps(photograph) | tiffs(photograph)
    made |= webps(photograph) | encoded(photograph) | unknown(photograph)

    # Refused: no rule is stated for them, or they are broken.
    made["no-quantization-tables.jpg"] = _without(base, 0xDB)
    upload = made["420-progressive.jpg"]
    made["started-again.jpg"] = upload[: len(upload) // 2] + upload
    made["empty.jpg"] = b""
    made["text.jpg"] = b"this is a text file named .jpg\n"
    made["header-only.jpg"] = base[:3]
    made["other.webp"] = b"RIFF\x1a\x00\x00\x00WEBPVP8L" + bytes(14)
    for part in (20, 200, len(base) // 2, len(base) - 2):
        made[f"truncated-at-{part}.jpg"] = base[:part]
    png = made["rgb.png"]
    for part in (12, 40, len(png) // 2):
        made[f"truncated-at-{part}.png"] = png[:part]
    made["flipped-bit.png"] = png[:100] + bytes([png[100] ^ 1]) + png[101:]
    made["huge.png"] = png[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    made["no-pixels.png"] = encode(0, 5, 8, 2, b"")
    return made


def encoded(photograph: Image.Image) -> dict[str, bytes]:
    """Pictures by encoders that live in an environment of their own."""
    folder = HERE / "encoders"
    with tempfile.TemporaryDirectory() as path:
        source, made = Path(path) / "photograph.png", Path(path) / "made"
        photograph.save(source)
        made.mkdir()
        subprocess.run([environment(folder), folder / "encode.py", source, made], check=True)
        return {p.name: p.read_bytes() for p in sorted(made.iterdir())}


def _without(jpeg: bytes, marker: int) -> bytes:
    """Leave out one kind of segment before the first scan."""
    at, kept = 2, jpeg[:2]
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != marker:
            kept += jpeg[at:end]
        at = end
    return kept + jpeg[at:]


def _orientation(value: int) -> bytes:
    return b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([value]) + bytes(7)


def _with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    body = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _digest(pixels: Any) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def write_pictures() -> None:
    """Write the pictures and what Python makes of each."""
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    cases = []
    for name, data in sorted(pictures().items()):
        (folder / name).write_bytes(data)
        try:
            pixels = decode(data)
        except PictureError as e:
            cases.append({"file": name, "refused": str(e)})
            continue
        case = {"file": name, "height": pixels.shape[0], "width": pixels.shape[1], "sha256": _digest(pixels)}
        for ground in ("white", "black"):
            if (over := decode(data, ground)).tobytes() != pixels.tobytes():
                case[ground] = _digest(over)
        cases.append(case)
    (HERE / "pictures.json").write_text(json.dumps(cases, indent=1) + "\n")


def write_bundles() -> None:
    """Write the two bundles of format 1, unless they are there."""
    folder = HERE / "bundles"
    folder.mkdir(exist_ok=True)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if not (folder / "shapes.forgo").exists():
        write_picture_bundle(folder)
    if not (folder / "iris.forgo").exists():
        write_row_bundle(folder)


def write_picture_bundle(folder: Path) -> None:
    """A tiny classifier of photographs by their dominant colour, exported from Keras."""
    import keras

    import forgo

    keras.utils.set_random_seed(1)
    samples = HERE.parent / "build" / "shapes"
    labels = ["blue", "green", "red"]
    generator = np.random.default_rng(2)
    photograph = load_sample_image("flower.jpg").astype(np.float32)
    x, y = [], []
    for number in range(90):
        kind = number % 3
        at = generator.integers(0, 300, 2)
        tile = 0.45 * photograph[at[0] : at[0] + 37, at[1] : at[1] + 45]
        tile[..., 2 - kind] += 90
        image = Image.fromarray(tile.clip(0, 255).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        folder = samples / labels[kind]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{labels[kind]}-{number:03d}"
        if number % 9 == 4:
            image.save(path.with_suffix(".png"))
        else:
            image.save(
                path.with_suffix(".jpg"),
                quality=85,
                subsampling=number % 3,
                progressive=number % 2 == 0,
                exif=exif,
            )
        x.append(np.asarray(image.resize((16, 16)), np.float32))
        y.append(kind)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="inferenceLayer"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.stack(x), np.array(y), epochs=6, verbose=0)
    forgo.export(model, folder / "shapes.forgo", examples=samples, labels=labels, fit="crop")


def write_row_bundle(folder: Path) -> None:
    """A classifier of scikit-learn's irises from four measurements, exported from Keras."""
    import keras

    import forgo

    keras.utils.set_random_seed(1)
    iris = load_iris()
    rows = iris.data.astype(np.float32)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Normalization(mean=rows.mean(axis=0), variance=rows.var(axis=0)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(rows, iris.target, epochs=40, verbose=0)
    forgo.export(model, folder / "iris.forgo", examples=rows, labels=[str(n) for n in iris.target_names])


if __name__ == "__main__":
    write_pictures()
    engine_graphs.write(HERE / "graphs")
    write_bundles()
