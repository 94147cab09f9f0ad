"""preprocess.onnx: decoded pixels to the model's input, one graph for training and serving.

The graph takes ``image``, uint8 [H, W, 3], and gives ``pixels``, float32 [height, width, 3]
with values from 0 to 255: crop, resize, cast. Normalization is the model's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from forgo._picture import decode

Resize = Literal["bilinear", "bilinear-antialias"]
"""``bilinear``: half-pixel centres, as ``tf.image.resize`` and Keras do it (within 0.011 of
255). ``bilinear-antialias``: as Pillow's bilinear, but not rounded to whole numbers."""

Fit = Literal["stretch", "crop"]
"""``stretch``: the whole picture, its aspect ratio given up. ``crop``: the largest centred
part of the target's aspect ratio, as Keras's ``smart_resize``."""

RESIZES: tuple[str, ...] = get_args(Resize)
FITS: tuple[str, ...] = get_args(Fit)

INPUT = "image"
OUTPUT = "pixels"


def build(height: int, width: int, *, resize: Resize = "bilinear", fit: Fit = "stretch") -> onnx.ModelProto:
    """Build the preprocessing graph for one picture."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def const(name: str, *values: int) -> str:
        constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    picture = INPUT
    if fit == "crop":
        picture = _crop(node, const, height, width)
    picture = node("Cast", [picture], "as_float", to=TensorProto.FLOAT)
    linear: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if resize == "bilinear":
        node("Resize", [picture, "", "", const("size", height, width, 3)], OUTPUT, **linear)
    else:
        picture = node("Transpose", [picture], "channels_first", perm=[2, 0, 1])
        picture = node("Unsqueeze", [picture, const("axis_0", 0)], "as_batch")
        size = const("size", 1, 3, height, width)
        # Without exclude_outside the edges are off by 4 to 7 of 255 from Pillow's.
        picture = node("Resize", [picture, "", "", size], "resized", antialias=1, exclude_outside=1, **linear)
        picture = node("Squeeze", [picture, "axis_0"], "as_one")
        node("Transpose", [picture], OUTPUT, perm=[1, 2, 0])

    graph = helper.make_graph(
        nodes,
        "forgo_preprocess",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["height", "width", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [height, width, 3])],
        constants,
    )
    model = helper.make_model(
        graph, producer_name="forgo", opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model


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

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # pictures are what runs side by side
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

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
        return self(decode(path.read_bytes()))
