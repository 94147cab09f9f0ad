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
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_iris, load_sample_image

from forgo._errors import PictureError
from forgo._picture import decode

sys.path.insert(0, str(Path(__file__).parent.parent))
from conformance.jpegs import jpegs
from conformance.others import bmps, gifs, tiffs
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
        made[f"grey-{bits}-bit.png"] = _png(
            grey.width, grey.height, bits, 0, _packed(np.asarray(grey) >> (8 - bits), bits)
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
    made["sixteen-bit-rgb.png"] = _png(4, 4, 16, 2, (b"\x00" + b"\x12\x34" * 12) * 4)
    save("animated.png", photograph, "PNG", save_all=True, append_images=[grey.convert("RGB")])

    made |= jpegs() | _pngs(photograph) | gifs(photograph) | bmps(photograph) | tiffs(photograph)
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
    made["huge.png"] = png[:8] + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    made["no-pixels.png"] = _png(0, 5, 8, 2, b"")
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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    rows: bytes,
    chunks: list[tuple[bytes, bytes]] | None = None,
    interlaced: bool = False,
    header: bytes = b"",
    parts: int = 1,
) -> bytes:
    start = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced) + header
    packed = zlib.compress(rows)
    size = -(-len(packed) // parts)
    body = [(b"IDAT", packed[at : at + size]) for at in range(0, len(packed), size)]
    every = [(b"IHDR", start), *(chunks or []), *body, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in every)


def _pngs(photograph: Image.Image) -> dict[str, bytes]:
    """Every colour type and depth, interlaced or not, and what is amiss in others' files."""
    generator = np.random.default_rng(5)
    made: dict[str, bytes] = {}
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        for depth in depths:
            for interlaced in (False, True):
                width, height = (13, 11) if interlaced else (9, 7)
                lines = []
                for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
                    size = (-(-(width - x) // across) * samples * depth + 7) // 8
                    for number in range(-(-(height - y) // down)):
                        lines.append(
                            bytes([number % 5]) + generator.integers(0, 256, size, np.uint8).tobytes()
                        )
                colours = [
                    (b"PLTE", generator.integers(0, 256, 3 * min(200, 1 << depth), np.uint8).tobytes())
                ]
                name = f"type-{colour}-{depth}-bit{'-interlaced' if interlaced else ''}"
                body = b"".join(lines)
                own = colours if colour == 3 else []
                made[f"{name}.png"] = _png(width, height, depth, colour, body, own, interlaced)
                if colour in (0, 2):
                    key = (b"tRNS", struct.pack(f">{samples}H", *[min(200, (1 << depth) - 1)] * samples))
                    made[f"{name}-key.png"] = _png(width, height, depth, colour, body, [key], interlaced)
                if colour == 3:
                    alphas = [
                        *colours,
                        (b"tRNS", generator.integers(0, 256, 1 << (depth - 1), np.uint8).tobytes()),
                    ]
                    made[f"{name}-alphas.png"] = _png(width, height, depth, colour, body, alphas, interlaced)
    translucent = photograph.convert("RGBA")
    translucent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    out = io.BytesIO()
    translucent.save(out, "PNG")
    made["translucent.png"] = out.getvalue()

    rows = b"".join(bytes([n % 5]) + generator.integers(0, 256, 12, np.uint8).tobytes() for n in range(4))
    palette = (b"PLTE", bytes(range(9)))
    amiss: dict[str, list[tuple[bytes, bytes]]] = {
        "palette-in-colour": [palette], "empty-phys": [(b"pHYs", b"")], "empty-gama": [(b"gAMA", b"")],
        "empty-srgb": [(b"sRGB", b"")], "empty-chrm": [(b"cHRM", b"")], "iccp-without-nul": [(b"iCCP", b"name")],
        "ztxt-method-1": [(b"zTXt", b"key\x00\x01text")], "unknown-critical": [(b"ABCD", b"")],
        "text-bomb": [(b"zTXt", b"key\x00\x00" + zlib.compress(bytes(4 << 20)))],
        "two-headers": [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))], "two-keys": [(b"tRNS", bytes(6)), (b"tRNS", b"x")],
        "short-key": [(b"tRNS", b"x")],
    }  # fmt: skip
    for name, chunks in amiss.items():
        made[f"{name}.png"] = _png(4, 4, 8, 2, rows, chunks)
    whole = _png(4, 4, 8, 2, rows)
    for cut in (1, 4, 8, 12, 13, 22):
        made[f"without-last-{cut}.png"] = whole[:-cut]
    made["after-the-end.png"] = whole + b"something else"
    made["checksum-of-end.png"] = whole[:-1] + b"x"
    made["checksum-of-pixels.png"] = whole[:-13] + b"x" + whole[-12:]
    made["key-after-pixels.png"] = whole[:-12] + _chunk(b"tRNS", bytes(6)) + whole[-12:]
    made["too-many-pixels.png"] = _png(4, 4, 8, 2, rows + b"x")
    made["too-few-pixels.png"] = _png(4, 4, 8, 2, rows[:-1])
    made["filter-5.png"] = _png(4, 4, 8, 2, b"\x05" + rows[1:])
    made["long-header.png"] = _png(4, 4, 8, 2, rows, header=bytes(1))
    made["compression-1.png"] = (
        whole[:8] + _chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 1, 0, 0)) + whole[33:]
    )
    made["palette-in-grey.png"] = _png(2, 1, 8, 0, b"\x00ab", [palette])
    made["palette-missing.png"] = _png(2, 1, 8, 3, b"\x00\x00\x01")
    made["palette-too-long.png"] = _png(2, 1, 8, 3, b"\x00\x00\x01", [(b"PLTE", bytes(771))])
    made["palette-longer-than-depth.png"] = _png(2, 1, 1, 3, b"\x00\x80", [(b"PLTE", bytes(range(48)))])
    made["palette-twice.png"] = _png(2, 1, 8, 3, b"\x00\x00\x01", [palette, palette])
    made["past-the-palette.png"] = _png(2, 1, 8, 3, b"\x00\x02\x03", [palette])
    split = _png(4, 4, 8, 2, rows, [], parts=3)
    made["three-data-chunks.png"] = split
    at = split.index(b"IDAT", split.index(b"IDAT") + 1) - 4
    made["data-in-two-places.png"] = split[:at] + _chunk(b"tEXt", b"a\x00b") + split[at:]
    made["after-the-stream.png"] = whole[:33] + _chunk(b"IDAT", zlib.compress(rows) + b"more") + whole[-12:]
    return made


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _packed(values: Any, bits: int) -> bytes:
    rows = []
    for row in values:
        padded = np.concatenate([row, np.zeros(-len(row) % (8 // bits), np.uint8)]).reshape(-1, 8 // bits)
        packed = np.zeros(len(padded), np.uint8)
        for i in range(8 // bits):
            packed |= padded[:, i] << (8 - bits * (i + 1))
        rows.append(b"\x00" + packed.tobytes())
    return b"".join(rows)


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


ONNX_TYPES = {
    "bool": TensorProto.BOOL, "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32,
    "int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64, "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
}  # fmt: skip


def graphs() -> dict[str, onnx.ModelProto]:
    """The graphs that predict/predicttest describes, and those that the batching and client tests ask."""
    value = helper.make_tensor_value_info

    def model(
        nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any] | None = None
    ) -> Any:
        graph = helper.make_graph(nodes, "conformance", inputs, outputs, constants or [])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made

    def constant(name: str, array: Any) -> Any:
        return numpy_helper.from_array(array, name)

    made = {
        "affine": model(
            [helper.make_node("Mul", ["x", "two"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("two", np.array([2], np.float32)), constant("one", np.array([1], np.float32))],
        ),
        "network": model(  # as a small classifier is, with noise for its weights
            [
                helper.make_node("Gemm", ["x", "w0", "b0"], ["h0"], transB=1),
                helper.make_node("Relu", ["h0"], ["h1"]),
                helper.make_node("MatMul", ["h1", "w1"], ["h2"]),
                helper.make_node("Add", ["h2", "b1"], ["h3"]),
                helper.make_node("Relu", ["h3"], ["h4"]),
                helper.make_node("MatMul", ["h4", "w2"], ["h5"]),
                helper.make_node("Add", ["h5", "b2"], ["h6"]),
                helper.make_node("Softmax", ["h6"], ["y"]),
            ],
            [value("x", TensorProto.FLOAT, ["batch", 64])],
            [value("y", TensorProto.FLOAT, ["batch", 10])],
            [
                constant(name, np.random.default_rng(seed).normal(size=shape).astype(np.float32))
                for seed, (name, shape) in enumerate(
                    {"w0": (32, 64), "b0": (32,), "w1": (32, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}.items()
                )
            ],
        ),
        "total": model(  # one number a row: what the server's tests take for a regression
            [helper.make_node("ReduceSum", ["x", "last"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch"])],
            [constant("last", np.array([1], np.int64))],
        ),
        "sum": model(  # a scalar
            [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, [])],
        ),
        "two": model(
            [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
            [value("a", TensorProto.FLOAT, ["batch", 2]), value("b", TensorProto.FLOAT, ["batch", 2])],
            [value("sum", TensorProto.FLOAT, ["batch", 2]), value("difference", TensorProto.FLOAT, ["batch", 2])],
        ),
        "planes": model(  # pictures with the channels first, to the mean of each
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3, 8, 6])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("sides", np.array([2, 3], np.int64))],
        ),
        "pictures": model(  # of any size, to the mean of each channel
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", "height", "width", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("sides", np.array([1, 2], np.int64))],
        ),
        "lookup": model(
            [helper.make_node("Gather", ["table", "x"], ["y"])],
            [value("x", TensorProto.INT64, ["batch", "n"])],
            [value("y", TensorProto.FLOAT, ["batch", "n"])],
            [constant("table", np.arange(10_000, dtype=np.float32) + 0.5)],
        ),
        "half-plus-three": model(  # TensorFlow Serving's documentation asks it: numbers without a shape of their own
            [helper.make_node("Mul", ["x", "half"], ["halved"]), helper.make_node("Add", ["halved", "three"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch"])],
            [value("y", TensorProto.FLOAT, ["batch"])],
            [constant("half", np.array(0.5, np.float32)), constant("three", np.array(3, np.float32))],
        ),
        "half-plus-two": model(  # as its quickstart has it: numbers in a column
            [helper.make_node("Mul", ["x", "half"], ["halved"]), helper.make_node("Add", ["halved", "two"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 1])],
            [value("y", TensorProto.FLOAT, ["batch", 1])],
            [constant("half", np.array(0.5, np.float32)), constant("two", np.array(2, np.float32))],
        ),
        "sensors": model(  # the inputs that its example of several has, given back
            [helper.make_node("Identity", [name], [f"{name}_again"]) for name in ("tag", "signal", "sensor")],
            [
                value("tag", TensorProto.STRING, ["batch"]),
                value("signal", TensorProto.FLOAT, ["batch", 5]),
                value("sensor", TensorProto.INT64, ["batch", 2, 2]),
            ],
            [
                value("tag_again", TensorProto.STRING, ["batch"]),
                value("signal_again", TensorProto.FLOAT, ["batch", 5]),
                value("sensor_again", TensorProto.INT64, ["batch", 2, 2]),
            ],
        ),
        "through": model(  # an output that is an input
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("x", TensorProto.FLOAT, ["batch", 3]), value("y", TensorProto.FLOAT, ["batch", 3])],
        ),
        "chosen": model(  # rows of x: fewer than the batch
            [helper.make_node("Compress", ["x", "which"], ["y"], axis=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3]), value("which", TensorProto.BOOL, ["batch"])],
            [value("y", TensorProto.FLOAT, ["some", 3])],
        ),
        "slow": model(
            [
                helper.make_node(
                    "Loop", ["times", "", "x"], ["y"],
                    body=helper.make_graph(
                        [helper.make_node("Sqrt", ["v"], ["w"]), helper.make_node("Identity", ["go"], ["on"])],
                        "body",
                        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, None)],
                        [value("on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
                    ),
                )
            ],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("times", np.array(2_000_000_000, np.int64))],
        ),
        "no-inputs": model(
            [helper.make_node("Identity", ["three"], ["y"])], [], [value("y", TensorProto.FLOAT, [3])],
            [constant("three", np.array([1, 2, 3], np.float32))],
        ),
        "scalar-string": model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", TensorProto.STRING, [])], [value("y", TensorProto.STRING, [])],
        ),
        "scalar-half": model(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            [value("x", TensorProto.FLOAT16, [])], [value("y", TensorProto.FLOAT16, [])],
        ),
        "through-half": model(  # an output that is an input
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT16, [2])],
            [value("x", TensorProto.FLOAT16, [2]), value("y", TensorProto.FLOAT16, [2])],
        ),
        "through-scalar": model(
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT, [])],
            [value("x", TensorProto.FLOAT, []), value("y", TensorProto.FLOAT, [])],
        ),
        "chosen-half": model(  # of a size that only a run tells
            [helper.make_node("Compress", ["x", "which"], ["y"], axis=0)],
            [value("x", TensorProto.FLOAT16, ["rows", "columns"]), value("which", TensorProto.BOOL, ["rows"])],
            [value("y", TensorProto.FLOAT16, ["some", "columns"])],
        ),
        "free-planes": model(  # pictures of any size, the channels at an end that the shape does not tell
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["n", "c", "h", "w"])],
            [value("y", TensorProto.FLOAT, ["n", "c"])],
            [constant("sides", np.array([2, 3], np.int64))],
        ),
        "sequence": model(
            [helper.make_node("SequenceAt", ["x", "first"], ["y"])],
            [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["n"])],
            [value("y", TensorProto.FLOAT, ["n"])],
            [constant("first", np.array(0, np.int64))],
        ),
        "optional": model(
            [helper.make_node("OptionalGetElement", ["x"], ["y"])],
            [
                helper.make_value_info(
                    "x", helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"]))
                )
            ],
            [value("y", TensorProto.FLOAT, ["n"])],
        ),
    }  # fmt: skip
    made["zipmap"] = zipmap()
    for name, kind in ONNX_TYPES.items():
        made[f"same-{name}"] = model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", kind, ["batch", 2])],
            [value("y", kind, ["batch", 2])],
        )
    return made


def zipmap() -> onnx.ModelProto:
    """A classifier as scikit-learn's converter writes it unless told otherwise."""
    entry = onnx.TypeProto()
    entry.map_type.key_type = TensorProto.INT64
    entry.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        [
            helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            helper.make_node(
                "ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
            ),
        ],
        "conformance",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_value_info("probabilities", helper.make_sequence_type_proto(entry)),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def write_graphs() -> None:
    """Write the graphs, and two that are not as they should be."""
    folder = HERE / "graphs"
    folder.mkdir(exist_ok=True)
    for name, graph in graphs().items():
        (folder / f"{name}.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    unsaid = graphs()["sum"]  # a scalar that is not said to be one
    unsaid.graph.output[0].type.tensor_type.ClearField("shape")
    (folder / "sum-any.onnx").write_bytes(unsaid.SerializeToString(deterministic=True))
    outside = graphs()["affine"]  # keeps its weights in a file outside its folder
    weight = outside.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in (("location", "../secret.bin"), ("length", "4")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    (folder / "external-data.onnx").write_bytes(outside.SerializeToString(deterministic=True))


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
    write_graphs()
    write_bundles()
