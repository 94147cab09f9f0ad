"""ONNX graphs: stable names for inputs and outputs, and answers from ONNX Runtime in Python."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from forgo._errors import ExportError
from forgo._onnxruntime import session
from forgo.exporting._arrays import strings, typed
from forgo.exporting._batches import in_parts, inner_shape
from forgo.exporting._model import STRING, Arrays, TensorInfo

BATCH = "batch"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_LAYOUT = "forgo_layout"


def names_inside(inputs: list[TensorInfo], outputs: list[TensorInfo]) -> dict[str, str]:
    """The graph's names of inputs: their logical names, except where a data frame gave one that graphs cannot have."""
    taken = {e.name for e in [*inputs, *outputs]}
    made = {}
    for i, info in enumerate(inputs):
        inside = info.name
        if not _PLAIN.fullmatch(inside) or any(inside == o.name for o in outputs):
            inside = next(n for n in (f"column_{i}" + "_" * k for k in count()) if n not in taken)
            taken.add(inside)
        made[info.name] = inside
    return made


def rename_tensors(
    model: onnx.ModelProto, inputs: list[TensorInfo], outputs: list[TensorInfo], batch: int | None = None
) -> onnx.ModelProto:
    """Give a graph's inputs and outputs their logical names and shapes, in place.

    Exporters invent names (``Identity:0``, ``keras_tensor_2``) that clients should never see.

    Raises:
        ExportError: the graph has other inputs or outputs than the model.
    """
    graph = model.graph
    initializers = {i.name for i in graph.initializer}
    real = [i for i in graph.input if i.name not in initializers]
    if len(real) != len(inputs) or len(graph.output) != len(outputs):
        raise ExportError(
            f"the ONNX graph has inputs {[i.name for i in real]} and outputs {[o.name for o in graph.output]}; "
            f"the model has {[e.name for e in inputs]} and {[e.name for e in outputs]}"
        )
    inside = [*names_inside(inputs, outputs).values(), *(e.name for e in outputs)]
    new_names = dict(zip([v.name for v in [*real, *graph.output]], inside, strict=True))
    if len(new_names) != len(inputs) + len(outputs):
        raise ExportError(
            "the ONNX graph passes an input through as an output: give the output a name of its own"
        )
    nodes = all_nodes(graph)
    taken = {name for node in nodes for name in [*node.input, *node.output]} | initializers
    for new in set(new_names.values()) & (taken - set(new_names)):
        new_names[new] = f"{new}__inner"
    for node in nodes:  # including those of branches and loops, which see outer names
        for names in (node.input, node.output):
            names[:] = [new_names.get(n, n) for n in names]
    for inner in _subgraphs(graph):
        for output in inner.output:
            output.name = new_names.get(output.name, output.name)
    for initializer in graph.initializer:
        initializer.name = new_names.get(initializer.name, initializer.name)
    for value, info, name in zip([*real, *graph.output], [*inputs, *outputs], inside, strict=True):
        value.name = name
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for i, size in enumerate(inner_shape(info.shape, batch)):
            dim = shape.dim.add()
            if size is not None:
                dim.dim_value = size
            else:
                dim.dim_param = BATCH if i == 0 and batch is None else f"{name}_{i}"
    del graph.value_info[:]  # shapes inside carry the exporter's names for free dimensions
    return model


def all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """A graph's nodes, and those of its branches and loop bodies."""
    return [*graph.node, *(node for inner in _subgraphs(graph) for node in inner.node)]


def _subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from _subgraphs(attribute.g)


def channels_last(
    graph: onnx.GraphProto, inside: str, info: TensorInfo, *, turned: bool = True, half: bool = False
) -> None:
    """Put before an input what lets it take pictures in float32 with channels last, as preprocessing gives them.

    Args:
        graph: is changed.
        inside: the input.
        info: what it becomes.
        turned: whether the graph takes channels first.
        half: whether it takes float16.
    """
    value = next(v for v in graph.input if v.name == inside)
    value.name = at = f"{_LAYOUT}_pixels"
    value.type.tensor_type.elem_type = TensorProto.FLOAT
    del value.type.tensor_type.shape.dim[:]
    for size in info.shape:
        dim = value.type.tensor_type.shape.dim.add()
        if size is not None:
            dim.dim_value = size
    nodes = []
    if turned:
        out = f"{_LAYOUT}_turned" if half else inside
        nodes.append(helper.make_node("Transpose", [at], [out], name=f"{_LAYOUT}_turn", perm=[0, 3, 1, 2]))
        at = out
    if half:
        nodes.append(helper.make_node("Cast", [at], [inside], name=f"{_LAYOUT}_cast", to=TensorProto.FLOAT16))
    for i, node in enumerate(nodes):
        graph.node.insert(i, node)


class OnnxModel:
    """A graph in ONNX Runtime."""

    name = "ONNX Runtime"

    def __init__(
        self,
        model: onnx.ModelProto,
        outputs: list[TensorInfo],
        batch: int | None = None,
        inside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._batch, self._inside = batch, inside
        self._outputs = [o.name for o in outputs]
        try:
            self._session = session(model.SerializeToString())
        except Exception as e:  # the library's exceptions have no common base
            if "construct locale" in str(e):
                raise ExportError(
                    "the graph changes the case of strings, for which ONNX Runtime needs a locale that this system lacks, as "
                    "servers may: give vectorizers lowercase=False, and lowercase the strings before the model, in training too"
                ) from None
            raise ExportError(f"ONNX Runtime refuses the exported graph: {_first_line(e)}") from None

    def answer(self, batches: list[Arrays]) -> list[Arrays]:
        """Run each batch by itself."""
        return [self.predict(batch) for batch in batches]

    def predict(self, inputs: Arrays) -> Arrays:
        """Run one batch."""
        return in_parts(self._run, inputs, self._batch)

    def _run(self, inputs: Arrays) -> Arrays:
        try:
            feeds = {self._inside.get(k, k): _plain(np.asarray(v)) for k, v in inputs.items()}
            answers = self._session.run(self._outputs, feeds)
        except Exception as e:
            raise ExportError(f"ONNX Runtime cannot run the exported graph: {_first_line(e)}") from None
        return {
            name: typed(a, STRING) if a.dtype.kind == "O" else a
            for name, a in zip(self._outputs, map(np.asarray, answers), strict=True)
        }


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return strings(array) if array.dtype.kind == "O" else array


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
