"""preprocess.onnx: decoded pixels to the model's input, one graph for training and serving.

The graph takes ``image``, uint8 [H, W, 3], and gives ``pixels``, float32 [height, width, 3] or, of a
model with one channel, [height, width, 1], with values from 0 to 255: crop, grey, resize, pad, cast.
Normalization is the model's own.

Models without a bundle have graphs too, one for each way to resize, which the Go library
carries; their settings are inputs, see :func:`build_bare`. ``python -m forgo._preprocess FOLDER``
writes them, and ``graphs.json``, by which Go recognizes bundles' graphs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from forgo import _resample
from forgo._nodes import BOOL, DOUBLE, FLOAT, INT32, INT64, UINT8, Nodes, Value
from forgo._onnxruntime import session
from forgo._picture import Alpha, decode
from forgo._resample import Axis
from forgo._rules import FITS, RESIZES, Fit, Resize, Rules

INPUT = "image"
OUTPUT = "pixels"


def build(height: int, width: int, rules: Rules | None = None, *, channels: int = 3, **of_rules: Any) -> onnx.ModelProto:  # fmt: skip
    """Build the preprocessing graph for one picture; for one channel it turns grey before the resize.

    Give the rules as a whole or one by one.

    Raises:
        ForgoError: as :meth:`Rules.for_size`.
    """
    rules = (rules or Rules(**of_rules)).for_size(height, width)
    n = Nodes()
    # The bundle's choices have names of their own, so that nothing else depends on them: see digest.
    size = (n.array(np.array(height), "rows"), n.array(np.array(width), "columns"))
    shorter_side = n.array(np.array(rules.shorter_side), "shorter_side") if rules.shorter_side else ""
    axes, shown = _fitted(n, rules.fit, size, shorter_side)
    colours = _grey if channels == 1 else _coloured
    pixels = _resample.resize(n, rules.resize, INPUT, *axes, colours)
    if rules.fit == "pad":
        ground = n.array(np.array(rules.pad_colour, np.uint8), "pad_colour")
        pixels = n("Where", shown, pixels, n.cast(colours(n, ground), FLOAT))
    # Fixes the size, which nothing else in the graph does.
    pixels = n("Reshape", pixels, n.array(np.array([height, width, channels]), "size"))
    n("Identity", pixels, name=OUTPUT)
    return n.model(
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["height", "width", 3])],
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [height, width, channels]),
    )


CHOSEN = ("rows", "columns", "size", "shorter_side", "pad_colour")
"""A graph's constants that the bundle chooses."""


def digest(model: onnx.ModelProto) -> str:
    """The SHA-256 of a graph without the bundle's choices: size, shorter side and background."""
    same = onnx.ModelProto()
    same.CopyFrom(model)
    for constant in same.graph.initializer:
        if constant.name in CHOSEN:
            constant.CopyFrom(onnx.TensorProto(name=constant.name))
    del same.graph.output[:]
    return hashlib.sha256(same.SerializeToString(deterministic=True)).hexdigest()


def digests() -> dict[str, str]:
    """The digest of each graph that :func:`build` makes, by filter, fit and channels."""
    return {
        f"{resize} {fit} {channels}": digest(build(8, 8, resize=resize, fit=fit, channels=channels))
        for resize in RESIZES
        for fit in FITS
        for channels in (1, 3)
    }


def build_bare(resize: Resize) -> onnx.ModelProto:
    """Build the graph that prepares pictures for a model without a bundle.

    Beside ``image`` its inputs are ``size`` (int64: height, width), ``fit`` (int64: which of :data:`FITS`),
    ``shorter_side`` (int64), ``pad_colour`` (uint8 [3], RGB), ``order`` (int64 [3]: where each
    of the model's channels is in RGB), ``scale`` (float32), ``mean`` and ``std`` (float32 [3], in
    the model's order) and ``channels_first`` (bool). The values are (pixel x scale - mean) / std.
    """
    n = Nodes()
    size = (n("Gather", "size", 0, axis=0), n("Gather", "size", 1, axis=0))
    made = [_fitted(n, fit, size, "shorter_side") for fit in get_args(Fit)]
    chosen = [n("Equal", "fit", number) for number in range(len(FITS))]

    def choose(values: list[str]) -> str:
        value = values[0]
        for is_it, other in zip(chosen[1:], values[1:], strict=True):
            value = n("Where", is_it, other, value)
        return value

    rows, columns = (
        Axis(*(choose([getattr(axes[side], part) for axes, _ in made]) for part in Axis.__match_args__))
        for side in (0, 1)
    )
    pixels = _resample.resize(n, resize, INPUT, rows, columns, _coloured)
    outside = n("And", chosen[FITS.index("pad")], n("Not", made[FITS.index("pad")][1]))
    pixels = n("Where", outside, n.cast("pad_colour", FLOAT), pixels)
    pixels = n("Gather", pixels, "order", axis=2)
    pixels = n("Sub", n("Mul", pixels, "scale"), "mean")
    values = n("Div", pixels, "std", name="values")
    pixels = n.choose(
        "channels_first",
        lambda inside: inside("Transpose", values, perm=[2, 0, 1]),
        lambda inside: inside("Identity", values),
    )
    n("Identity", pixels, name=OUTPUT)
    value = helper.make_tensor_value_info
    return n.model(
        [
            value(INPUT, UINT8, ["height", "width", 3]),
            value("size", INT64, [2]),
            value("fit", INT64, []),
            value("shorter_side", INT64, []),
            value("pad_colour", UINT8, [3]),
            value("order", INT64, [3]),
            value("scale", FLOAT, []),
            value("mean", FLOAT, [3]),
            value("std", FLOAT, [3]),
            value("channels_first", BOOL, []),
        ],
        value(OUTPUT, FLOAT, [None, None, None]),
    )


def _coloured(n: Nodes, pixels: str) -> str:
    del n
    return pixels


def _grey(n: Nodes, pixels: str) -> str:
    """Weigh the colours as Pillow's ``convert("L")`` does: in whole numbers, (19595 R + 38470 G + 7471 B + 2^15) >> 16."""
    weights = n.array(np.array([19595, 38470, 7471], np.int32), "grey_weights")
    total = n("ReduceSum", n("Mul", n.cast(pixels, INT32), weights), n.ints(-1), keepdims=1)
    half, one = n.scalar(1 << 15, np.int32), n.scalar(1 << 16, np.int32)
    return n.cast(n("Div", n("Add", total, half), one), UINT8)


def _fitted(n: Nodes, fit: Fit, size: tuple[str, str], shorter_side: str) -> tuple[tuple[Axis, Axis], str]:
    """How rows and columns fit into a size.

    Returns:
        The axes; and for ``pad``, bool [height, width, 1]: where the picture is. Elsewhere the positions repeat its edge.
    """
    shape = n("Shape", INPUT)
    have = [n("Gather", shape, side, axis=0) for side in (0, 1)]
    begin = [n.scalar(0), n.scalar(0)]
    total = list(size)
    skipped: list[Value] = [0, 0]
    if fit == "crop":
        for side in (0, 1):
            wanted = n("Div", n("Mul", have[1 - side], size[side]), size[1 - side])
            total[side] = n("Min", n("Max", wanted, 1), have[side])
        begin = [n("Div", n("Sub", all_, part), 2) for all_, part in zip(have, total, strict=True)]
        have, total = total, list(size)
    if fit == "shorter-side":
        for side in (0, 1):
            longer = n("Div", n("Mul", shorter_side, have[side]), have[1 - side])
            upright = n("LessOrEqual", have[side], have[1 - side])
            total[side] = n("Where", upright, shorter_side, longer)
            skipped[side] = _half(n, n("Sub", total[side], size[side]))
    shown = ""
    if fit == "pad":
        ratio, target = (n("Div", n.cast(s[1], DOUBLE), n.cast(s[0], DOUBLE)) for s in (have, size))
        for side, tight in ((0, n("Greater", ratio, target)), (1, n("Less", ratio, target))):
            other = 1 - side
            share = n("Div", n.cast(have[side], DOUBLE), n.cast(have[other], DOUBLE))
            part = n.cast(n("Round", n("Mul", share, n.cast(size[other], DOUBLE))), INT64)
            total[side] = n("Where", tight, part, size[side])
    positions = []
    for side in (0, 1):
        at = n("Range", 0, size[side], 1)
        if fit == "pad":
            before = _half(n, n("Sub", size[side], total[side]))
            at = n("Sub", at, before)
            inside = n("And", n("GreaterOrEqual", at, 0), n("Less", at, total[side]))
            inside = n("Unsqueeze", inside, n.ints(*((1, 2) if side == 0 else (0, 2))))
            shown = n("And", shown, inside) if shown else inside
            total[side] = n("Max", total[side], 1)
            at = n("Min", n("Max", at, 0), n("Sub", total[side], 1))
        positions.append(n("Add", at, skipped[side]))
    axes = [Axis(*of) for of in zip(begin, have, total, positions, strict=True)]
    return (axes[0], axes[1]), shown


def _half(n: Nodes, whole: str) -> str:
    """Half of it, rounded half to even, as Python's round does."""
    return n.cast(n("Round", n("Mul", n.cast(whole, DOUBLE), 0.5)), INT64)


class Preprocessor:
    """Runs a preprocessing graph in ONNX Runtime. Safe to use from many threads at once."""

    def __init__(self, model: onnx.ModelProto, alpha: Alpha = "drop", rules: Rules | None = None) -> None:
        self.alpha = alpha
        self.rules = rules or Rules()
        """The rules that the graph was built from."""
        self.graph = model.SerializeToString(deterministic=True)
        self._session = session(self.graph, threads=1)  # pictures run side by side instead

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn decoded pixels, uint8 [H, W, 3], into float32 [height, width, 3]."""
        (out,) = self._session.run([OUTPUT], {INPUT: pixels})
        return np.asarray(out, np.float32)

    def read(self, path: Path) -> npt.NDArray[np.float32]:
        """Decode and preprocess one picture file.

        Raises:
            PictureError: the picture is refused.
            OSError: the file cannot be read.
        """
        return self(self.decode(path.read_bytes()))

    def decode(self, raw: bytes) -> npt.NDArray[np.uint8]:
        """Decode one picture, by the graph's rule for transparent pixels.

        Raises:
            PictureError: the picture is refused.
        """
        return decode(raw, self.alpha)


if __name__ == "__main__":
    for way in get_args(Resize):
        (Path(sys.argv[1]) / f"{way}.onnx").write_bytes(build_bare(way).SerializeToString(deterministic=True))
    (Path(sys.argv[1]) / "graphs.json").write_text(json.dumps(digests(), indent=1) + "\n")
