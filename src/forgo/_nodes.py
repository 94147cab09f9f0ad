"""Writes ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

INT32, INT64, UINT8 = TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8
FLOAT, DOUBLE, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL

_TYPES = {int: np.int64, float: np.float64}

Value = str | int | float
"""The name of a tensor, or a scalar: an int64 or a double."""


class Nodes:
    """The nodes of a graph under construction, or of a loop's body in it.

    A node is named after its output. Numbers become constants.
    """

    def __init__(self, outer: Nodes | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._root: Nodes = outer._root if outer else self
        self._names: dict[str, int] = {}
        self._made: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: Value, name: str = "", **attributes: Any) -> str:
        """Add a node and return its output's name, which defaults to the operator's."""
        output = self.name(name or op.lower())
        names = [i if isinstance(i, str) else self.scalar(i) for i in inputs]
        self.nodes.append(helper.make_node(op, names, [output], name=output, **attributes))
        return output

    def name(self, stem: str) -> str:
        """A name that the graph does not use yet."""
        count = self._root._names.get(stem, 0)
        self._root._names[stem] = count + 1
        return f"{stem}_{count}" if count else stem

    def scalar(self, value: float, dtype: Any = None) -> str:
        """A scalar constant: by default int64 for an int, double for a float."""
        return self.array(np.array(value, dtype or _TYPES[type(value)]))

    def array(self, value: npt.NDArray[Any], name: str = "constant") -> str:
        """A constant; equal ones with one name are shared."""
        made = self._root._made
        key = (name + value.dtype.str, value.shape, value.tobytes())
        if key not in made:
            made[key] = self.name(name)
            self._root.constants.append(numpy_helper.from_array(value, made[key]))
        return made[key]

    def ints(self, *values: int) -> str:
        """A constant int64 [n]."""
        return self.array(np.array(values, np.int64))

    def cast(self, value: Value, to: int) -> str:
        """Cast to an element type of ONNX."""
        return self("Cast", value, to=to)

    def loop(self, count: str, state: list[str], body: Callable[[Nodes, str, list[str]], tuple[list[str], list[str]]]) -> list[str]:  # fmt: skip
        """Add a loop of ``count`` (int64 scalar) turns.

        ``body`` gets the nodes to add to, the turn's number and the state's names; it returns the new
        state, of the same types, and the values to stack.

        Returns:
            The last state and the stacks.
        """
        inner = Nodes(self)
        turn, before = self.name("turn"), [self.name("state") for _ in state]
        going = self.name("going")
        after, stacked = body(inner, turn, before)
        on = inner("Identity", going)
        ends = [on, *(inner("Identity", n) for n in after), *(inner("Identity", n) for n in stacked)]
        graph = helper.make_graph(
            inner.nodes,
            self.name("body"),
            [
                helper.make_tensor_value_info(turn, INT64, []),
                helper.make_tensor_value_info(going, BOOL, []),
                *(helper.make_empty_tensor_value_info(n) for n in before),
            ],
            [helper.make_empty_tensor_value_info(n) for n in ends],
        )
        outputs = [self.name("looped") for _ in [*after, *stacked]]
        self.nodes.append(helper.make_node("Loop", [count, "", *state], outputs, name=outputs[0], body=graph))
        return outputs

    def choose(self, condition: str, then: Callable[[Nodes], str], other: Callable[[Nodes], str]) -> str:
        """Add two branches with one output each. One of them runs."""
        branches = {}
        for name, build in (("then_branch", then), ("else_branch", other)):
            inner = Nodes(self)
            end = inner("Identity", build(inner))
            branches[name] = helper.make_graph(
                inner.nodes, self.name(name), [], [helper.make_empty_tensor_value_info(end)]
            )
        return self("If", condition, name="chosen", **branches)

    def model(self, inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> onnx.ModelProto:
        """The finished graph, checked."""
        graph = helper.make_graph(self.nodes, "forgo_preprocess", inputs, [output], self.constants)
        model = helper.make_model(
            graph, producer_name="forgo", opset_imports=[helper.make_opsetid("", 18)], ir_version=8
        )
        onnx.checker.check_model(model, full_check=True)
        return model
