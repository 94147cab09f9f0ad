"""A random ONNX graph under construction, and what ONNX Runtime answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

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
