"""Trees of any library as ONNX: the attributes of a TreeEnsembleRegressor in float32 or float64, and the graph around it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = {"": 18, "ai.onnx.ml": 3}
_IR = 9
Node = tuple[str, list[str], list[str], str, dict[str, Any]]
"""An operator, its inputs and outputs, its domain and attributes."""


class Trees:
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

    def chain(
        self,
        tree: int,
        node: int,
        feature: int,
        values: Iterable[float],
        yes: int,
        no: int,
        free: Iterator[int],
        *,
        missing: bool = False,
    ) -> None:
        """Branches on whether a category is among values, one for each; the nodes behind the first take free numbers."""
        *others, last = list(values) or [math.nan]  # which nothing equals
        for value in others:
            after = next(free)
            self.branch(tree, node, feature, "BRANCH_EQ", value, yes, after, missing=missing)
            node = after
        self.branch(tree, node, feature, "BRANCH_EQ", last, yes, no, missing=missing)

    def leaf(self, tree: int, node: int, target: int, value: float) -> None:
        self.branch(tree, node, 0, "LEAF", 0.0, 0, 0, missing=False)
        for of, entry in zip(self.leaves.values(), (tree, node, target, value), strict=True):
            of.append(entry)

    def attributes(self, base: npt.NDArray[np.float64], precision: str, *, narrow: bool) -> dict[str, Any]:
        """Those of a TreeEnsembleRegressor.

        Args:
            base: what the trees of each target add to.
            precision: of the columns.
            narrow: whether float32 holds every number of the rows: thresholds are then rounded down.
        """
        nodes, leaves = dict(self.nodes), dict(self.leaves)
        values, weights = np.array(nodes.pop("values")), np.array(leaves.pop("weights"))
        made: dict[str, Any] = {f"nodes_{name}": of for name, of in nodes.items()}
        made |= {f"target_{name}": of for name, of in leaves.items()}
        made |= {"n_targets": len(base), "post_transform": "NONE"}
        wide = (("nodes_values", values), ("target_weights", weights), ("base_values", base))
        if precision == "float64":
            return made | {f"{name}_as_tensor": numpy_helper.from_array(of, name) for name, of in wide}
        made |= {name: of.astype(np.float32).tolist() for name, of in wide[1:]}
        compared = np.array(nodes["modes"]) == "BRANCH_LEQ"
        with np.errstate(over="ignore"):
            nearest = values.astype(np.float32)
        made["nodes_values"] = np.where(compared & narrow, _below(values), nearest).tolist()
        return made


def _below(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold: ``x <= threshold`` then says the same of every float32."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def both(source: str, result: str) -> Iterator[Node]:
    """The probabilities of two classes, from the logit of the second."""
    yield "Sigmoid", [source], [f"{source}_yes"], "", {}
    one = numpy_helper.from_array(np.array([1], np.float32))
    yield "Constant", [], [f"{source}_one"], "", {"value": one}
    yield "Sub", [f"{source}_one", f"{source}_yes"], [f"{source}_no"], "", {}
    yield "Concat", [f"{source}_no", f"{source}_yes"], [result], "", {"axis": 1}


def best(classes: Any, result: str, label: str) -> Iterator[Node]:
    """The most probable class."""
    strings = [c for c in classes if isinstance(c, str)]
    values = np.array(strings, object) if strings else np.asarray(classes).astype(np.int64)
    yield "ArgMax", [result], [f"{result}_best"], "", {"axis": 1, "keepdims": 0}
    yield "Constant", [], [f"{result}_classes"], "", {"value": numpy_helper.from_array(values)}
    yield "Gather", [f"{result}_classes", f"{result}_best"], [label], "", {"axis": 0}


def model(nodes: Iterable[Node], columns: int, precision: str = "float32") -> onnx.ModelProto:
    """A model of nodes from ``input``, a matrix of so many columns, to ``answers``."""
    made = [
        helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes)
        for op, inputs, outputs, domain, attributes in nodes
    ]
    kind = TensorProto.DOUBLE if precision == "float64" else TensorProto.FLOAT
    x = helper.make_tensor_value_info("input", kind, [None, columns])
    answers = helper.make_tensor_value_info("answers", TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "trees", [x], [answers])
    opsets = [helper.make_opsetid(domain, number) for domain, number in OPSET.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)


def put(scope: Any, operator: Any, container: Any, nodes: Iterator[Node]) -> None:
    """Put nodes into a graph that sklearn-onnx makes, under names that it has not given."""
    outputs = [o.full_name for o in operator.outputs]
    unique: dict[str, str] = {}
    for op, inputs, made, domain, attributes in nodes:
        for name in made:
            unique[name] = name if name in outputs else scope.get_unique_variable_name(name)
        container.add_node(
            op, [unique.get(n, n) for n in inputs], [unique[n] for n in made], op_domain=domain, op_version=3 if domain else 18,
            name=scope.get_unique_operator_name(op), **attributes,
        )  # fmt: skip
