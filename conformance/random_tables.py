"""Random trees, linear models, support vector machines and preprocessing of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.random_graph import ML, Graph


def columns(g: Graph) -> list[str]:
    """Make a table's preprocessing."""
    rows, width = int(g.rng.integers(1, 6)), int(g.rng.integers(1, 8))
    a = g.normal(rows, width)
    a[g.rng.random(a.shape) < 0.1] = np.nan
    x = g.give(a)
    x = g.node(
        "Imputer",
        x,
        domain=ML,
        imputed_value_floats=g.normal(int(g.pick([1, width]))).tolist(),
        replaced_value_float=float("nan"),
    )
    if g.rng.random() < 0.6:
        n = int(g.pick([1, width]))
        x = g.node("Scaler", x, domain=ML, offset=g.normal(n).tolist(), scale=g.normal(n).tolist())
    if g.rng.random() < 0.5:
        x = g.node("Normalizer", x, domain=ML, norm=str(g.pick(["L1", "L2", "MAX"])))
    outputs = [x]
    texts = g.give(g.rng.choice(["red", "green", "blue", "other"], size=(rows, 1)).astype(object))
    hot = g.node("OneHotEncoder", texts, domain=ML, cats_strings=["red", "green", "blue"], zeros=1)
    outputs.append(
        g.node("Concat", x, g.node("Reshape", hot, g.constant(np.array([-1, 3], np.int64))), axis=1)
    )
    outputs.append(
        g.node(
            "LabelEncoder",
            texts,
            domain=ML,
            keys_strings=["red", "blue"],
            values_int64s=[4, 7],
            default_int64=-3,
        )
    )
    outputs.append(
        g.node("ArrayFeatureExtractor", x, g.constant(g.rng.integers(0, width, size=2)), domain=ML)
    )
    return outputs


def linear(g: Graph) -> list[str]:
    """Make a linear model."""
    rows, width = int(g.rng.integers(1, 6)), int(g.rng.integers(1, 8))
    x = g.give(g.normal(rows, width))
    post = str(g.pick(["NONE", "LOGISTIC", "SOFTMAX"]))
    if g.rng.random() < 0.3:
        targets = int(g.rng.integers(1, 4))
        return [
            g.node(
                "LinearRegressor",
                x,
                domain=ML,
                coefficients=g.normal(targets * width).tolist(),
                intercepts=g.normal(targets).tolist(),
                targets=targets,
            )
        ]
    classes = int(g.rng.integers(2, 5))
    targets = 1 if classes == 2 and g.rng.random() < 0.5 else classes
    labels: dict[str, Any] = (
        {"classlabels_strings": [f"c{i}" for i in range(classes)]}
        if g.rng.random() < 0.5
        else {"classlabels_ints": list(range(10, 10 + classes))}
    )
    return g.node(
        "LinearClassifier",
        x,
        outputs=2,
        domain=ML,
        coefficients=g.normal(targets * width).tolist(),
        intercepts=g.normal(targets).tolist(),
        post_transform=post,
        **labels,
    ).split()


def trees(g: Graph) -> list[str]:
    """Make an ensemble of trees."""
    rows, width = int(g.rng.integers(1, 7)), int(g.rng.integers(1, 8))
    a = g.rng.integers(-8, 9, size=(rows, width)) / 4
    classifier = g.rng.random() < 0.6
    dtype = g.pick([np.float32, np.float32, np.float64] + [np.int64] * classifier)
    if dtype is not np.int64:
        a[g.rng.random(a.shape) < 0.1] = np.nan
    x = g.give(a.astype(dtype))
    targets = int(g.rng.integers(2, 5)) if classifier else int(g.rng.integers(1, 4))
    positive = g.rng.random() < 0.5
    only = int(g.rng.integers(2)) if classifier and targets == 2 and g.rng.random() < 0.6 else None
    if only == 1:
        only = 0 if g.rng.random() < 0.5 else 1
    modes = [
        ["BRANCH_LEQ"],
        ["BRANCH_LT"],
        ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"],
    ][int(g.rng.integers(3))]
    n: dict[str, list[Any]] = {
        k: []
        for k in (
            "treeids",
            "nodeids",
            "featureids",
            "truenodeids",
            "falsenodeids",
            "modes",
            "values",
            "missing_value_tracks_true",
        )
    }
    w: dict[str, list[Any]] = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(int(g.rng.integers(1, 8))):
        waiting, made = [(0, 0)], 1
        while waiting:
            node, depth = waiting.pop(0)
            leaf = depth > 0 and (depth == 4 or g.rng.random() < 0.3)
            n["treeids"].append(tree)
            n["nodeids"].append(node)
            n["missing_value_tracks_true"].append(int(g.rng.integers(2)) if not leaf else 0)
            n["featureids"].append(int(g.rng.integers(width)) if not leaf else 0)
            n["values"].append(float(g.rng.integers(-8, 9)) / 4 if not leaf else 0.0)
            n["modes"].append("LEAF" if leaf else str(g.pick(modes)))
            n["truenodeids"].append(made if not leaf else 0)
            n["falsenodeids"].append(made + 1 if not leaf else 0)
            if leaf:
                for target in range(targets):
                    if (only is not None and target != only) or (
                        targets > 1 and only is None and g.rng.random() < 0.3 and target > 0
                    ):
                        continue
                    w["treeids"].append(tree)
                    w["nodeids"].append(node)
                    w["ids"].append(target)
                    weight = float(np.float32(g.rng.normal() / 4))
                    w["weights"].append(abs(weight) if positive else weight)
            else:
                waiting += [(made, depth + 1), (made + 1, depth + 1)]
                made += 2
    settings: dict[str, Any] = {f"nodes_{k}": v for k, v in n.items()}
    if g.rng.random() < 0.5:
        del settings["nodes_missing_value_tracks_true"]
    settings |= {f"{'class' if classifier else 'target'}_{k}": v for k, v in w.items()}
    if g.rng.random() < 0.5:
        base = g.normal(int(g.pick([1, 2])) if only is not None else targets) / 2
        settings["base_values"] = base.tolist()
    if not classifier:
        how = str(g.pick(["SUM", "AVERAGE", "MIN", "MAX"]))
        post = "NONE" if g.rng.random() < 0.7 or targets == 1 else str(g.pick(["LOGISTIC", "SOFTMAX"]))
        return [
            g.node(
                "TreeEnsembleRegressor",
                x,
                domain=ML,
                n_targets=targets,
                aggregate_function=how,
                post_transform=post,
                **settings,
            )
        ]
    labels: dict[str, Any] = (
        {"classlabels_strings": [f"c{i}" for i in range(targets)]}
        if g.rng.random() < 0.5
        else {"classlabels_int64s": list(range(targets))}
    )
    post = str(g.pick(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]))
    return g.node(
        "TreeEnsembleClassifier", x, outputs=2, domain=ML, post_transform=post, **labels, **settings
    ).split()


def vectors(g: Graph) -> list[str]:
    """Make a support vector machine."""
    rows, width = int(g.rng.integers(1, 5)), int(g.rng.integers(1, 6))
    x = g.give(g.normal(rows, width))
    shape: dict[str, Any] = {
        "kernel_type": str(g.pick(["LINEAR", "POLY", "RBF", "SIGMOID"])),
        "kernel_params": [0.3, 0.5, float(g.pick([2, 3]))],
    }
    if g.rng.random() < 0.4:
        n = int(g.rng.integers(1, 6))
        return [
            g.node(
                "SVMRegressor",
                x,
                domain=ML,
                coefficients=g.normal(n).tolist(),
                support_vectors=g.normal(n * width).tolist(),
                rho=g.normal(1).tolist(),
                n_supports=n,
                one_class=int(g.rng.random() < 0.2),
                **shape,
            )
        ]
    classes = int(g.rng.integers(2, 5))
    each = [int(i) for i in g.rng.integers(1, 4, size=classes)]
    n, pairs = sum(each), classes * (classes - 1) // 2
    if g.rng.random() < 0.6:
        shape |= {
            "post_transform": str(g.pick(["NONE", "LOGISTIC", "SOFTMAX"])),
            "prob_a": (-np.abs(g.normal(pairs))).tolist(),
            "prob_b": g.normal(pairs).tolist(),
        }
    labels: dict[str, Any] = (
        {"classlabels_strings": [f"c{i}" for i in range(classes)]}
        if g.rng.random() < 0.5
        else {"classlabels_ints": list(range(classes))}
    )
    return g.node(
        "SVMClassifier",
        x,
        outputs=2,
        domain=ML,
        coefficients=g.normal((classes - 1) * n).tolist(),
        support_vectors=g.normal(n * width).tolist(),
        rho=g.normal(pairs).tolist(),
        vectors_per_class=each,
        **shape,
        **labels,
    ).split()
