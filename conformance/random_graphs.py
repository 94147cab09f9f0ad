"""Writes random ONNX graphs of small models with ONNX Runtime's answers, each in a folder.

    python conformance/random_graphs.py FOLDER SEED COUNT

A case is model.onnx, input_N.pb and output_N.pb. The models are dense and small convolutional
networks, chains of operators that move and compare elements, trees, linear models, support
vector machines and preprocessing of columns, in the operators and settings that exporters use.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

ML = "ai.onnx.ml"
FLOATS = (np.float32, np.float64)


class UnfitError(Exception):
    """A graph is none that anybody would run."""


class Graph:
    """A graph under construction, whose values' shapes are those of one example."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: dict[str, np.ndarray] = {}

    def name(self) -> str:
        """Return a name that no value has."""
        return f"v{len(self.nodes)}_{len(self.constants)}"

    def give(self, array: np.ndarray) -> str:
        """Add an input."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = array
        return name

    def constant(self, array: np.ndarray) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **settings: Any) -> str:
        """Add a node and return the names of its outputs."""
        names = [f"{self.name()}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **settings))
        return names[0] if outputs == 1 else " ".join(names)

    def value(self, name: str) -> np.ndarray:
        """Return a value's elements for the example."""
        return answers(self, [name])[0] if self.nodes else self.inputs[name]

    def integers(self, *values: int) -> str:
        """Add a constant of shapes or axes."""
        return self.constant(np.array(values, np.int64))

    def pick(self, choices: Sequence[Any]) -> Any:
        """Choose one."""
        return choices[int(self.rng.integers(len(choices)))]

    def normal(self, *shape: int, dtype: type = np.float32) -> np.ndarray:
        """Draw numbers."""
        return self.rng.normal(size=shape).astype(dtype)


def activation(g: Graph, x: str) -> str:
    """Apply a random activation."""
    op = g.pick(
        [
            "Relu",
            "Sigmoid",
            "Tanh",
            "LeakyRelu",
            "Elu",
            "Softplus",
            "Softsign",
            "HardSigmoid",
            "Erf",
            "Selu",
            "Neg",
            "Abs",
            "Identity",
            "Exp",
            "Reciprocal",
            "Clip",
        ]
    )
    if op == "Clip":
        bounds = sorted(g.normal(2))
        least, most = (g.constant(np.array(b, np.float32)) if g.rng.random() < 0.8 else "" for b in bounds)
        return g.node("Clip", x, least, most)
    if op == "Exp":
        x = g.node("Clip", x, g.constant(np.array(-1, np.float32)), g.constant(np.array(1, np.float32)))
    if op == "Reciprocal":
        x = g.node("Add", g.node("Abs", x), g.constant(np.array(1, np.float32)))
    if op in ("LeakyRelu", "Elu"):
        return g.node(str(op), x, alpha=float(g.rng.uniform(0.01, 1.5)))
    return g.node(str(op), x)


def adjusted(g: Graph, x: str, channels: int, behind: int, seen: list[str]) -> str:
    """Scale and shift the channels of a product, in the ways that an engine may make part of the product.

    Add to seen what is read otherwise too, so that it may not.
    """
    for _ in range(int(g.rng.choice([0, 0, 1, 2]))):
        if g.rng.random() < 0.1:
            seen.append(x)
        shape = g.pick([(channels, *[1] * behind), (1, channels, *[1] * behind), (), (1,)])
        by = (g.rng.uniform(0.5, 2, size=shape) * g.pick([1, -1])).astype(np.float32)
        op = str(g.pick(["Add", "Sub", "Mul", "Div"]))
        first = op != "Div" and g.rng.random() < 0.3
        x = g.node(op, *([g.constant(by), x] if first else [x, g.constant(by)]))
    if g.rng.random() < 0.2:
        stats = [g.constant(np.abs(g.normal(channels)) + np.float32(0.5)) for _ in range(4)]
        x = g.node("BatchNormalization", x, *stats)
    if g.rng.random() < 0.1:
        x = g.node("Add", x, g.node("Relu", x))
    return x


def dense(g: Graph) -> list[str]:
    """Make a dense network."""
    seen: list[str] = []
    rows, width = int(g.rng.integers(1, 6)), int(g.rng.integers(1, 40))
    x = g.give(g.normal(rows, width))
    if g.rng.random() < 0.4:
        by = g.rng.uniform(0.5, 2, size=g.pick([(width,), (1, width), (), (1,)])).astype(np.float32)
        x = g.node(str(g.pick(["Mul", "Div"])), x, g.constant(by))
    for _ in range(int(g.rng.integers(1, 5))):
        out = int(g.rng.integers(1, 40))
        bias = g.constant(g.normal(*((out,) if g.rng.random() < 0.8 else (1, out))))
        weights = g.normal(width, out) / np.float32(np.sqrt(width))
        if g.rng.random() < 0.5:
            trans = int(g.rng.integers(2))
            w = g.constant(weights.T if trans else weights)
            settings: dict[str, Any] = {"transB": trans}
            if g.rng.random() < 0.3:
                settings |= {"alpha": float(g.rng.uniform(0.5, 2)), "beta": float(g.rng.uniform(0.5, 2))}
            x = g.node("Gemm", x, w, bias, **settings)
        else:
            x = g.node("Add", g.node("MatMul", x, g.constant(weights)), bias)
        width = out
        x = activation(g, adjusted(g, x, width, 0, seen))
    if g.rng.random() < 0.5:
        x = g.node(str(g.pick(["Softmax", "LogSoftmax"])), x, axis=int(g.pick([-1, 1])))
    return [x, *dict.fromkeys(seen)]


def beyond(picture: Sequence[int], settings: dict[str, Any]) -> bool:
    """Whether a window is larger than the padded picture, which forgo refuses; ONNX Runtime may take one step."""
    if settings.get("auto_pad", "").startswith("SAME"):
        return False
    kernel = settings["kernel_shape"]
    pads = settings.get("pads", [0] * 2 * len(kernel))[: len(kernel)]  # the same at both ends
    dilations = settings.get("dilations", [1] * len(kernel))
    return any(
        size + 2 * pad < (k - 1) * dilation + 1
        for size, k, pad, dilation in zip(picture, kernel, pads, dilations, strict=True)
    )


def convolutional(g: Graph) -> list[str]:
    """Make a small convolutional network."""
    rank = int(g.pick([1, 2, 2, 2]))
    channels, sizes = int(g.rng.integers(1, 5)), [int(g.rng.integers(6, 14)) for _ in range(rank)]
    batch = int(g.rng.integers(1, 3))
    x = g.give(g.normal(batch, channels, *sizes))
    seen: list[str] = []
    if g.rng.random() < 0.4:
        x = g.node(
            "Mul", g.constant(g.rng.uniform(0.5, 2, size=g.pick([(), (1,), (1, 1)])).astype(np.float32)), x
        )
    for _ in range(int(g.rng.integers(1, 4))):
        kernel = [int(g.rng.integers(1, 4)) for _ in range(rank)]
        settings: dict[str, Any] = {"kernel_shape": kernel}
        if g.rng.random() < 0.4:
            settings["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
        else:
            settings["pads"] = [int(g.rng.integers(0, k)) for k in kernel] * 2
        if g.rng.random() < 0.4:
            settings["strides"] = [int(g.rng.integers(1, 3)) for _ in kernel]
        picture = g.value(x).shape[2:]
        kind = g.rng.random()
        if kind < 0.6:
            group = channels if g.rng.random() < 0.3 else 1
            filters = group * int(g.rng.integers(1, 4))
            if g.rng.random() < 0.2 and "auto_pad" not in settings:
                settings["dilations"] = [2 if k <= 2 else 1 for k in kernel]
            weights = g.normal(filters, channels // group, *kernel)
            bias = [g.constant(g.normal(filters))] if g.rng.random() < 0.7 else []
            x = g.node("Conv", x, g.constant(weights), *bias, group=group, **settings)
            channels = filters
            x = adjusted(g, x, channels, rank, seen)
        elif kind < 0.8:
            if g.rng.random() < 0.3 and "auto_pad" not in settings:
                settings["ceil_mode"] = 1
            x = g.node("MaxPool", x, **settings)
        else:
            x = g.node("AveragePool", x, count_include_pad=int(g.rng.integers(2)), **settings)
        if beyond(picture, settings):
            raise UnfitError
        x = activation(g, x)
    if g.rng.random() < 0.5:
        x = g.node(str(g.pick(["GlobalAveragePool", "GlobalMaxPool"])), x)
    return [g.node("Flatten", x), *dict.fromkeys(seen)]


def moving(g: Graph) -> list[str]:
    """Make a chain of operators that move, compare and reduce elements."""
    dtype = g.pick([np.float32, np.float64, np.int64, np.int32])
    shape = [int(n) for n in g.rng.integers(1, 5, size=int(g.rng.integers(1, 5)))]
    a = np.asarray(g.rng.normal(size=shape) * 5).astype(dtype)
    x = g.give(a)
    outputs = []
    for _ in range(int(g.rng.integers(1, 5))):
        rank = a.ndim
        op = g.pick(
            [
                "Transpose",
                "Slice",
                "Concat",
                "Gather",
                "Reshape",
                "Tile",
                "Expand",
                "Pad",
                "Unsqueeze",
                "Split",
                "Reduce",
                "Arg",
                "Round",
                "Arithmetic",
            ]
        )
        if op == "Transpose":
            x = g.node("Transpose", x, perm=[int(i) for i in g.rng.permutation(rank)])
        elif op == "Slice":
            at = int(g.rng.integers(rank))
            start, end, step = (
                int(g.rng.integers(-6, 6)),
                int(g.rng.integers(-6, 7)),
                int(g.pick([1, 1, 2, -1])),
            )
            if len(range(*slice(start, end, step).indices(a.shape[at]))) == 0:
                continue
            x = g.node("Slice", x, g.integers(start), g.integers(end), g.integers(at), g.integers(step))
        elif op == "Concat":
            x = g.node("Concat", x, x, axis=int(g.rng.integers(-rank, rank)))
        elif op == "Gather":
            at = int(g.rng.integers(rank))
            index = g.rng.integers(-a.shape[at], a.shape[at], size=int(g.rng.integers(1, 4)))
            x = g.node("Gather", x, g.constant(index), axis=at)
        elif op == "Reshape":
            x = g.node("Reshape", x, g.integers(-1, a.shape[-1]))
        elif op == "Tile":
            x = g.node("Tile", x, g.integers(*[int(n) for n in g.rng.integers(1, 3, size=rank)]))
        elif op == "Expand":
            x = g.node("Expand", x, g.integers(2, *[1] * rank))
        elif op == "Pad":
            if dtype is np.int32 and g.rng.random() < 1:
                continue
            x = g.node("Pad", x, g.integers(*[int(n) for n in g.rng.integers(0, 3, size=2 * rank)]))
        elif op == "Unsqueeze":
            x = g.node("Unsqueeze", x, g.integers(int(g.rng.integers(-rank - 1, rank + 1))))
        elif op == "Split":
            at = int(g.rng.integers(rank))
            if a.shape[at] < 2:
                continue
            both = g.node("Split", x, g.integers(1, a.shape[at] - 1), outputs=2, axis=at).split()
            x = both[1]
            outputs.append(both[0])
        elif op == "Reduce":
            kind = str(
                g.pick(
                    ["Sum", "Max", "Min"]
                    + ["Mean", "Prod", "L1", "L2", "SumSquare", "LogSumExp"] * (dtype in FLOATS)
                )
            )
            if dtype in FLOATS or kind in ("Sum", "Max", "Min"):
                axes = [int(g.rng.integers(-rank, rank))]
                outputs.append(g.node(f"Reduce{kind}", x, g.integers(*axes), keepdims=int(g.rng.integers(2))))
        elif op == "Arg":
            if dtype is not np.int64:
                outputs.append(
                    g.node(
                        str(g.pick(["ArgMax", "ArgMin"])),
                        x,
                        axis=int(g.rng.integers(rank)),
                        keepdims=int(g.rng.integers(2)),
                    )
                )
        elif op == "Round":
            if dtype in FLOATS:
                x = g.node(str(g.pick(["Round", "Ceil", "Floor", "Sign", "Neg", "Abs"])), x)
        elif op == "Arithmetic":
            other = np.asarray(
                g.rng.normal(size=[n if g.rng.random() < 0.5 else 1 for n in a.shape]) * 4 + 9
            ).astype(dtype)
            kind = str(
                g.pick(["Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "Greater", "Equal", "Where"])
            )
            c = g.constant(other)
            if kind in ("Less", "Greater", "Equal"):
                outputs.append(g.node(kind, x, c))
            elif kind == "Where":
                x = g.node("Where", g.node("Less", x, c), x, c)
            else:
                x = g.node(kind, *([x, c] if g.rng.random() < 0.7 or kind == "Div" else [c, x]))
        a = g.value(x)
        if a.ndim == 0 or a.ndim > 6 or a.size > 4000:
            break
    return list(dict.fromkeys([*outputs, x]))


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


REFUSALS = (
    UnfitError,
    state.NotImplemented,
    state.RuntimeException,
    state.Fail,
    state.InvalidGraph,
    state.InvalidArgument,
)
KINDS: list[Callable[[Graph], list[str]]] = [
    dense,
    convolutional,
    moving,
    columns,
    linear,
    trees,
    trees,
    vectors,
]


def build(g: Graph, outputs: list[str], typed: dict[str, int]) -> onnx.ModelProto:
    """Make a model of the nodes; outputs that have no type yet get none."""
    infos = [
        helper.make_tensor_value_info(name, kind_of(array), [None, *array.shape[1:]] if array.ndim else [])
        for name, array in g.inputs.items()
    ]
    results = [
        helper.make_tensor_value_info(name, typed[name], None) if typed else onnx.ValueInfoProto(name=name)
        for name in outputs
    ]
    graph = helper.make_graph(g.nodes, "random", infos, results, g.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def kind_of(array: np.ndarray) -> int:
    """Name an array's type as ONNX does."""
    return TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)


def answers(g: Graph, outputs: list[str]) -> list[np.ndarray]:
    """Ask ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(build(g, outputs, {}).SerializeToString(), options)
    return [np.asarray(a) for a in session.run(None, g.inputs)]


def main(folder: pathlib.Path, seed: int, count: int) -> None:
    """Write the cases."""
    refused = 0
    for number in range(count):
        g = Graph(np.random.default_rng([seed, number]))
        kind = KINDS[number % len(KINDS)]
        try:
            outputs = kind(g)
            if not g.nodes:
                continue
            results = answers(g, outputs)
        except REFUSALS:
            refused += 1
            continue
        path = folder / f"{number:05d}-{kind.__name__}"
        path.mkdir(parents=True)
        typed = {name: kind_of(a) for name, a in zip(outputs, results, strict=True)}
        model = build(g, outputs, typed)
        (path / "model.onnx").write_bytes(model.SerializeToString())
        for what, arrays in (("input", g.inputs), ("output", dict(zip(outputs, results, strict=True)))):
            for i, (name, array) in enumerate(arrays.items()):
                (path / f"{what}_{i}.pb").write_bytes(
                    numpy_helper.from_array(np.asarray(array), name).SerializeToString()
                )
    if refused > count / 10:
        raise SystemExit(f"ONNX Runtime refused {refused} of {count} graphs: too many to call this a test")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
