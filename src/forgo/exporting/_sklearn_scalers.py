"""Scalers as scikit-learn computes them: sklearn-onnx multiplies by a rounded inverse, which moves rows over thresholds."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from forgo.exporting._trees import Node, put

Step = tuple[str, Any]
"""An operation, and its number for each column."""

_UFUNCS = {"Sub": np.subtract, "Div": np.divide, "Mul": np.multiply, "Add": np.add}


def steps(model: Any) -> list[Step]:
    """What a fitted scaler does to its columns, in turn."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    if isinstance(model, StandardScaler):
        found = [("Sub", model.mean_ if model.with_mean else None), ("Div", model.scale_)]
    elif isinstance(model, RobustScaler):
        found = [("Sub", model.center_), ("Div", model.scale_)]
    elif isinstance(model, MinMaxScaler):
        found = [("Mul", model.scale_), ("Add", model.min_)]
    else:
        assert isinstance(model, MaxAbsScaler)
        found = [("Div", model.scale_)]
    return [(op, np.atleast_1d(values)) for op, values in found if values is not None]


def nodes(model: Any, source: str, result: str, dtype: Any) -> Iterator[Node]:
    """The nodes from columns to scaled columns.

    Args:
        model: a fitted scaler, StandardScaler, RobustScaler, MinMaxScaler or MaxAbsScaler.
        source: the name of the columns.
        result: the name of the scaled columns.
        dtype: of both, float32 or float64.
    """
    numbers = count()

    def named() -> str:
        return f"{result}_{next(numbers)}"

    def constant(value: Any) -> tuple[str, Node]:
        name = named()
        return name, ("Constant", [], [name], "", {"value": numpy_helper.from_array(value)})

    def cast(at: str, to: Any) -> tuple[str, Node]:
        name = named()
        return name, ("Cast", [at], [name], "", {"to": helper.np_dtype_to_tensor_dtype(np.dtype(to))})

    wide = np.float64 if dtype == np.float64 or not _narrow(model) else np.float32
    at, node = cast(source, dtype)
    yield node
    for op, values in steps(model):
        if wide != dtype:  # NumPy computes in float64 and rounds, operation by operation
            at, node = cast(at, wide)
            yield node
        number, node = constant(values.astype(wide))
        yield node
        moved = named()
        yield op, [at, number], [moved], "", {}
        at = moved
        if wide != dtype:
            at, node = cast(at, dtype)
            yield node
    if getattr(model, "clip", False):
        low, high = getattr(model, "feature_range", (-1, 1))
        ends = []
        for limit in (low, high):
            number, node = constant(np.array(limit, dtype))
            ends.append(number)
            yield node
        moved = named()
        yield "Clip", [at, *ends], [moved], "", {}
        at = moved
    yield "Identity", [at], [result], "", {}


def _narrow(model: Any) -> bool:
    """Whether scikit-learn scales float32 in float32: versions differ, so it is asked."""
    found = steps(model)
    if not found:
        return True
    columns = len(found[0][1])
    rows = np.random.default_rng(0).normal(size=(64, columns)).astype(np.float32)
    want = rows
    for op, values in found:
        want = _UFUNCS[op](want, values.astype(np.float32))
    plain = copy.copy(model)
    plain.clip = False
    vars(plain).pop("feature_names_in_", None)  # of the frame that it was fitted on, which the rows are not
    return bool(np.array_equal(np.asarray(plain.transform(rows)), want))


def register() -> None:
    """Tell sklearn-onnx of them."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.operator_converters.common import concatenate_variables
    from skl2onnx.shape_calculators.scaler import calculate_sklearn_scaler_output_shapes as shapes
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    def convert(scope: Any, operator: Any, container: Any) -> None:
        source = operator.inputs[0].full_name
        if len(operator.inputs) > 1:
            source = concatenate_variables(scope, operator.inputs, container)
        wide = isinstance(operator.outputs[0].type, DoubleTensorType)
        result = operator.outputs[0].full_name
        put(
            scope,
            operator,
            container,
            nodes(operator.raw_operator, source, result, np.float64 if wide else np.float32),
        )

    for kind, alias in (
        (StandardScaler, "SklearnScaler"), (RobustScaler, "SklearnRobustScaler"),
        (MinMaxScaler, "SklearnMinMaxScaler"), (MaxAbsScaler, "SklearnMaxAbsScaler"),
    ):  # fmt: skip
        update_registered_converter(kind, alias, shapes, convert)
