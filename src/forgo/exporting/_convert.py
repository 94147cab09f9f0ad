"""A traced TensorFlow function as an ONNX graph, or an error that says what runs it instead."""

from __future__ import annotations

import logging
from typing import Any

import onnx
from onnx import numpy_helper

from forgo._errors import ExportError, argument
from forgo.exporting._graph import all_nodes

OPSET = 18
WAY_OUT = f"{argument('engine', 'tensorflow')} runs it as it is"
_SHOWN = 3


def convert(concrete: Any) -> onnx.ModelProto:
    """Convert with tf2onnx, with a free batch; the order of inputs and outputs is the function's.

    Keras's own exporter leaves constants that a layer holds as eager tensors (Normalization's mean,
    what ``preprocess_input`` subtracts) behind as inputs; this turns them into constants again.

    Raises:
        ExportError: ONNX lacks an operation; the message names the engine that has it.
    """
    import tensorflow as tf
    import tf2onnx

    from forgo.exporting import _operators

    _patch_for_numpy2()
    tables = [
        v for v, _ in concrete.graph.captures if v.dtype == tf.resource and not _is_variable(v, concrete)
    ]
    if tables:
        raise ExportError(f"ONNX has no lookup tables, which the model uses: {WAY_OUT}")
    inputs = [t.name for t in concrete.inputs if t.dtype != tf.resource]
    outputs = [t.name for t in concrete.outputs]
    quiet = logging.getLogger("tf2onnx")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)  # the error below says what it cannot convert, in one line
    try:
        with tf.device("/cpu:0"):
            frozen = tf2onnx.tf_loader.from_function(concrete, inputs, outputs)
            _without_xla(frozen)
            _operators.fold_scales(frozen)
            model: onnx.ModelProto
            model, _ = tf2onnx.convert.from_graph_def(
                frozen, input_names=inputs, output_names=outputs, opset=OPSET
            )
    except Exception as e:  # tf2onnx and TensorFlow raise all kinds of exceptions
        raise ExportError(f"the model cannot be converted to ONNX ({_first_line(e)}): {WAY_OUT}") from None
    finally:
        quiet.setLevel(level)
    held = {inside.name: outside for outside, inside in concrete.graph.captures}
    for value in [v for v in model.graph.input if v.name in held]:
        model.graph.input.remove(value)
        model.graph.initializer.append(numpy_helper.from_array(held[value.name].numpy(), value.name))
    _check_operations(model)
    return model


def _is_variable(handle: Any, concrete: Any) -> bool:
    return any(handle is v.handle for v in concrete.graph.variables)


def _without_xla(graph: Any) -> None:
    """Inline functions that Keras compiles (grouped convolutions) like any other."""
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    for holder in [*nodes, *graph.library.function]:
        for mark in ("_XlaMustCompile", "_noinline"):
            holder.attr.pop(mark, None)


def _check_operations(model: onnx.ModelProto) -> None:
    versions = {o.domain: o.version for o in model.opset_import}
    unknown: dict[str, str] = {}
    for node in all_nodes(model.graph):
        if node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type, versions.get("", OPSET), ""):
            unknown.setdefault(node.op_type, node.name)
    if not unknown:
        return
    said = [f"{op} (in {name})" for op, name in list(unknown.items())[:_SHOWN]]
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    raise ExportError(f"ONNX has no operation {', '.join(said)}{more}, which the model uses: {WAY_OUT}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__


def _patch_for_numpy2() -> None:
    """Apply Keras's own patch to tf2onnx, which was written for NumPy 1."""
    try:
        from keras.src.export.tf2onnx_lib import patch_tf2onnx
    except ImportError:  # this version of Keras no longer needs it
        return
    patch_tf2onnx()
