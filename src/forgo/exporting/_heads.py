"""Heads: operations appended to a model's graph that turn its output into probabilities.

Logits get a softmax or, if labels do not exclude each other, a sigmoid. A single probability with
two labels becomes the probability of each. The model's own output stays in the bundle, hidden, for the proof.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from forgo._errors import ExportError, argument
from forgo.exporting._model import Arrays, TensorInfo, Trained
from forgo.exporting._tensorflow import Traceable

Append = Literal["softmax", "sigmoid"]
APPENDS = ("softmax", "sigmoid")

NAME = "probabilities"
_INNER = "forgo_head"


class Headed(Traceable):
    """A model whose first output is computed from another's.

    NumPy computes its own answers from the other's; the graph must give the same.

    Args:
        inner: the model.
        steps: what to do, in order: "softmax", "sigmoid", or "both", which turns the probability
            of the second of two labels into that of each.
    """

    def __init__(self, inner: Any, steps: tuple[str, ...]) -> None:
        self.inner = inner
        self.steps = steps
        self.framework = inner.framework
        self.batch = inner.batch
        self.inputs = inner.inputs
        self.operations = getattr(inner, "operations", {})
        own = inner.outputs[0]
        shape: tuple[int | None, ...] = (None, 2) if "both" in steps else own.shape
        taken = {e.name for e in [*inner.inputs, *inner.outputs]}
        name = next(n for n in (NAME, f"{own.name}_{NAME}", f"{NAME}_of_labels") if n not in taken)
        self.outputs = [TensorInfo(name, own.dtype, shape), replace(own, hidden=True), *inner.outputs[1:]]

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the training framework, then the head in NumPy."""
        answers: Arrays = self.inner.predict(inputs)
        own = answers[self.inner.outputs[0].name]
        values = own.astype(np.float64)
        for step in self.steps:
            values = _IN_NUMPY[step](values)
        return {self.outputs[0].name: values.astype(own.dtype), **answers}

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        import tensorflow as tf

        answers: list[Any] = list(self.inner.call(*values))
        x = answers[0]
        for step in self.steps:
            if step == "both":
                x = tf.reshape(x, [-1, 1])
                x = tf.concat([1 - x, x], axis=1)
            else:
                x = tf.nn.softmax(x) if step == "softmax" else tf.nn.sigmoid(x)
        return [x, *answers]

    def tracked(self) -> Any:
        """The object that holds the model's variables and tables."""
        return self.inner.tracked()

    def to_onnx(self) -> onnx.ModelProto:
        """The inner model's graph with the head appended."""
        model: onnx.ModelProto = self.inner.to_onnx()
        graph = model.graph
        at = graph.output[0].name
        kind = graph.output[0].type.tensor_type.elem_type
        for step in self.steps:
            out = f"{_INNER}_{step}"
            if step != "both":
                attributes: dict[str, Any] = {"axis": -1} if step == "softmax" else {}
                graph.node.append(helper.make_node(step.capitalize(), [at], [out], name=out, **attributes))
            else:
                numpy_type = helper.tensor_dtype_to_np_dtype(kind)
                graph.initializer.append(
                    numpy_helper.from_array(np.array([-1, 1], np.int64), f"{out}_column")
                )
                graph.initializer.append(numpy_helper.from_array(np.array(1, numpy_type), f"{out}_one"))
                graph.node.extend(
                    [
                        helper.make_node(
                            "Reshape", [at, f"{out}_column"], [f"{out}_second"], name=f"{out}_second"
                        ),
                        helper.make_node(
                            "Sub", [f"{out}_one", f"{out}_second"], [f"{out}_first"], name=f"{out}_first"
                        ),
                        helper.make_node(
                            "Concat", [f"{out}_first", f"{out}_second"], [out], name=out, axis=1
                        ),
                    ]
                )
            at = out
        outputs = [helper.make_tensor_value_info(at, kind, None), *graph.output]
        del graph.output[:]
        graph.output.extend(outputs)
        return model


def _softmax(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _both(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    p = p.reshape(-1, 1)
    return np.concatenate([1 - p, p], axis=1)


_IN_NUMPY = {
    "softmax": _softmax,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "both": _both,
}


def behind(model: Trained, append: Append | None, labels: list[str] | None, multi_label: bool) -> Trained:
    """Append a head to a model if one is requested, or if two labels have a single probability.

    Raises:
        ExportError: the head does not fit the model's first output.
    """
    own = model.outputs[0]
    one = own.shape[1:] in ((), (1,)) and own.dtype in ("float32", "float64")
    steps: tuple[str, ...] = (append,) if append else ()
    if one and labels is not None and len(labels) == 2 and not multi_label:
        if append == "softmax":
            raise ExportError(
                f"the softmax of one number is always 1, and the output {own.name!r} is one number for each row: "
                f"give {argument('append', 'sigmoid')}, or nothing if it is a probability already"
            )
        steps += ("both",)
    if not steps:
        return model
    if "both" not in steps and (len(own.shape) != 2 or own.dtype not in ("float32", "float64")):
        raise ExportError(
            f"a {append} needs floating-point numbers [rows, classes]; "
            f"the output {own.name!r} is {own.dtype}{list(own.shape)}"
        )
    return Headed(model, steps)
