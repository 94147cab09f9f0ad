"""TensorFlow operations that tf2onnx does not convert, or converts wrongly, written with ONNX's.

tf2onnx calls a class registered with ``tf_op`` for the operation of that name; importing this module
registers them. The export that uses one compares it with TensorFlow's own answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from tf2onnx.handler import tf_op
from tf2onnx.utils import make_name

_SIGN_BIT = np.int32(np.iinfo(np.int32).min)


def _constant(ctx: Any, value: npt.NDArray[Any]) -> str:
    name: str = ctx.make_const(make_name("forgo"), value).output[0]
    return name


def _like(ctx: Any, name: str, value: float) -> str:
    """A scalar constant of a tensor's type."""
    from tf2onnx.utils import map_onnx_to_numpy_type

    return _constant(ctx, np.array(value, map_onnx_to_numpy_type(ctx.get_dtype(name))))


def _put(ctx: Any, node: Any, op: str, inputs: list[str], **attributes: Any) -> None:
    """Replace the node with an ONNX operation."""
    shapes, types, outputs = node.output_shapes, node.output_dtypes, node.output
    ctx.remove_node(node.name)
    ctx.make_node(op, inputs, name=node.name, outputs=outputs, shapes=shapes, dtypes=types, attr=attributes)


def _made(ctx: Any, op: str, inputs: list[str], **attributes: Any) -> str:
    name: str = ctx.make_node(op, inputs, attr=attributes).output[0]
    return name


def _refuse(condition: bool, why: str) -> None:
    """Leave the node as it is: the export refuses it by name."""
    if condition:
        raise ValueError(why)


def fold_scales(graph: Any) -> None:
    """Replace the scales that ``tf.image.resize`` computes from the picture's size with constants, in place.

    TensorFlow does not fold them, because the batch dimension is free.
    """
    import tensorflow as tf

    wanted = [n for n in graph.node if n.op == "ScaleAndTranslate"]
    if not wanted:
        return
    with tf.Graph().as_default() as whole, tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        for node in wanted:
            for number in (2, 3):
                tensor = whole.get_operation_by_name(node.name).inputs[number]
                sizes = _sizes_before(tensor)
                if tensor.op.type == "Const" or sizes is None:
                    continue
                value = session.run(tensor, sizes)
                folded = graph.node.add(op="Const", name=f"{node.name}/folded_{number}")
                folded.attr["dtype"].type = tensor.dtype.as_datatype_enum
                folded.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
                node.input[number] = folded.name


def _sizes_before(tensor: Any) -> dict[Any, list[int]] | None:
    """A tensor that depends only on shapes, for a batch of one; None if it depends on more."""
    found: dict[Any, list[int]] = {}
    seen, ahead = set(), [tensor.op]
    while ahead:
        op = ahead.pop()
        if op.type == "Shape":
            shape = op.inputs[0].shape
            if shape.rank is None or None in shape.as_list()[1:]:
                return None
            found[op.outputs[0]] = [shape[0] or 1, *shape.as_list()[1:]]
        elif op.type.startswith("Placeholder"):
            return None
        elif op not in seen:
            seen.add(op)
            ahead += [i.op for i in op.inputs]
    return found


@tf_op("Erfc")
class _Erfc:
    """1 - erf(x), as in the exact GELU."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        erf = _made(ctx, "Erf", [node.input[0]])
        _put(ctx, node, "Sub", [_like(ctx, node.input[0], 1), erf])


@tf_op("Expm1")
class _Expm1:
    """exp(x) - 1, as in CELU."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        exp = _made(ctx, "Exp", [node.input[0]])
        _put(ctx, node, "Sub", [exp, _like(ctx, node.input[0], 1)])


@tf_op("Bitcast")
class _SignBit:
    """The one use that ONNX can express: the sign bit of a float32, as in Keras's argmax."""

    @classmethod
    def version_18(cls, ctx: Any, node: Any, **_: Any) -> None:
        x = node.input[0]
        _refuse(ctx.get_dtype(x) != TensorProto.FLOAT, "its input is not float32")
        _refuse(ctx.get_dtype(node.output[0]) != TensorProto.INT32, "its output is not int32")
        for user in ctx.find_output_consumers(node.output[0]):
            masks = [
                i
                for i in user.inputs
                if i.is_const() and (i.get_tensor_value(as_list=False) == _SIGN_BIT).all()
            ]
            _refuse(user.type != "BitwiseAnd" or not masks, "more of its bits than the sign are used")
        zero = _like(ctx, x, 0)
        below = _made(ctx, "Less", [x, zero])
        is_zero = _made(ctx, "Equal", [x, zero])
        from_below = _made(ctx, "Less", [_made(ctx, "Reciprocal", [x]), zero])  # 1 / -0 is -inf
        negative = _made(ctx, "Or", [below, _made(ctx, "And", [is_zero, from_below])])
        _put(
            ctx,
            node,
            "Where",
            [negative, _constant(ctx, np.array(_SIGN_BIT)), _constant(ctx, np.array(0, np.int32))],
        )


@tf_op("Bucketize")
class _Bucketize:
    """How many boundaries are not above x, as in Discretization; a NaN is above all."""

    @classmethod
    def version_18(cls, ctx: Any, node: Any, **_: Any) -> None:
        boundaries = np.array(node.get_attr("boundaries").floats, np.float32)
        x = node.input[0]
        if ctx.get_dtype(x) != TensorProto.DOUBLE:
            x = _made(ctx, "Cast", [x], to=TensorProto.FLOAT)
        else:
            boundaries = boundaries.astype(np.float64)
        last = _constant(ctx, np.array([-1], np.int64))
        below = _made(ctx, "Less", [_made(ctx, "Unsqueeze", [x, last]), _constant(ctx, boundaries)])
        counted = _made(ctx, "Cast", [_made(ctx, "Not", [below])], to=TensorProto.INT32)
        _put(ctx, node, "ReduceSum", [counted, last], keepdims=0)


@tf_op("FloorDiv")
class _FloorDiv:
    """Division rounded down; ONNX rounds whole numbers towards zero."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        a, b = node.input
        kind = ctx.get_dtype(a)
        if kind in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            _put(ctx, node, "Floor", [_made(ctx, "Div", [a, b])])
            return
        quotient = _made(ctx, "Div", [a, b])
        if kind in (TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64):
            _put(ctx, node, "Identity", [quotient])
            return
        rest = _made(ctx, "Sub", [a, _made(ctx, "Mul", [quotient, b])])
        zero = _like(ctx, a, 0)
        inexact = _made(ctx, "Not", [_made(ctx, "Equal", [rest, zero])])
        apart = _made(ctx, "Xor", [_made(ctx, "Less", [rest, zero]), _made(ctx, "Less", [b, zero])])
        down = _made(ctx, "Cast", [_made(ctx, "And", [inexact, apart])], to=kind)
        _put(ctx, node, "Sub", [quotient, down])


class _Resize:
    """A resize to a fixed size is linear in each direction: two products with TensorFlow's own weights."""

    @classmethod
    def version_18(cls, ctx: Any, node: Any, **_: Any) -> None:
        shape = ctx.get_shape(node.input[0])
        _refuse(shape is None or len(shape) != 4 or -1 in shape[1:], "its input's size is free")
        _refuse(not all(i.is_const() for i in node.inputs[1:]), "its size is computed")
        _, height, width, _channels = shape
        rows, columns = (cls.weights(node, axis, n) for axis, n in enumerate((height, width)))
        x = _made(ctx, "Cast", [node.input[0]], to=TensorProto.FLOAT)
        x = _made(ctx, "Transpose", [x], perm=[0, 3, 1, 2])
        x = _made(ctx, "MatMul", [_constant(ctx, rows), x])
        x = _made(ctx, "MatMul", [x, _constant(ctx, np.ascontiguousarray(columns.T))])
        _put(ctx, node, "Transpose", [x], perm=[0, 2, 3, 1])

    @classmethod
    def weights(cls, node: Any, axis: int, size: int) -> npt.NDArray[Any]:
        """How TensorFlow weighs each row (or column), [new size, size]."""
        import tensorflow as tf

        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            ones = tf.reshape(tf.eye(size), (1, size, 1, size))  # each channel has a different single row
            resized = session.run(cls.resize(node, axis, ones))
        return np.asarray(resized[0, :, 0, :], np.float32)

    @classmethod
    def resize(cls, node: Any, axis: int, rows: Any) -> Any:
        raise NotImplementedError


def _value(node: Any, number: int) -> Any:
    return node.inputs[number].get_tensor_value(as_list=False)


@tf_op("ScaleAndTranslate")
class _ScaleAndTranslate(_Resize):
    """``tf.image.resize`` with antialias, and with its Lanczos and Gaussian kernels."""

    @classmethod
    def resize(cls, node: Any, axis: int, rows: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.ScaleAndTranslate(
            images=rows,
            size=[int(_value(node, 1)[axis]), 1],
            scale=[float(_value(node, 2)[axis]), 1.0],
            translation=[float(_value(node, 3)[axis]), 0.0],
            kernel_type=node.get_attr_str("kernel_type"),
            antialias=bool(node.get_attr_value("antialias", 1)),
        )


@tf_op("ResizeArea")
class _ResizeArea(_Resize):
    """``tf.image.resize`` with the method area."""

    @classmethod
    def resize(cls, node: Any, axis: int, rows: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.ResizeArea(
            images=rows,
            size=[int(_value(node, 1)[axis]), 1],
            align_corners=bool(node.get_attr_value("align_corners", 0)),
        )
