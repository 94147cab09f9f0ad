"""preprocess.onnx: decoded pixels to the model's input, one graph for training and serving.

The graph takes ``image``, uint8 [H, W, 3], and gives ``pixels``, float32 [height, width, 3] or, of a
model with one channel, [height, width, 1], with values from 0 to 255: crop, grey, resize, cast. Normalization is the model's own.

Models that come without a bundle have graphs too, one for each way to resize, which the Go library
carries: their settings are inputs, see :func:`build_bare`. ``python -m forgo._preprocess FOLDER``
writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from forgo._onnxruntime import session
from forgo._picture import Alpha, decode

Resize = Literal["bilinear", "bilinear-antialias", "bilinear-tf1", "nearest"]
"""``bilinear``: half-pixel centres, as ``tf.image.resize`` and Keras do it (within 0.011 of
255). ``bilinear-antialias``: as Pillow's bilinear, but not rounded to whole numbers.
``bilinear-tf1``: corners are the origin, as TensorFlow 1's ``resize_bilinear`` does it unless told
otherwise. ``nearest``: as Pillow's, which Keras's ``load_img`` and generators use unless told
otherwise."""

Fit = Literal["stretch", "crop"]
"""``stretch``: the whole picture, its aspect ratio given up. ``crop``: the largest centred
part of the target's aspect ratio, as Keras's ``smart_resize``."""

RESIZES: tuple[str, ...] = get_args(Resize)
FITS: tuple[str, ...] = get_args(Fit)

INPUT = "image"
OUTPUT = "pixels"


class _Graph:
    """A graph under construction. Nodes are named after their output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, name: str, *values: int) -> str:
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def model(self, inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "forgo_preprocess", inputs, [output], self.constants)
        model = helper.make_model(
            graph, producer_name="forgo", opset_imports=[helper.make_opsetid("", 18)], ir_version=8
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def build(
    height: int, width: int, *, resize: Resize = "bilinear", fit: Fit = "stretch", channels: int = 3
) -> onnx.ModelProto:
    """Build the preprocessing graph for one picture; with one channel it is made grey before it is resized."""
    g = _Graph()
    picture = INPUT
    if fit == "crop":
        picture = _crop(g.node, g.const, height, width)
    if channels == 1:
        picture = _grey(g, picture)

    def size(before: list[int], after: list[int]) -> str:
        return g.const("size", *before, height, width, *after)

    _resize(g, picture, resize, size, OUTPUT, channels)
    return g.model(
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["height", "width", 3])],
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [height, width, channels]),
    )


def build_bare(resize: Resize) -> onnx.ModelProto:
    """Build the graph that prepares pictures for a model without a bundle.

    Beside ``image`` its inputs are ``size`` (int64: height, width), ``order`` (int64 [3]: where each
    of the model's channels is in RGB), ``scale`` (float32), ``mean`` and ``deviation`` (float32 [3], in
    the model's order) and ``channels_first`` (bool). The values are (pixel x scale - mean) / deviation.
    """
    g = _Graph()

    def size(before: list[int], after: list[int]) -> str:
        parts = [g.const("before", *before)] if before else []
        parts += ["size", *([g.const("after", *after)] if after else [])]
        return g.node("Concat", parts, "sizes", axis=0) if len(parts) > 1 else "size"

    _resize(g, INPUT, resize, size, "resized_rgb")
    g.node("Gather", ["resized_rgb", "order"], "ordered", axis=2)
    g.node("Mul", ["ordered", "scale"], "scaled")
    g.node("Sub", ["scaled", "mean"], "centred")
    g.node("Div", ["centred", "deviation"], "values")
    value = helper.make_tensor_value_info
    branches = {
        name: helper.make_graph([node], name, [], [value(f"{name}_out", TensorProto.FLOAT, [None] * 3)])
        for name, node in {
            "then_branch": helper.make_node("Transpose", ["values"], ["then_branch_out"], perm=[2, 0, 1]),
            "else_branch": helper.make_node("Identity", ["values"], ["else_branch_out"]),
        }.items()
    }
    g.node("If", ["channels_first"], OUTPUT, **branches)
    return g.model(
        [
            value(INPUT, TensorProto.UINT8, ["height", "width", 3]),
            value("size", TensorProto.INT64, [2]),
            value("order", TensorProto.INT64, [3]),
            value("scale", TensorProto.FLOAT, []),
            value("mean", TensorProto.FLOAT, [3]),
            value("deviation", TensorProto.FLOAT, [3]),
            value("channels_first", TensorProto.BOOL, []),
        ],
        value(OUTPUT, TensorProto.FLOAT, [None, None, None]),
    )


def _resize(
    g: _Graph,
    picture: str,
    resize: Resize,
    size: Callable[[list[int], list[int]], str],
    output: str,
    channels: int = 3,
) -> None:
    """Bring a picture to a size, as float32. ``size`` makes a shape with sizes before and after it."""
    if resize == "nearest":
        _nearest(g, picture, size([], []), output)
        return
    picture = g.node("Cast", [picture], "as_float", to=TensorProto.FLOAT)
    origin = "asymmetric" if resize == "bilinear-tf1" else "half_pixel"
    linear: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": origin}
    if resize != "bilinear-antialias":
        g.node("Resize", [picture, "", "", size([], [channels])], output, **linear)
        return
    picture = g.node("Transpose", [picture], "as_planes", perm=[2, 0, 1])
    picture = g.node("Unsqueeze", [picture, g.const("axis_0", 0)], "as_batch")
    # Without exclude_outside the edges are off by 4 to 7 of 255 from Pillow's.
    picture = g.node(
        "Resize",
        [picture, "", "", size([1, channels], [])],
        "resized",
        antialias=1,
        exclude_outside=1,
        **linear,
    )
    picture = g.node("Squeeze", [picture, "axis_0"], "as_one")
    g.node("Transpose", [picture], output, perm=[1, 2, 0])


def _grey(g: _Graph, picture: str) -> str:
    """Weigh the colours as Pillow's ``convert("L")``: whole numbers, (19595 R + 38470 G + 7471 B + 2^15) >> 16."""
    g.constants.append(numpy_helper.from_array(np.array([19595, 38470, 7471], np.int32), "grey_weights"))
    g.constants.append(numpy_helper.from_array(np.array(1 << 15, np.int32), "grey_half"))
    g.constants.append(numpy_helper.from_array(np.array(1 << 16, np.int32), "grey_one"))
    weighed = g.node(
        "Mul", [g.node("Cast", [picture], "as_int", to=TensorProto.INT32), "grey_weights"], "weighed"
    )
    total = g.node("ReduceSum", [weighed, g.const("axis_2", 2)], "grey_sum", keepdims=1)
    return g.node("Div", [g.node("Add", [total, "grey_half"], "grey_rounded"), "grey_one"], "grey")


def _nearest(g: _Graph, picture: str, size: str, output: str) -> None:
    """Take the nearest pixel, where Pillow finds it: it adds up steps in double precision."""
    g.node("Shape", [picture], "picture_shape", start=0, end=2)
    for number in (0, 1, 2):
        g.const(f"at_{number}", number)
    g.constants.append(numpy_helper.from_array(np.array([0.5]), "half"))
    g.constants.append(numpy_helper.from_array(np.array(0, np.int64), "along"))
    g.constants.append(numpy_helper.from_array(np.array(1, np.int64), "each"))
    for axis, side in enumerate(("rows", "columns")):

        def step(op: str, inputs: list[str], name: str, side: str = side, **attributes: Any) -> str:
            return g.node(op, inputs, f"{side}_{name}", **attributes)

        have = step("Slice", ["picture_shape", f"at_{axis}", f"at_{axis + 1}"], "have")
        want = step("Slice", [size, f"at_{axis}", f"at_{axis + 1}"], "want")
        one = step(
            "Div",
            [step("Cast", [n], f"{n}_f", to=TensorProto.DOUBLE) for n in (have, want)],
            "step",
        )
        first = step("Mul", [one, "half"], "first")
        numbers = step("Range", ["along", step("Squeeze", [want], "count"), "each"], "numbers")
        steps = step("Where", [step("Equal", [numbers, "along"], "is_first"), first, one], "steps")
        found = step("Cast", [step("CumSum", [steps, "along"], "places")], "found", to=TensorProto.INT64)
        inside = step("Min", [found, step("Sub", [have, "at_1"], "last")], "inside")
        picture = step("Gather", [picture, inside], "taken", axis=axis)
    g.node("Cast", [picture], output, to=TensorProto.FLOAT)


def _crop(node, const, height: int, width: int) -> str:  # type: ignore[no-untyped-def]
    """Slice the largest centred part whose sides are as height to width, in whole pixels."""
    node("Shape", [INPUT], "shape", start=0, end=2)
    zero, one, two = const("zero", 0), const("one", 1), const("two", 2)
    node("Slice", ["shape", zero, one], "h")
    node("Slice", ["shape", one, two], "w")
    target_h, target_w = const("target_h", height), const("target_w", width)
    for side, other, to, frm in (("h", "w", target_h, target_w), ("w", "h", target_w, target_h)):
        node("Mul", [other, to], f"{side}_scaled")
        node("Div", [f"{side}_scaled", frm], f"{side}_wanted")
        node("Max", [f"{side}_wanted", one], f"{side}_some")
        node("Min", [f"{side}_some", side], f"{side}_cropped")
        node("Sub", [side, f"{side}_cropped"], f"{side}_spare")
        node("Div", [f"{side}_spare", two], f"{side}_start")
        node("Add", [f"{side}_start", f"{side}_cropped"], f"{side}_end")
    node("Concat", ["h_start", "w_start"], "starts", axis=0)
    node("Concat", ["h_end", "w_end"], "ends", axis=0)
    node("Slice", [INPUT, "starts", "ends", const("axes", 0, 1)], "cropped")
    return "cropped"


class Preprocessor:
    """Runs a preprocessing graph in ONNX Runtime. Safe to use from many threads at once."""

    def __init__(self, model: onnx.ModelProto, alpha: Alpha = "drop") -> None:
        self.alpha = alpha
        self.graph = model.SerializeToString()
        self._session = session(self.graph, threads=1)  # pictures are what runs side by side

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
        """Decode one picture, by the rule for transparent pixels that goes with the graph.

        Raises:
            PictureError: the picture is refused.
        """
        return decode(raw, self.alpha)


if __name__ == "__main__":
    for way in get_args(Resize):
        (Path(sys.argv[1]) / f"{way}.onnx").write_bytes(build_bare(way).SerializeToString(deterministic=True))
