"""A TransformedTargetRegressor as its regressor, and nodes that invert the transform: sklearn-onnx has no converter."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from forgo._errors import ExportError

_Step = tuple[str, float | np.ndarray[Any, Any] | None]
"""An operator of ONNX's, and its second input if it has one."""
_INVERSES: dict[Any, list[_Step]] = {
    None: [],
    np.exp: [("Exp", None)],
    np.expm1: [("Exp", None), ("Sub", 1)],
    np.exp2: [("Mul", float(np.log(2))), ("Exp", None)],
    np.log: [("Log", None)],
    np.log1p: [("Add", 1), ("Log", None)],
    np.sqrt: [("Sqrt", None)],
    np.square: [("Pow", 2)],
    np.negative: [("Neg", None)],
    np.reciprocal: [("Reciprocal", None)],
}


def split(model: Any) -> tuple[Any, list[_Step]]:
    """Replace a TransformedTargetRegressor at a model's end by its regressor.

    Returns:
        the model that predicts the transformed target, and the steps back to the target.

    Raises:
        ExportError: no operators of ONNX's are known for these steps.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import Pipeline

    if isinstance(model, Pipeline) and model.steps:
        name, last = model.steps[-1]
        inner, back = split(last)
        if inner is last:
            return model, back
        model = copy.copy(model)
        model.steps = [*model.steps[:-1], (name, inner)]
        return model, back
    if not isinstance(model, TransformedTargetRegressor):
        return model, []
    inner, back = split(model.regressor_)
    return inner, back + _back(model.transformer_)


def _back(transformer: Any) -> list[_Step]:
    from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, StandardScaler

    if isinstance(transformer, StandardScaler):
        scale = [] if transformer.scale_ is None else [("Mul", transformer.scale_)]
        return [*scale, *([] if transformer.mean_ is None else [("Add", transformer.mean_)])]
    if isinstance(transformer, MinMaxScaler) and not transformer.clip:
        return [("Sub", transformer.min_), ("Div", transformer.scale_)]
    if isinstance(transformer, MaxAbsScaler):
        return [("Mul", transformer.scale_)]
    what = f"transformer {type(transformer).__name__}"
    if isinstance(transformer, FunctionTransformer):
        inverse = transformer.inverse_func
        if not transformer.inv_kw_args and inverse in _INVERSES:
            return list(_INVERSES[inverse])
        what = f"inverse_func {getattr(inverse, '__name__', type(inverse).__name__)}"
    known = ", ".join(f"np.{f.__name__}" for f in _INVERSES if f is not None)
    raise ExportError(
        f"a TransformedTargetRegressor with the {what} cannot be exported: use StandardScaler, MinMaxScaler, MaxAbsScaler or one of {known}, "
        "or export its regressor_ and turn the answers back outside"
    )


def append(model: onnx.ModelProto, back: list[_Step]) -> None:
    """Turn a graph's first output back into the target."""
    output = model.graph.output[0]
    dtype = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    for i, (operator, second) in enumerate(back):
        made, inputs = f"{output.name}_back_{i}", [output.name]
        if second is not None:
            inputs.append(f"{made}_by")
            model.graph.initializer.append(
                numpy_helper.from_array(np.atleast_1d(second).astype(dtype), inputs[1])
            )
        model.graph.node.append(helper.make_node(operator, inputs, [made], name=made))
        output.name = made
