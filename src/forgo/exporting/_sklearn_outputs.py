"""A MultiOutputClassifier whose outputs are 0 or 1, as a multi-label model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from forgo._errors import ExportError


def last(model: Any) -> Any:
    """The last step of a pipeline, or the model itself."""
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return model


def labels(model: Any) -> list[str] | None:
    """The outputs' numbers, if this is such a model, or a pipeline that ends in one."""
    from sklearn.multioutput import MultiOutputClassifier

    model = last(model)
    if not isinstance(model, MultiOutputClassifier) or not all(list(of) == [0, 1] for of in model.classes_):
        return None
    return [str(i) for i in range(len(model.classes_))]


def refused(model: Any) -> ExportError:
    """The error for another model with a matrix of probabilities for each output."""
    kind = type(model).__name__
    return ExportError(
        f"a {kind} with several outputs gives separate probabilities for each: export a model for each output, or, "
        "for outputs of 0 and 1, a MultiOutputClassifier over models of one output"
    )


def positive(probabilities: Any) -> npt.NDArray[Any]:
    """The probability of 1 for each output, of scikit-learn's list of matrices."""
    return np.stack([of[:, 1] for of in probabilities], axis=1)


def join(model: onnx.ModelProto) -> None:
    """Replace a graph's probabilities, a sequence of matrices, by those of 1."""
    graph, given = model.graph, model.graph.output[1]
    (source,) = (node for node in graph.node if given.name in node.output)
    assert source.op_type == "SequenceConstruct"
    graph.node.remove(source)
    rows, made = f"{given.name}_rows", f"{given.name}_of_1"
    ones = 1 + 2 * np.arange(len(source.input))
    graph.initializer.append(numpy_helper.from_array(ones, f"{made}_at"))
    graph.node.append(helper.make_node("Concat", source.input, [rows], axis=1))
    graph.node.append(helper.make_node("Gather", [rows, f"{made}_at"], [made], axis=1))
    kind = given.type.sequence_type.elem_type.tensor_type.elem_type
    given.CopyFrom(helper.make_tensor_value_info(made, kind, [None, len(ones)]))
