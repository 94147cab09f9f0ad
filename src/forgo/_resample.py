"""Resizing in ONNX nodes, with exactly the results of the libraries used in training.

Every filter works on one axis at a time. An :class:`Axis` says which positions of the resized axis are wanted, so
that cropped pixels are never computed. Nothing here makes a float copy of a whole picture: the rows that a
filter needs are gathered as bytes, tap by tap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from forgo._nodes import DOUBLE, FLOAT, INT32, INT64, UINT8, Nodes


@dataclass(frozen=True)
class Axis:
    """One axis of a picture, and the wanted positions once it is resized. All are int64."""

    start: str
    """Where the resized part begins in the picture."""
    have: str
    """Pixels of that part."""
    total: str
    """Pixels that it is resized to."""
    positions: str
    """[wanted]: the wanted ones of these."""


Colours = Callable[[Nodes, str], str]
"""Makes the model's channels of uint8 [..., 3], in uint8 [..., channels]."""


@dataclass(frozen=True)
class Taps:
    """The taps of each wanted pixel of an axis, from first to last."""

    count: str
    """int64: the number of taps of each."""
    index: str
    """int64 [taps, wanted]: pixels of the picture."""
    weights: str
    """[taps, wanted, 1, 1], in the type of the sums."""


def resize(n: Nodes, way: str, picture: str, rows: Axis, columns: Axis, colours: Colours) -> str:
    """Resize a picture, uint8 [H, W, 3], by one of :data:`WAYS`, to float32 [rows, columns, channels]."""
    if way.startswith("nearest"):
        find = _nearest_pillow if way == "nearest" else _nearest_tf
        taken = n("Gather", picture, find(n, rows), axis=0)
        return n.cast(colours(n, n("Gather", taken, find(n, columns), axis=1)), FLOAT)
    if way in ("bilinear", "bilinear-tf1"):
        return _bilinear(n, picture, rows, columns, colours, half_pixel=way == "bilinear")
    if way in _PILLOW:
        return _rounded(n, picture, rows, columns, colours, _PILLOW[way])
    return _summed(n, picture, rows, columns, colours, _FLOATS[way])


# Nearest neighbours.


def _nearest_pillow(n: Nodes, axis: Axis) -> str:
    """Pillow adds up steps in double precision, from half of one."""
    step = n("Div", n.cast(axis.have, DOUBLE), n.cast(axis.total, DOUBLE))
    numbers = n("Range", 0, axis.total, 1)
    steps = n("Where", n("Equal", numbers, 0), n("Mul", step, 0.5), step)
    found = n("Gather", n.cast(n("CumSum", steps, 0), INT64), axis.positions)
    return n("Add", n("Min", found, n("Sub", axis.have, 1)), axis.start)


def _nearest_tf(n: Nodes, axis: Axis) -> str:
    """TensorFlow takes the pixel at the centre, in single precision."""
    at = n("Floor", n("Mul", _plus_half(n, axis), _scale(n, axis)))
    return n("Add", n("Min", n.cast(at, INT64), n("Sub", axis.have, 1)), axis.start)


def _scale(n: Nodes, axis: Axis) -> str:
    return n("Div", n.cast(axis.have, FLOAT), n.cast(axis.total, FLOAT))


def _plus_half(n: Nodes, axis: Axis) -> str:
    return n("Add", n.cast(axis.positions, FLOAT), _f(n, 0.5))


def _f(n: Nodes, value: float) -> str:
    return n.scalar(value, np.float32)


# TensorFlow's bilinear, operation by operation: it is equal, not close.


def _bilinear(
    n: Nodes, picture: str, rows: Axis, columns: Axis, colours: Colours, *, half_pixel: bool
) -> str:
    def between(axis: Axis) -> tuple[str, str, str]:
        """The pixels on either side, and the distance from the first."""
        if half_pixel:
            at = n("Sub", n("Mul", _plus_half(n, axis), _scale(n, axis)), _f(n, 0.5))
        else:
            at = n("Mul", n.cast(axis.positions, FLOAT), _scale(n, axis))
        below = n("Floor", at)
        last = n("Sub", axis.have, 1)
        lower = n("Max", n.cast(below, INT64), 0)
        upper = n("Min", n.cast(n("Ceil", at), INT64), last)
        return n("Add", lower, axis.start), n("Add", upper, axis.start), n("Sub", at, below)

    def mixed(a: str, b: str, share: str) -> str:
        return n("Add", a, n("Mul", n("Sub", b, a), share))

    top, bottom, down = between(rows)
    left, right, along = between(columns)
    along = n("Unsqueeze", along, n.ints(1, 2))

    def along_row(row: str) -> str:
        # Columns first, then rows: gathering then copies long pieces.
        line = n("Transpose", colours(n, n("Gather", picture, row, axis=0)), perm=[1, 2, 0])
        before, behind = (n.cast(n("Gather", line, side, axis=0), FLOAT) for side in (left, right))
        return mixed(before, behind, along)

    return n("Transpose", mixed(along_row(top), along_row(bottom), down), perm=[2, 0, 1])


# Filters that sum in single precision.


def _summed(
    n: Nodes, picture: str, rows: Axis, columns: Axis, colours: Colours, taps: Callable[[Nodes, Axis], Taps]
) -> str:
    zero = n("ConstantOfShape", n.ints(1, 1, 1), value=_tensor(np.float32))

    def gathered(inside: Nodes, index: str) -> str:
        return inside.cast(colours(inside, inside("Gather", picture, index, axis=0)), FLOAT)

    lines = _sum(n, zero, taps(n, rows), gathered)
    lines = n("Transpose", lines, perm=[1, 2, 0])
    made = _sum(n, zero, taps(n, columns), lambda inside, index: inside("Gather", lines, index, axis=0))
    return n("Transpose", made, perm=[2, 0, 1])


def _tensor(dtype: type[np.number[Any]], value: int = 0) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value], dtype))


def _sum(n: Nodes, start: str, taps: Taps, gathered: Callable[[Nodes, str], str]) -> str:
    """Sum the pixels gathered for each tap, [wanted, ...], times its weights."""

    def turn(inside: Nodes, number: str, state: list[str]) -> tuple[list[str], list[str]]:
        index = inside("Gather", taps.index, number, axis=0)
        weights = inside("Gather", taps.weights, number, axis=0)
        return [inside("Add", state[0], inside("Mul", gathered(inside, index), weights))], []

    return n.loop(taps.count, [start], turn)[0]


def _taps(n: Nodes, axis: Axis, count: str, position: str, weights: str) -> Taps:
    """Taps of positions in the part, [wanted, taps]: those outside must weigh nothing, or stand for the edge."""
    inside = n("Min", n("Max", position, 0), n("Sub", axis.have, 1))
    index = n("Transpose", n("Add", inside, axis.start), perm=[1, 0])
    return Taps(count, index, n("Unsqueeze", n("Transpose", weights, perm=[1, 0]), n.ints(2, 3)))


def _normalized(n: Nodes, weights: str) -> str:
    """Weights divided by their sum, in double precision, so that any order gives the same number."""
    total = n("ReduceSum", n.cast(weights, DOUBLE), n.ints(1), keepdims=1)
    return n("Div", weights, n.cast(total, FLOAT))


def _columns(n: Nodes, values: str) -> str:
    return n("Unsqueeze", values, n.ints(1))


def _triangle(n: Nodes, x: str) -> str:
    return n("Sub", _f(n, 1), x)


def _cubic(n: Nodes, x: str) -> str:
    """Keys's kernel with a = -0.5, in TensorFlow's order."""
    one = functools.partial(_f, n)
    near = n("Mul", n("Mul", n("Sub", n("Mul", one(1.5), x), one(2.5)), x), x)
    far = n("Add", n("Mul", one(-0.5), x), one(2.5))
    far = n("Add", n("Mul", n("Sub", n("Mul", far, x), one(4)), x), one(2))
    return n("Where", n("GreaterOrEqual", x, one(1)), far, n("Add", near, one(1)))


def _lanczos_tf(radius: int) -> Callable[[Nodes, str], str]:
    def kernel(n: Nodes, x: str) -> str:
        x = n.cast(x, DOUBLE)
        tiny = n("LessOrEqual", x, float(np.float32(1e-3)))
        turned = n("Mul", n("Where", tiny, 1.0, x), math.pi)
        waves = n("Mul", n("Sin", turned), n("Sin", n("Div", turned, float(radius))))
        value = n("Div", n("Mul", waves, float(radius)), n("Mul", turned, turned))
        return n.cast(n("Where", tiny, 1.0, value), FLOAT)

    return kernel


def _spans(kernel: Callable[[Nodes, str], str], radius: float, *, antialias: bool) -> Callable[[Nodes, Axis], Taps]:  # fmt: skip
    """TensorFlow's ScaleAndTranslate: the kernel widened where the picture shrinks, if antialiased."""

    def taps(n: Nodes, axis: Axis) -> Taps:
        # In double precision: ONNX Runtime's reciprocal of a float is not always the nearest one.
        enlarged = n("Div", n.cast(axis.total, FLOAT), n.cast(axis.have, FLOAT))
        scale = n.cast(n("Div", 1.0, n.cast(enlarged, DOUBLE)), FLOAT)
        widened = n("Max", scale, _f(n, 1)) if antialias else _f(n, 1)
        reach = n("Mul", widened, _f(n, radius))
        sample = n("Mul", _plus_half(n, axis), scale)
        first = n("Ceil", n("Sub", n("Sub", sample, reach), _f(n, 0.5)))
        last = n("Floor", n("Sub", n("Add", sample, reach), _f(n, 0.5)))
        end = n("Sub", axis.have, 1)
        first = n("Min", n("Max", n.cast(first, INT64), 0), end)
        last = n("Min", n("Max", n.cast(last, INT64), 0), end)
        count = n("Add", n("ReduceMax", n("Sub", last, first), keepdims=0), 1)
        position = n("Add", _columns(n, first), n("Range", 0, count, 1))
        centre = n("Add", n.cast(position, FLOAT), _f(n, 0.5))
        distance = n("Abs", n("Div", n("Sub", centre, _columns(n, sample)), widened))
        inside = n("LessOrEqual", position, _columns(n, last))
        inside = n("And", inside, n("LessOrEqual", distance, _f(n, radius)))
        weights = n("Where", inside, kernel(n, distance), _f(n, 0))
        weights = _normalized(n, weights)
        return _taps(n, axis, count, position, weights)

    return taps


def _four(a: float, *, table: bool) -> Callable[[Nodes, Axis], Taps]:
    """Cubic taps, two on either side: TensorFlow's, which quantize weights in steps of 1/1024 and
    leave out pixels outside, or PyTorch's, which repeat the edge.
    """

    def taps(n: Nodes, axis: Axis) -> Taps:
        at = n("Sub", n("Mul", _plus_half(n, axis), _scale(n, axis)), _f(n, 0.5))
        below = n("Floor", at)
        share = n("Sub", at, below)
        if table:
            share = n("Div", n("Round", n("Mul", share, _f(n, 1024))), _f(n, 1024))
        offset = n.array(np.array([-1, 0, 1, 2], np.float32))
        position = n("Add", n.cast(_columns(n, below), INT64), n.cast(offset, INT64))
        x = n("Abs", n("Sub", _columns(n, share), offset))
        one = functools.partial(_f, n)
        near = n("Sub", n("Mul", one(a + 2), x), one(a + 3))
        near = n("Add", n("Mul", n("Mul", near, x), x), one(1))
        far = n("Add", n("Mul", n("Sub", x, one(5)), x), one(8))
        far = n("Mul", n("Sub", n("Mul", far, x), one(4)), one(a))
        weights = n("Where", n("LessOrEqual", x, one(1)), near, far)
        if table:
            end = n("Sub", axis.have, 1)
            there = n("Equal", position, n("Min", n("Max", position, 0), end))
            weights = n("Where", there, weights, one(0))
            weights = _normalized(n, weights)
        return _taps(n, axis, n.scalar(4), position, weights)

    return taps


def _area(n: Nodes, axis: Axis) -> Taps:
    """TensorFlow's area: each pixel counts by how much of it lies under the wanted one."""
    scale = _scale(n, axis)
    begin = n("Mul", n.cast(axis.positions, FLOAT), scale)
    end = n("Mul", n("Add", n.cast(axis.positions, FLOAT), _f(n, 1)), scale)
    first = n("Floor", begin)
    count = n("ReduceMax", n.cast(n("Sub", n("Ceil", end), first), INT64), keepdims=0)
    position = n("Add", n.cast(_columns(n, first), INT64), n("Range", 0, count, 1))
    left = n.cast(position, FLOAT)
    right = n("Add", left, _f(n, 1))
    begin, end = _columns(n, begin), _columns(n, end)
    cut_left, cut_right = n("Less", left, begin), n("Greater", right, end)
    from_left = n("Where", cut_right, scale, n("Sub", right, begin))
    to_right = n("Where", cut_right, n("Sub", end, left), _f(n, 1))
    over = n("Where", cut_left, from_left, to_right)
    over = n("Where", n("Less", left, end), over, _f(n, 0))
    weights = n("Div", over, scale)
    return _taps(n, axis, count, position, weights)


_FLOATS: dict[str, Callable[[Nodes, Axis], Taps]] = {
    "bilinear-antialias": _spans(_triangle, 1, antialias=True),
    "bicubic": _four(-0.5, table=True),
    "bicubic-antialias": _spans(_cubic, 2, antialias=True),
    "bicubic-torch": _four(-0.75, table=False),
    "lanczos3": _spans(_lanczos_tf(3), 3, antialias=False),
    "lanczos3-antialias": _spans(_lanczos_tf(3), 3, antialias=True),
    "lanczos5": _spans(_lanczos_tf(5), 5, antialias=False),
    "lanczos5-antialias": _spans(_lanczos_tf(5), 5, antialias=True),
    "area": _area,
}

# Pillow's filters: whole numbers, rounded to bytes after each axis, columns first.


@dataclass(frozen=True)
class _Filter:
    support: float
    kernel: Callable[[Nodes, str], str]
    """A kernel's weights for distances in its support, double."""


def _box(n: Nodes, x: str) -> str:
    inside = n("And", n("Greater", x, -0.5), n("LessOrEqual", x, 0.5))
    return n("Where", inside, 1.0, 0.0)


def _pillow_triangle(n: Nodes, x: str) -> str:
    return n("Max", n("Sub", 1.0, n("Abs", x)), 0.0)


def _hamming(n: Nodes, x: str) -> str:
    far = n("Abs", x)
    none = n("Equal", far, 0.0)
    turned = n("Mul", n("Where", none, 1.0, far), math.pi)
    window = n("Add", n("Mul", n("Cos", turned), float(np.float32(0.46))), float(np.float32(0.54)))
    value = n("Mul", n("Div", n("Sin", turned), turned), window)
    return n("Where", none, 1.0, n("Where", n("GreaterOrEqual", far, 1.0), 0.0, value))


def _pillow_cubic(n: Nodes, x: str) -> str:
    x = n("Abs", x)
    a = n.array(np.array(-0.5), "cubic_a")
    near = n("Sub", n("Mul", n("Add", a, 2.0), x), n("Add", a, 3.0))
    near = n("Add", n("Mul", n("Mul", near, x), x), 1.0)
    far = n("Add", n("Mul", n("Sub", x, 5.0), x), 8.0)
    far = n("Mul", n("Sub", n("Mul", far, x), 4.0), a)
    value = n("Where", n("Less", x, 1.0), near, far)
    return n("Where", n("Less", x, 2.0), value, 0.0)


def _pillow_lanczos(n: Nodes, x: str) -> str:
    def sinc(x: str) -> str:
        none = n("Equal", x, 0.0)
        turned = n("Mul", n("Where", none, 1.0, x), math.pi)
        return n("Where", none, 1.0, n("Div", n("Sin", turned), turned))

    inside = n("And", n("GreaterOrEqual", x, -3.0), n("Less", x, 3.0))
    return n("Where", inside, n("Mul", sinc(x), sinc(n("Div", x, 3.0))), 0.0)


_PILLOW = {
    "box-pillow": _Filter(0.5, _box),
    "bilinear-pillow": _Filter(1, _pillow_triangle),
    "hamming-pillow": _Filter(1, _hamming),
    "bicubic-pillow": _Filter(2, _pillow_cubic),
    "lanczos-pillow": _Filter(3, _pillow_lanczos),
}

_BITS = 22
"""A weight's fractional bits."""

_BLOCK = 256
"""How many rows are transposed at once, which bounds a large picture's memory."""


def _rounded(n: Nodes, picture: str, rows: Axis, columns: Axis, colours: Colours, kernel: _Filter) -> str:
    down, first, last = _pillow_taps(n, rows, kernel)
    along, _, _ = _pillow_taps(n, columns, kernel)
    half = n("ConstantOfShape", n.ints(1, 1, 1), value=_tensor(np.int32, 1 << (_BITS - 1)))

    def summed(n: Nodes, values: str, taps: Taps) -> str:
        """Sum up [have, ...] to bytes [wanted, ...]."""
        return _to_bytes(
            n, _sum(n, half, taps, lambda i, index: i.cast(i("Gather", values, index, axis=0), INT32))
        )

    def rows_first(n: Nodes) -> str:
        made = _sum(
            n,
            half,
            down,
            lambda i, index: i.cast(colours(i, i("Gather", picture, index, axis=0)), INT32),
        )
        turned = n("Transpose", _to_bytes(n, made), perm=[1, 2, 0])
        return n("Transpose", summed(n, turned, along), perm=[2, 0, 1])

    def columns_first(n: Nodes) -> str:
        # Only the rows that the second pass needs go through the first, in blocks of one height.
        needed = n("Sub", last, first)
        blocks = n("Div", n("Add", needed, _BLOCK - 1), _BLOCK)
        height = n("Div", n("Sub", n("Add", needed, blocks), 1), blocks)
        end = n("Sub", last, 1)

        def block(n: Nodes, number: str, _: list[str]) -> tuple[list[str], list[str]]:
            start = n("Add", first, n("Mul", number, height))
            taken = n("Min", n("Range", start, n("Add", start, height), 1), end)
            lines = colours(n, n("Gather", picture, taken, axis=0))
            lines = n("Transpose", lines, perm=[1, 2, 0])  # so that columns are copied in long pieces
            return [], [n("Transpose", summed(n, lines, along), perm=[2, 0, 1])]

        (stack,) = n.loop(blocks, [], block)
        narrow = n("Reshape", stack, n("Concat", n.ints(-1), n("Shape", stack, start=2), axis=0))
        # Taps after a pixel's last one weigh nothing, and may lie beyond the last row.
        index = n("Sub", n("Min", down.index, end), first)
        return summed(n, narrow, replace(down, index=index))

    # Pillow 13 begins with the rows where that leaves it less to do. Earlier ones never do.
    lost = [n("Sub", axis.have, axis.total) for axis in (rows, columns)]
    tall = n("And", n("Greater", lost[0], 0), n("Greater", lost[0], n("Mul", lost[1], 2)))
    return n.cast(n.choose(tall, rows_first, columns_first), FLOAT)


def _to_bytes(n: Nodes, total: str) -> str:
    """Rounded down; negative sums are 0 either way."""
    whole = n("Div", total, n.scalar(1 << _BITS, np.int32))
    return n.cast(n("Min", n("Max", whole, n.scalar(0, np.int32)), n.scalar(255, np.int32)), UINT8)


def _pillow_taps(n: Nodes, axis: Axis, kernel: _Filter) -> tuple[Taps, str, str]:
    """The taps, weights int32, and the first row or column that they take and the one after the last."""
    scale = n("Div", n.cast(axis.have, DOUBLE), n.cast(axis.total, DOUBLE))
    widened = n("Max", scale, 1.0)
    support = n("Mul", widened, float(kernel.support))
    half = n.array(np.array(0.5), "centre")
    centre = n("Mul", n("Add", n.cast(axis.positions, DOUBLE), half), scale)
    first = n("Max", n.cast(n("Add", n("Sub", centre, support), 0.5), INT64), 0)
    last = n("Min", n.cast(n("Add", n("Add", centre, support), 0.5), INT64), axis.have)
    count = n("ReduceMax", n("Sub", last, first), keepdims=0)
    position = n("Add", _columns(n, first), n("Range", 0, count, 1))
    distance = n("Add", n("Sub", n.cast(position, DOUBLE), _columns(n, centre)), 0.5)
    distance = n("Mul", distance, n("Div", 1.0, widened))
    weights = n("Where", n("Less", position, _columns(n, last)), kernel.kernel(n, distance), 0.0)
    total = n("ReduceSum", weights, n.ints(1), keepdims=1)
    weights = n("Div", weights, n("Where", n("Equal", total, 0.0), 1.0, total))
    rounding = n("Where", n("Less", weights, 0.0), -0.5, 0.5)
    whole = n.cast(n("Add", n("Mul", weights, float(1 << _BITS)), rounding), INT32)
    taps = _taps(n, axis, count, position, whole)
    begin = n("Add", n("ReduceMin", first, keepdims=0), axis.start)
    return taps, begin, n("Add", n("ReduceMax", last, keepdims=0), axis.start)


WAYS: tuple[str, ...] = ("bilinear", "bilinear-tf1", "nearest", "nearest-tf", *_FLOATS, *_PILLOW)
