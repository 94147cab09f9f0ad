"""Random dense and convolutional networks, and chains of operators that move and compare elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from conformance.random_graph import FLOATS, Graph, UnfitError


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
