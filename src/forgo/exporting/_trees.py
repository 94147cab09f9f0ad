"""Trees with float64 thresholds: sklearn-onnx rounds them to the nearest float32, and this undoes what that changes.

ONNX's tree operators take float64 thresholds, as tensors, if their input is float64. If it is float32, and so are the
rows, a threshold becomes the largest float32 that is not above it. Either way a value takes the same path through the tree
as in scikit-learn. Rows that float32 rounds are rounded like their thresholds, to the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_SINCE = 3
"""The version of ai.onnx.ml with thresholds as tensors."""
_WIDENED = ("nodes_values", "class_weights", "target_weights", "base_values")


def exact(model: onnx.ModelProto, estimator: Any, precision: str, *, narrow: bool) -> onnx.ModelProto:
    """Give HistGradientBoosting trees in a graph the thresholds that decide as the fitted ones do.

    Args:
        model: is changed.
        estimator: the model that it was converted from.
        precision: of the graph's inputs.
        narrow: whether float32 holds every number of the rows.
    """
    if precision == "float32" and not narrow:
        return model
    fitted = [_thresholds(e) for e in _within(estimator)]
    for node in model.graph.node:
        if node.op_type not in _TREES:
            continue
        attributes = {a.name: a for a in node.attribute}
        places = list(zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints, strict=True))
        cut = np.array(attributes["nodes_values"].floats, np.float32)
        for thresholds in fitted:
            if thresholds.keys() != set(places):
                continue
            whole = np.array([thresholds[place] for place in places])
            if np.allclose(whole, cut, rtol=1e-6, atol=1e-30):
                if precision == "float32":
                    attributes["nodes_values"].floats[:] = _below(whole).tolist()
                    break
                _widen(node, attributes, whole)
                for opset in model.opset_import:
                    if opset.domain == "ai.onnx.ml":
                        opset.version = max(opset.version, _SINCE)
                break
    return model


def _within(estimator: Any) -> Iterator[Any]:
    """The HistGradientBoosting estimators in a model, itself included."""
    from sklearn.base import BaseEstimator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    seen: set[int] = set()
    left = [estimator]
    while left:
        at = left.pop()
        if isinstance(at, dict):
            left += at.values()
        elif isinstance(at, list | tuple):
            left += at
        elif isinstance(at, BaseEstimator) and id(at) not in seen:
            seen.add(id(at))
            if isinstance(at, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
                yield at
            else:
                left += vars(at).values()


def _thresholds(estimator: Any) -> dict[tuple[int, int], float]:
    trees = [tree for iteration in estimator._predictors for tree in iteration]
    return {
        (t, n): 0.0 if node["is_leaf"] else float(node["num_threshold"])
        for t, tree in enumerate(trees)
        for n, node in enumerate(tree.nodes)
    }


def _below(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold: ``x <= threshold`` then says the same of every float32."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _widen(node: onnx.NodeProto, attributes: dict[str, Any], thresholds: npt.NDArray[np.float64]) -> None:
    kept = [a for name, a in attributes.items() if name not in (*_WIDENED, "nodes_hitrates")]
    for name in _WIDENED:
        if name in attributes:
            values = thresholds if name == "nodes_values" else np.array(attributes[name].floats, np.float64)
            kept.append(helper.make_attribute(f"{name}_as_tensor", numpy_helper.from_array(values, name)))
    del node.attribute[:]
    node.attribute.extend(kept)
