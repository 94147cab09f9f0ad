"""LightGBM's trees as ONNX nodes: one TreeEnsembleRegressor with what the booster's dump says, and its objective's transform.

Thresholds decide as in training: with float64 inputs they stay as they are; with float32 inputs, if the rows are float32
too, each becomes the largest float32 that is not above it, so that a row on a threshold keeps its side.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from onnx import TensorProto

from forgo._errors import ExportError
from forgo.exporting._trees import Node, Trees, both

_SIGMOID, _SOFTMAX, _EXP, _SUM = "Sigmoid", "Softmax", "Exp", "Identity"
_LINKS = {
    "binary": _SIGMOID, "multiclass": _SOFTMAX, "multiclassova": _SIGMOID, "cross_entropy": _SIGMOID,
    "cross_entropy_lambda": "Softplus", "poisson": _EXP, "gamma": _EXP, "tweedie": _EXP,
}  # fmt: skip
"""What becomes of the sums of trees, by objective; any other answers with the sums, which the proof checks."""


def nodes(booster: Any, source: str, result: str, precision: str, *, narrow: bool) -> Iterator[Node]:
    """The nodes from a matrix of columns to the answers: values, or the probabilities of all classes.

    Args:
        booster: a fitted booster; the rounds up to its best count.
        source: the name of the matrix.
        result: the name of the answers.
        precision: of the matrix.
        narrow: whether float32 holds every number of the rows.

    Raises:
        ExportError: its leaves are no numbers.
    """
    if "\nis_linear=1" in booster.model_to_string():
        raise ExportError(
            "its leaves are linear models, which ONNX's trees do not support: train it with linear_tree=False"
        )
    said = booster.dump_model()
    objective, *parameters = said.get("objective", "").split() or [""]
    given = dict(p.split(":") for p in parameters if ":" in p)
    targets, of_trees = said["num_tree_per_iteration"], said["tree_info"]
    scale = float(given.get("sigmoid", 1)) if objective in ("binary", "multiclassova") else 1.0
    if said["average_output"]:  # a random forest
        scale /= len(of_trees) / targets
    trees = Trees()
    for t, tree in enumerate(of_trees):
        _grow(trees, t, tree["tree_structure"], t % targets, scale)
    at = f"{result}_trees"
    attributes = trees.attributes(np.zeros(targets), precision, narrow=narrow)
    kind = TensorProto.DOUBLE if precision == "float64" else TensorProto.FLOAT
    yield "Cast", [source], [f"{at}_columns"], "", {"to": kind}
    yield "TreeEnsembleRegressor", [f"{at}_columns"], [at], "ai.onnx.ml", attributes
    link = _LINKS.get(objective, _SUM)
    if objective == "binary":
        yield from both(at, result)
    elif "sqrt" in parameters:  # fitted on the square roots
        yield "Abs", [at], [f"{at}_size"], "", {}
        yield "Mul", [at, f"{at}_size"], [result], "", {}
    else:
        yield link, [at], [result], "", {"axis": 1} if link == _SOFTMAX else {}


def _grow(trees: Trees, t: int, root: dict[str, Any], target: int, scale: float) -> None:
    """Add a tree.

    Args:
        trees: gets its nodes.
        t: its number.
        root: its structure, as LightGBM dumps it.
        target: which answer it adds to.
        scale: what its leaves are multiplied by.
    """
    free, left_over = count(1), [(0, root)]
    while left_over:
        n, node = left_over.pop()
        if "left_child" not in node:
            trees.leaf(t, n, target, node["leaf_value"] * scale)
            continue
        feature, left, right = node["split_feature"], next(free), next(free)
        left_over += [(left, node["left_child"]), (right, node["right_child"])]
        if node["decision_type"] == "==":  # unknown and missing categories go right
            chosen = map(float, node["threshold"].split("||"))
            trees.chain(t, n, feature, chosen, left, right, free)
            continue
        threshold, missing = node["threshold"], node["default_left"]
        if node["missing_type"] == "None":  # a missing value counts as zero
            missing = threshold >= 0
        elif node["missing_type"] == "Zero":  # a zero counts as a missing value
            after = next(free)
            trees.branch(t, n, feature, "BRANCH_EQ", 0.0, left if missing else right, after, missing=False)
            n = after
        trees.branch(t, n, feature, "BRANCH_LEQ", threshold, left, right, missing=missing)
