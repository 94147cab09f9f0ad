"""HistGradientBoosting's trees as ONNX nodes: what its predictors say, categories included.

sklearn-onnx leaves out categories and the exponential of the losses that have one, and rounds float64 thresholds to the
nearest float32. Here a split by categories is a chain of ``BRANCH_EQ``, whose end unknown and missing values reach, and
thresholds decide as fitted: with float64 inputs they stay as they are; with float32 inputs, if the rows are float32 too,
each becomes the largest float32 that is not above it. Rows that float32 rounds are rounded like their thresholds, to the
nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from forgo.exporting._xgboost_trees import Node

OPSET = {"": 18, "ai.onnx.ml": 3}
_LINKS = {"LogitLink": "Sigmoid", "MultinomialLogit": "Softmax", "LogLink": "Exp", "IdentityLink": "Identity"}
"""What becomes of the sums of trees, by the link of the loss."""


def fitted_on(model: Any) -> npt.NDArray[np.bool_]:
    """Which columns hold categories."""
    if getattr(model, "is_categorical_", None) is None:
        return np.zeros(model.n_features_in_, bool)
    return np.asarray(model.is_categorical_, bool)


def categories(model: Any) -> dict[int, list[Any]]:
    """The known categories of each column that has some, in the order of their codes."""
    columns = np.flatnonzero(fitted_on(model))
    if not len(columns):
        return {}
    encoder = model._preprocessor.named_transformers_["encoder"]
    return {
        int(i): [v for v in of.tolist() if v == v] for i, of in zip(columns, encoder.categories_, strict=True)
    }


def nodes(
    model: Any,
    source: str,
    result: str,
    label: str | None,
    precision: str,
    *,
    narrow: bool,
    coded: set[int] | None = None,
    raw: bool = False,
) -> Iterator[Node]:
    """The nodes from a matrix of columns to the answers: values, or the probabilities of all classes.

    Args:
        model: a fitted estimator.
        source: the name of the matrix.
        result: the name of the answers.
        label: the name of the most probable class, if wanted.
        precision: of the matrix.
        narrow: whether float32 holds every number of the rows.
        coded: the columns of categories that hold their indices.
        raw: whether the answers are the sums of trees, as decision_function gives them.
    """
    at = f"{result}_trees"
    attributes = _ensemble(model, precision, narrow, coded or set())
    yield "TreeEnsembleRegressor", [source], [at], "ai.onnx.ml", attributes
    link = _LINKS[type(model._loss.link).__name__]
    if link == "Sigmoid" and raw:
        yield "Neg", [at], [f"{at}_no"], "", {}
        yield "Concat", [f"{at}_no", at], [result], "", {"axis": 1}
    elif link == "Sigmoid":
        one = numpy_helper.from_array(np.array([1], np.float32))
        yield "Sigmoid", [at], [f"{at}_yes"], "", {}
        yield "Constant", [], [f"{at}_one"], "", {"value": one}
        yield "Sub", [f"{at}_one", f"{at}_yes"], [f"{at}_no"], "", {}
        yield "Concat", [f"{at}_no", f"{at}_yes"], [result], "", {"axis": 1}
    else:
        more = {"axis": 1} if link == "Softmax" else {}
        yield "Identity" if raw else link, [at], [result], "", {} if raw else more
    if label is not None:
        strings = [c for c in model.classes_ if isinstance(c, str)]
        classes = np.array(strings, object) if strings else np.asarray(model.classes_).astype(np.int64)
        yield "ArgMax", [result], [f"{at}_best"], "", {"axis": 1, "keepdims": 0}
        yield "Constant", [], [f"{at}_classes"], "", {"value": numpy_helper.from_array(classes)}
        yield "Gather", [f"{at}_classes", f"{at}_best"], [label], "", {"axis": 0}


class _Trees:
    """The attributes of a tree ensemble, as they grow."""

    def __init__(self) -> None:
        self.nodes: dict[str, list[Any]] = {
            name: []
            for name in (
                "treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true",
            )
        }  # fmt: skip
        self.leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}

    def branch(
        self, tree: int, node: int, feature: int, mode: str, value: float, yes: int, no: int, *, missing: bool
    ) -> None:
        entries = (tree, node, feature, mode, value, yes, no, int(missing))
        for of, entry in zip(self.nodes.values(), entries, strict=True):
            of.append(entry)

    def leaf(self, tree: int, node: int, target: int, value: float) -> None:
        self.branch(tree, node, 0, "LEAF", 0.0, 0, 0, missing=False)
        for of, entry in zip(self.leaves.values(), (tree, node, target, value), strict=True):
            of.append(entry)


def _ensemble(model: Any, precision: str, narrow: bool, coded: set[int]) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor."""
    categorical = fitted_on(model)
    order = np.r_[np.flatnonzero(categorical), np.flatnonzero(~categorical)]  # as the trees number columns
    known = [
        np.arange(len(of), dtype=np.float64) if i in coded else np.array(of, np.float64)
        for i, of in categories(model).items()
    ]
    trees, targets = _Trees(), model.n_trees_per_iteration_
    for t, (tree, target) in enumerate(
        (tree, i) for iteration in model._predictors for i, tree in enumerate(iteration)
    ):
        free = len(tree.nodes)  # numbers for the nodes that chains need beyond the tree's own
        for n, node in enumerate(tree.nodes):
            if node["is_leaf"]:
                trees.leaf(t, n, target, float(node["value"]))
                continue
            feature, left, right = int(node["feature_idx"]), int(node["left"]), int(node["right"])
            missing = bool(node["missing_go_to_left"])
            if not node["is_categorical"]:
                trees.branch(
                    t,
                    n,
                    order[feature],
                    "BRANCH_LEQ",
                    float(node["num_threshold"]),
                    left,
                    right,
                    missing=missing,
                )
                continue
            # Where missing values go, unknown ones go: down the chain, past every category of the other side.
            mask = tree.raw_left_cat_bitsets[node["bitset_idx"]]
            goes_left = np.array([mask[c // 32] >> (c % 32) & 1 for c in range(len(known[feature]))], bool)
            chosen = known[feature][~goes_left if missing else goes_left]
            yes, no = (right, left) if missing else (left, right)
            values = chosen if len(chosen) else np.array([np.nan])  # which nothing equals
            for k, value in enumerate(values):
                number = n if k == 0 else free + k - 1
                after = no if k == len(values) - 1 else free + k
                trees.branch(t, number, order[feature], "BRANCH_EQ", value, yes, after, missing=False)
            free += len(values) - 1
    return {**_typed(trees, model, precision, narrow), "n_targets": targets, "post_transform": "NONE"}


def _typed(trees: _Trees, model: Any, precision: str, narrow: bool) -> dict[str, Any]:
    """The attributes in the types of a precision."""
    nodes, leaves = dict(trees.nodes), dict(trees.leaves)
    values, weights = np.array(nodes.pop("values")), np.array(leaves.pop("weights"))
    base = np.asarray(model._baseline_prediction, np.float64).ravel()
    made: dict[str, Any] = {f"nodes_{name}": of for name, of in nodes.items()}
    made |= {f"target_{name}": of for name, of in leaves.items()}
    wide = (("nodes_values", values), ("target_weights", weights), ("base_values", base))
    if precision == "float64":
        return made | {f"{name}_as_tensor": numpy_helper.from_array(of, name) for name, of in wide}
    made |= {name: of.astype(np.float32).tolist() for name, of in wide[1:]}
    compared = np.array(nodes["modes"]) == "BRANCH_LEQ"
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    made["nodes_values"] = np.where(compared & narrow, below(values), nearest).tolist()
    return made


def below(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold: ``x <= threshold`` then says the same of every float32."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
