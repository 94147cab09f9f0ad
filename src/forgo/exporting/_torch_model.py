"""A PyTorch module or program as a trained model: its inputs and outputs, its answers and its ONNX graph."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch.utils import _pytree

from forgo._errors import ExportError
from forgo.exporting._batches import in_parts
from forgo.exporting._graph import channels_last
from forgo.exporting._model import Arrays, OnnxOnly, TensorInfo
from forgo.exporting._tensorflow import logical_name

_BATCH = 64
"""How many rows a module runs at once."""
_SEEDS = itertools.count()
DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.int32: "int32", torch.int16: "int16",
    torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool",
}  # fmt: skip
Outputs = list[tuple[str, npt.NDArray[Any]]]
"""A model's output tensors in order, each with its name."""
Run = Callable[[list[Any]], Outputs]
"""Runs a model on tensors, in the order of its inputs."""
Split = Callable[[list[Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Splits values, in the order of the inputs, into args and kwargs of forward."""


@dataclass(frozen=True)
class Input:
    """An input of a module, as clients see it."""

    info: TensorInfo
    picture: bool = False
    """Whether it is a picture: the module takes its channels first, and clients send them last."""

    def tensor(self, array: npt.NDArray[Any]) -> Any:
        """The tensor that the module takes: a copy, which it may change."""
        return torch.tensor(array.transpose(0, 3, 1, 2) if self.picture else array)


class TorchModel(OnnxOnly):
    """A module or program in PyTorch, with its ONNX graph.

    Args:
        module_inputs: the inputs, in the order of the graph's.
        run: runs the model in PyTorch.
        graph: the exporter's graph, with the same inputs and outputs in the same order.
        outputs: the outputs' names, in order.
        notes: notes for the user.
        provenance: entries for the manifest's provenance.
        batch: how many rows the graph takes at once; None for any number.
    """

    def __init__(
        self,
        module_inputs: list[Input],
        run: Run,
        graph: onnx.ModelProto,
        outputs: list[str],
        *,
        notes: list[str],
        provenance: Mapping[str, Any],
        batch: int | None = None,
    ) -> None:
        self.framework = f"torch {torch.__version__}"
        self._module_inputs, self._run, self._graph = module_inputs, run, graph
        self.inputs = [i.info for i in module_inputs]
        self.outputs: list[TensorInfo] = []
        self.notes, self.provenance, self.batch = notes, provenance, batch
        taken = {i.name for i in self.inputs}
        for value, name in zip(graph.graph.output, outputs, strict=True):
            name = f"{name}_out" if name in taken else name
            taken.add(name)
            kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
            dims = value.type.tensor_type.shape.dim
            shape = [d.dim_value if d.HasField("dim_value") else None for d in dims]
            self.outputs.append(TensorInfo(name, kind, (None, *shape[1:])))

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with PyTorch itself."""
        return in_parts(self._predict, inputs, self.batch)

    def _predict(self, inputs: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, count, _BATCH):
            rows = [
                i.tensor(np.asarray(inputs[i.info.name][start : start + _BATCH])) for i in self._module_inputs
            ]
            parts.append([a for _, a in self._run(rows)])
        joined = [np.concatenate(batches) for batches in zip(*parts, strict=True)]
        return {o.name: a for o, a in zip(self.outputs, joined, strict=True)}

    def to_onnx(self) -> onnx.ModelProto:
        """The graph, with nodes in front that bring the channels of pictures first."""
        model = onnx.ModelProto()
        model.CopyFrom(self._graph)
        names = [v.name for v in model.graph.input]
        for name, i in zip(names, self._module_inputs, strict=True):
            if i.picture:
                channels_last(model.graph, name, i.info)
        return model


def named_outputs(answer: Any) -> Outputs:
    """Return the tensors that a module returned, in order. Keys of dicts name them, and positions elsewhere.

    Raises:
        ExportError: there is no tensor, or something that is not a tensor.
    """
    outputs = []
    leaves, _ = _pytree.tree_flatten_with_path(answer)
    for path, leaf in leaves:
        name = output_name(path)
        if leaf is None:
            continue
        if not isinstance(leaf, torch.Tensor):
            raise ExportError(
                f"the model's output {name!r} is a {type(leaf).__name__}, not a tensor: do not return it from forward"
            )
        if leaf.dtype not in DTYPES:
            kind = str(leaf.dtype).removeprefix("torch.")
            raise ExportError(
                f"the model's output {name!r} is {kind}, which the bundle of a PyTorch model cannot hold: cast it to float32"
            )
        outputs.append((name, leaf.detach().cpu().numpy()))
    if not outputs:
        raise ExportError(f"the model returns a {type(answer).__name__} without tensors")
    return outputs


def output_name(path: tuple[Any, ...]) -> str:
    """The name of an output at a path in the returned structure: keys in dicts, positions elsewhere."""
    keys = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]
    if not keys:
        return "output"
    name = "_".join(keys)
    return f"output_{name}" if name[:1].isdigit() else logical_name(name)


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Run without gradients in evaluation mode, then return every submodule to its own mode."""
    modes = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(next(_SEEDS))  # a new seed each time, so that random answers differ
            yield
    finally:
        for module, training in modes:
            module.training = training
