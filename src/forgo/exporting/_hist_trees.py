"""HistGradientBoosting's trees as ONNX nodes, categories included.

sklearn-onnx leaves out categories and the exponential of the losses that have one, and rounds float64 thresholds to the
nearest float32. Here a split by categories is a chain of ``BRANCH_EQ``, whose end unknown and missing values reach, and
thresholds decide as fitted: with float64 inputs they stay as they are; with float32 inputs, if the rows are float32 too,
each becomes the largest float32 that is not above it. Rows that float32 rounds are rounded like their thresholds, to the
nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo.exporting._trees import Node, Trees, best, both

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
        yield from both(at, result)
    else:
        more = {"axis": 1} if link == "Softmax" else {}
        yield "Identity" if raw else link, [at], [result], "", {} if raw else more
    if label is not None:
        yield from best(model.classes_, result, label)


def _ensemble(model: Any, precision: str, narrow: bool, coded: set[int]) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor."""
    categorical = fitted_on(model)
    order = np.r_[np.flatnonzero(categorical), np.flatnonzero(~categorical)]  # as the trees number columns
    known = [
        np.arange(len(of), dtype=np.float64) if i in coded else np.array(of, np.float64)
        for i, of in categories(model).items()
    ]
    trees = Trees()
    for t, (tree, target) in enumerate(
        (tree, i) for iteration in model._predictors for i, tree in enumerate(iteration)
    ):
        free = count(len(tree.nodes))  # for the nodes of chains, beyond the tree's own
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
            trees.chain(t, n, order[feature], chosen, yes, no, free)
    base = np.asarray(model._baseline_prediction, np.float64).ravel()
    return trees.attributes(base, precision, narrow=narrow)
