"""XGBoost's trees as ONNX nodes: one TreeEnsembleRegressor with what the booster's JSON says, and its objective's transform.

onnxmltools gives every tree of a round a class of its own, which is wrong for forests (``num_parallel_tree``), and takes
some objectives for sums. Here ``tree_info`` says which class a tree adds to. Values are rounded to float32 before the
trees, as XGBoost does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import accumulate, count, pairwise
from typing import Any

import numpy as np
from onnx import TensorProto

from forgo._errors import ExportError
from forgo.exporting._trees import Node, Trees, both

_SIGMOID, _SOFTMAX, _EXP, _SUM = "sigmoid", "softmax", "exp", "sum"
_LEAST = 1e-6
"""XGBoost takes no base score of a probability for nearer to 0 or 1, as that of a label that all rows have."""
_LINKS = {
    "binary:logistic": _SIGMOID, "reg:logistic": _SIGMOID, "multi:softprob": _SOFTMAX, "count:poisson": _EXP,
    "reg:gamma": _EXP, "reg:tweedie": _EXP, "survival:cox": _EXP, "survival:aft": _EXP,
}  # fmt: skip
"""What becomes of the sums of trees, by objective; any other answers with the sums, which the proof checks."""


def nodes(booster: Any, source: str, result: str, label: str | None = None) -> Iterator[Node]:
    """The nodes from a matrix of columns to the answers: values, or the probabilities of all classes.

    Args:
        booster: a fitted booster, of all rounds that count.
        source: the name of the matrix.
        result: the name of the answers.
        label: the name of the index of the most probable class, if wanted.

    Raises:
        ExportError: it is no sum of trees with one value in each leaf.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    objective = learner["objective"]["name"]
    link = _LINKS.get(objective, _SUM)
    at = f"{result}_trees"
    yield "Cast", [source], [f"{at}_float"], "", {"to": TensorProto.FLOAT}
    yield "TreeEnsembleRegressor", [f"{at}_float"], [at], "ai.onnx.ml", _ensemble(learner, link)
    if link == _EXP:
        yield "Exp", [at], [result], "", {}
    elif link == _SOFTMAX:
        yield "Softmax", [at], [result], "", {"axis": 1}
    elif objective == "binary:logistic" and targets(learner) == 1:
        yield from both(at, result)
    else:
        yield "Sigmoid" if link == _SIGMOID else "Identity", [at], [result], "", {}
    if label is not None:
        yield "ArgMax", [result], [label], "", {"axis": 1, "keepdims": 0}


def targets(learner: Mapping[str, Any]) -> int:
    """The number of labels or values that are trained together and do not exclude each other."""
    return int(learner["learner_model_param"].get("num_target", 1))


def codes(booster: Any, column: int, values: list[Any]) -> list[Any]:
    """The categories of a frame's column in the order of the numbers that a booster gives them.

    Args:
        booster: XGBoost 3.1 and newer keep the categories of the training's frame; for others, a category's number is its place.
        column: the column's place.
        values: the column's categories, integers or strings.
    """
    held = _model(json.loads(booster.save_raw("json"))["learner"]).get("cats", {}).get("enc", [])
    own: list[Any] = held[column]["values"] if column < len(held) else []
    if not own:
        return values
    if "offsets" in held[column]:
        data = bytes(v & 0xFF for v in own)  # which the JSON has as signed numbers
        own = [data[a:b] for a, b in pairwise(held[column]["offsets"])]
        # XGBoost cuts its UTF-8 at places counted in characters, in training and when it answers.
        strings = list(map(str, values))
        offsets = [*accumulate(map(len, strings), initial=0)]
        whole = "".join(strings).encode()
        cuts = [v.encode() for v in strings], [whole[a:b] for a, b in pairwise(offsets)]
        values_by = dict(zip(max(cuts, key=lambda c: sum(v in own for v in c)), values, strict=True))
    else:
        values_by = dict(zip(values, values, strict=True))
    return [values_by.get(v, f"\0{i}" if "offsets" in held[column] else v) for i, v in enumerate(own)]


def _model(learner: dict[str, Any]) -> dict[str, Any]:
    gradient = learner["gradient_booster"]
    model: dict[str, Any] = (gradient["gbtree"] if gradient["name"] == "dart" else gradient)["model"]
    return model


def _chosen(tree: dict[str, Any]) -> dict[int, list[int]]:
    """The categories that go right at each node that splits by categories."""
    segments = zip(
        tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
    )
    return {node: tree["categories"][at : at + size] for node, at, size in segments}


def _ensemble(learner: dict[str, Any], link: str) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor."""
    weights = learner["gradient_booster"].get("weight_drop")  # of DART
    model = _model(learner)
    about = learner["learner_model_param"]
    sums = max(1, int(about["num_class"]), targets(learner))
    trees = Trees()
    for t, tree in enumerate(model["trees"]):
        if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise ExportError(
                "its trees have several values in a leaf: train it with multi_strategy='one_output_per_tree'"
            )
        chosen = _chosen(tree)
        free = count(len(tree["left_children"]))  # for the nodes of chains, beyond the tree's own
        for n, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
            value, feature = tree["split_conditions"][n], tree["split_indices"][n]
            missing = bool(tree["default_left"][n])
            if left == -1:
                weight = 1.0 if weights is None else weights[t]
                trees.leaf(t, n, model["tree_info"][t], float(np.float32(value) * np.float32(weight)))
            elif n not in chosen:
                trees.branch(t, n, feature, "BRANCH_LT", value, left, right, missing=missing)
            else:  # any category that it does not name goes left, as does a missing one if told to
                trees.chain(t, n, feature, chosen[n], right, left, free, missing=not missing)
    base = json.loads(about["base_score"])
    bases = [float(b) for b in (base if isinstance(base, list) else [base])]
    margins = [_margin(b, link) for b in (bases if len(bases) == sums else bases[:1] * sums)]
    return trees.attributes(np.array(margins), "float32", narrow=False)


def _margin(base: float, link: str) -> float:
    """What the trees add to, from a base score in terms of answers."""
    if link == _SIGMOID:
        base = min(max(base, _LEAST), 1 - _LEAST)
        return -math.log(1 / base - 1)
    if link == _EXP:  # of counts that are all zero: no tree adds anything
        return math.log(base) if base > 0 else -math.inf
    return base
