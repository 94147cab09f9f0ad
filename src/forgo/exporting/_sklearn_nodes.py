"""Converters that sklearn-onnx lacks or gets wrong: for boosters, HistGradientBoosting, KBinsDiscretizer and others."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from forgo.exporting import _hist_trees, _sklearn_scalers
from forgo.exporting._trees import Node, best, put


def register(*, narrow: bool, coded: set[int]) -> None:
    """Tell sklearn-onnx of them.

    Args:
        narrow: whether float32 holds every number of the rows that the model will be proven on.
        coded: the columns that hold the codes of their categories.
    """
    _register_boosters()
    _register_hist_trees(narrow, coded)
    _register_networks()
    _register_imputers()
    _register_bins(narrow)
    _register_trees()
    _sklearn_scalers.register()


def _register_boosters() -> None:
    """Have forgo's own nodes for the boosters that are loaded, for pipelines that end in one."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as classes
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes as values

    zipmap = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if xgboost := sys.modules.get("xgboost"):
        for name in ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"):
            classifies = name.endswith("Classifier")
            update_registered_converter(
                getattr(xgboost, name), f"XGBoost{name}", classes if classifies else values, _xgboost_nodes,
                options=zipmap if classifies else None,
            )  # fmt: skip
    if lightgbm := sys.modules.get("lightgbm"):
        for name, shapes, options in (("LGBMClassifier", classes, zipmap), ("LGBMRegressor", values, None)):
            update_registered_converter(
                getattr(lightgbm, name), f"LightGbm{name}", shapes, _lightgbm_nodes, options=options
            )


def _register_hist_trees(narrow: bool, coded: set[int]) -> None:
    """Have forgo's own nodes for HistGradientBoosting, wherever it is in a model."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as classes
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes as values
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def convert(scope: Any, operator: Any, container: Any) -> None:
        model, source = operator.raw_operator, operator.inputs[0]
        raw = hasattr(model, "classes_") and container.get_options(model, {"raw_scores": False})["raw_scores"]
        result, label = _ends(operator)
        put(scope, operator, container, _hist_trees.nodes(
            model, source.full_name, result, label, _precision(source), narrow=narrow, coded=coded, raw=raw
        ))  # fmt: skip

    options = {"zipmap": [True, False, "columns"], "raw_scores": [True, False], "nocl": [True, False]}
    for kind, shapes in ((HistGradientBoostingClassifier, classes), (HistGradientBoostingRegressor, values)):
        update_registered_converter(
            kind, f"Sklearn{kind.__name__}", shapes, convert, options=options if shapes is classes else None
        )


def _register_networks() -> None:
    """Convert a MLPClassifier of two labels that do not exclude each other, which sklearn-onnx takes for two classes."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as classes
    from skl2onnx.operator_converters.multilayer_perceptron import convert_sklearn_mlp_classifier
    from sklearn.neural_network import MLPClassifier

    def convert(scope: Any, operator: Any, container: Any) -> None:
        model = operator.raw_operator
        if model._label_binarizer.y_type_ == "multilabel-indicator":
            operator.raw_operator = copy.copy(model)
            operator.raw_operator.classes_ = np.arange(3)  # with any number but two it is right
        convert_sklearn_mlp_classifier(scope, operator, container)
        operator.raw_operator = model

    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    }
    update_registered_converter(MLPClassifier, "SklearnMLPClassifier", classes, convert, options=options)


def _register_imputers() -> None:
    """Let SimpleImputer pass strings: sklearn-onnx refuses them, and none is missing in a bundle's rows."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import StringTensorType
    from skl2onnx.operator_converters.common import concatenate_variables
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
    from skl2onnx.shape_calculators.imputer import calculate_sklearn_imputer_output_shapes
    from sklearn.impute import SimpleImputer

    def convert(scope: Any, operator: Any, container: Any) -> None:
        model = operator.raw_operator
        whole = not model.add_indicator and all(v == v for v in model.statistics_)  # with every column
        text = isinstance(operator.inputs[0].type, StringTensorType)
        if not (whole and text) or isinstance(model.missing_values, str):
            convert_sklearn_imputer(scope, operator, container)
            return
        given = concatenate_variables(scope, operator.inputs, container)
        name = scope.get_unique_operator_name("Identity")
        container.add_node("Identity", [given], [operator.outputs[0].full_name], name=name)

    update_registered_converter(
        SimpleImputer, "SklearnSimpleImputer", calculate_sklearn_imputer_output_shapes, convert
    )


def _register_trees() -> None:
    """Round float64 to float32 before scikit-learn's trees, as these do; sklearn-onnx compares the float64."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common._registration import get_converter, register_converter
    from skl2onnx.common.data_types import DoubleTensorType
    from sklearn import ensemble, tree

    def wrapped(original: Any) -> Any:
        def convert(scope: Any, operator: Any, container: Any) -> None:
            before = len(container.nodes)
            original(scope, operator, container)
            if not isinstance(operator.inputs[0].type, DoubleTensorType):
                return
            for node in [n for n in container.nodes[before:] if n.op_type.startswith("TreeEnsemble")]:
                rounded, back = (scope.get_unique_variable_name(f"{node.input[0]}_{k}") for k in (32, 64))
                for given, made, kind in (
                    (node.input[0], rounded, TensorProto.FLOAT),
                    (rounded, back, TensorProto.DOUBLE),
                ):
                    name = scope.get_unique_operator_name("Cast")
                    container.add_node("Cast", [given], [made], name=name, to=kind)
                node.input[0] = back

        convert.rounds = True  # type: ignore[attr-defined]
        return convert

    for kind in (
        tree.DecisionTreeClassifier, tree.DecisionTreeRegressor, tree.ExtraTreeClassifier, tree.ExtraTreeRegressor,
        ensemble.RandomForestClassifier, ensemble.RandomForestRegressor, ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor, ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor,
        ensemble.IsolationForest,
    ):  # fmt: skip
        alias = sklearn_operator_name_map[kind]
        original = get_converter(alias)
        if not hasattr(original._fct, "rounds"):
            options = original.get_allowed_options()
            register_converter(alias, wrapped(original), overwrite=True, options=options)


def _register_bins(narrow: bool) -> None:
    """Have bins decided as fitted, and one-hot bins dense: sklearn-onnx rounds all edges, and refuses sparse ones."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.shape_calculators.k_bins_discretiser import calculate_sklearn_k_bins_discretiser as shapes
    from sklearn.preprocessing import KBinsDiscretizer

    def convert(scope: Any, operator: Any, container: Any) -> None:
        source, result = operator.inputs[0].full_name, operator.outputs[0].full_name
        double = isinstance(operator.outputs[0].type, DoubleTensorType)
        nodes = _bins(operator.raw_operator, source, result, np.float64 if double else np.float32, narrow)
        put(scope, operator, container, nodes)

    update_registered_converter(KBinsDiscretizer, "SklearnKBinsDiscretizer", shapes, convert)


def _bins(model: Any, source: str, result: str, dtype: Any, narrow: bool) -> Iterator[Node]:
    """Compare each column with the edges of its bins; a matrix makes what lies above an edge into bins."""
    column, edges = [0], [np.nan]  # which nothing reaches: a column may have one bin alone
    sums: list[npt.NDArray[Any]] = []
    first: list[int] = []
    for i, of in enumerate(model.bin_edges_):
        inner = of[1:-1]
        column += [i] * len(inner)
        edges += inner.tolist()
        if model.encode == "ordinal":
            sums.append(np.ones((len(inner), 1)))
            first.append(0)
        else:  # an edge that is reached leaves the bin below for the one above
            count = len(inner)
            sums.append(np.eye(count, count + 1, 1) - np.eye(count, count + 1))
            first += [1] + [0] * count
    matrix = np.zeros((len(edges), len(first)))
    row, at = 1, 0
    for of in sums:
        matrix[row : row + of.shape[0], at : at + of.shape[1]] = of
        row, at = row + of.shape[0], at + of.shape[1]
    limits = np.array(edges).astype(dtype)
    if dtype == np.float32 and narrow:  # the least float32 that reaches the edge
        limits = np.where(limits < np.array(edges), np.nextafter(limits, np.float32(np.inf)), limits)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for name, value in (
        ("column", np.array(column)), ("edges", limits), ("matrix", matrix.astype(dtype)), ("first", np.array(first, dtype)),
    ):  # fmt: skip
        yield "Constant", [], [f"{result}_{name}"], "", {"value": numpy_helper.from_array(value)}
    yield "Cast", [source], [f"{result}_numbers"], "", {"to": kind}
    yield "Gather", [f"{result}_numbers", f"{result}_column"], [f"{result}_each"], "", {"axis": 1}
    yield "GreaterOrEqual", [f"{result}_each", f"{result}_edges"], [f"{result}_reached"], "", {}
    yield "Cast", [f"{result}_reached"], [f"{result}_ones"], "", {"to": kind}
    yield "MatMul", [f"{result}_ones", f"{result}_matrix"], [f"{result}_moved"], "", {}
    yield "Add", [f"{result}_moved", f"{result}_first"], [result], "", {}


def _ends(operator: Any) -> tuple[str, str | None]:
    """The names of an operator's answers and of its label, if it has one."""
    outputs = [o.full_name for o in operator.outputs]
    return (outputs[1], outputs[0]) if len(outputs) == 2 else (outputs[0], None)


def _xgboost_nodes(scope: Any, operator: Any, container: Any) -> None:
    """Put a model of XGBoost into a pipeline's graph."""
    from forgo.exporting import _xgboost, _xgboost_trees

    booster = _xgboost.booster_of(operator.raw_operator)
    result, label = _ends(operator)
    put(
        scope, operator, container, _xgboost_trees.nodes(booster, operator.inputs[0].full_name, result, label)
    )


def _lightgbm_nodes(scope: Any, operator: Any, container: Any) -> None:
    """Put a model of LightGBM into a pipeline's graph; its thresholds are rounded as what comes before it is."""
    from forgo.exporting import _lightgbm_trees

    model, source = operator.raw_operator, operator.inputs[0]
    result, label = _ends(operator)
    nodes = _lightgbm_trees.nodes(model.booster_, source.full_name, result, _precision(source), narrow=False)
    put(scope, operator, container, chain(nodes, best(model.classes_, result, label) if label else ()))


def _precision(source: Any) -> str:
    from skl2onnx.common.data_types import DoubleTensorType

    return "float64" if isinstance(source.type, DoubleTensorType) else "float32"


@contextmanager
def plain_attributes() -> Iterator[None]:
    """Convert NumPy's numbers to Python's for ONNX's helper: newer protobuf refuses those that sklearn-onnx passes."""
    from skl2onnx.common import _container

    original = _container.make_node

    def plain(value: Any) -> Any:
        if isinstance(value, np.bool_ | bool):
            return int(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value

    def make_node(*infos: Any, **attributes: Any) -> Any:
        return original(*infos, **{name: plain(value) for name, value in attributes.items()})

    _container.make_node = make_node
    try:
        yield
    finally:
        _container.make_node = original
