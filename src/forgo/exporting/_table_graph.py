"""Nodes that connect a bundle's inputs and outputs to the graph that a converter made of a table model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from forgo._errors import ExportError
from forgo.exporting._model import STRING, TensorInfo

_KINDS = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64, "bool": TensorProto.BOOL,
    STRING: TensorProto.STRING,
}  # fmt: skip


def before(
    model: onnx.ModelProto,
    infos: list[TensorInfo],
    precision: str,
    codes: Sequence[tuple[Any, ...] | None] = (),
) -> None:
    """Prepend nodes that turn a bundle's inputs into the graph's: a column [rows, 1] for each, or one matrix.

    Args:
        model: is changed.
        infos: the bundle's inputs.
        precision: of the graph's numbers.
        codes: for each input, the values that the graph takes the numbers of, if it does.
    """
    graph = model.graph
    held = {i.name for i in graph.initializer}
    old = [v for v in graph.input if v.name not in held]
    kind = _KINDS[precision]
    nodes: list[onnx.NodeProto] = []
    new = []
    made: list[str] = []
    column = "forgo_column"
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1], np.int64), column))
    for i, info in enumerate(infos):
        at = f"forgo_in_{i}"
        new.append(helper.make_tensor_value_info(at, _KINDS[info.dtype], ["batch", *info.shape[1:]]))
        if len(info.shape) == 1:
            nodes.append(helper.make_node("Reshape", [at, column], [f"{at}_column"], name=f"{at}_column"))
            at = f"{at}_column"
        dtype = info.dtype
        if i < len(codes) and codes[i] is not None:
            nodes.append(_encoder(at, info.dtype, codes[i] or ()))
            at, dtype = f"{at}_code", "float32"
        if dtype not in (precision, STRING):
            nodes.append(helper.make_node("Cast", [at], [f"{at}_cast"], name=f"{at}_cast", to=kind))
            at = f"{at}_cast"
        made.append(at)
    if len(old) == len(made):
        for v, at in zip(old, made, strict=True):
            nodes.append(helper.make_node("Identity", [at], [v.name], name=f"{at}_given"))
    elif len(old) == 1:
        nodes.append(helper.make_node("Concat", made, [old[0].name], name="forgo_columns", axis=1))
    else:
        raise ExportError(f"the converter made {len(old)} inputs for {len(made)} columns")
    kept = [v for v in graph.input if v.name in held]
    del graph.input[:]
    graph.input.extend([*new, *kept])
    for i, node in enumerate(nodes):
        graph.node.insert(i, node)
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml" and any(codes):
            opset.version = max(opset.version, 2)  # the first with LabelEncoder's lists
    if not any(o.domain in ("", "ai.onnx") for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 18))


def _encoder(at: str, dtype: str, values: tuple[Any, ...]) -> onnx.NodeProto:
    """A node that gives values their numbers, and -1 to any other."""
    kind = {STRING: "strings", "int64": "int64s"}.get(dtype, "floats")
    more: dict[str, Any] = {f"keys_{kind}": [str(v) if dtype == STRING else v for v in values]}
    return helper.make_node(
        "LabelEncoder", [at], [f"{at}_code"], name=f"{at}_code", domain="ai.onnx.ml",
        default_float=-1.0, values_floats=[float(i) for i in range(len(values))], **more,
    )  # fmt: skip


def after(model: onnx.ModelProto, infos: list[TensorInfo]) -> None:
    """Give outputs the shapes of the framework's answers, and the types that the converter declares."""
    for value, info in zip(model.graph.output, infos, strict=True):
        at = f"forgo_{value.name}"
        shape = numpy_helper.from_array(
            np.array([-1, *(s or 0 for s in info.shape[1:])], np.int64), f"{at}_shape"
        )
        model.graph.initializer.append(shape)
        last = info.dtype == STRING
        model.graph.node.append(
            helper.make_node(
                "Reshape", [value.name, shape.name], [at if last else f"{at}_shaped"], name=f"{at}_shaped"
            )
        )
        if not last:  # converters sometimes declare types that their operators do not give
            cast = helper.make_node("Cast", [f"{at}_shaped"], [at], name=at, to=_KINDS[info.dtype])
            model.graph.node.append(cast)
        value.name = at


def dtype(value: Any) -> str:
    """The type that a converter declares for an output; after enforces it."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ExportError(
            f"the converter gives {value.name!r} as a {str(kind).removesuffix('_type')}, not a tensor"
        )
    number = value.type.tensor_type.elem_type
    found = [name for name, k in _KINDS.items() if k == number]
    if not found:
        raise ExportError(
            f"the converter gives {value.name!r} a type that outputs cannot have; float32, float64, int64, bool and string work"
        )
    return found[0]
