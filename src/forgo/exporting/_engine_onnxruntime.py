"""ONNX Runtime: bundles whose graph is an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from forgo import _onnxruntime
from forgo._bundle import Staging
from forgo._errors import ExportError, argument
from forgo.exporting._engine import Engine, Graph
from forgo.exporting._graph import OnnxModel, names_inside, rename_tensors
from forgo.exporting._model import Arrays, TensorInfo, Trained, innermost

if TYPE_CHECKING:
    from forgo.exporting._request import Request

FILE = "model.onnx"


def _write(model: Trained, stage: Staging, request: Request) -> Graph:
    inside = names_inside(model.inputs, model.outputs)
    graph = rename_tensors(model.to_onnx(), model.inputs, model.outputs, model.batch)
    try:
        runtime = OnnxModel(graph, model.outputs, model.batch, inside)
    except ExportError as e:
        raise ExportError(f"{e.message}: {argument('engine', 'tensorflow')} runs it as it is") from None
    entry = {"path": stage.add(FILE, graph.SerializeToString())}
    if signature := getattr(innermost(model), "signature", None):  # clients ask for it by this name
        entry["signature"] = signature
    return Graph(entry, runtime, inside=inside)


class _Renamed:
    """A bundle's graph, asked by the bundle's names of its inputs and outputs."""

    name = OnnxModel.name

    def __init__(self, model: OnnxModel, names: dict[str, str], outputs: list[TensorInfo]) -> None:
        self._model, self._names, self._outputs = model, names, outputs  # of outputs

    def answer(self, batches: list[Arrays]) -> list[Arrays]:
        """Run each batch by itself."""
        answers = self._model.answer(batches)
        return [{o.name: a[self._names[o.name]] for o in self._outputs} for a in answers]


def _reopen(
    bundle: Path, manifest: dict[str, Any], inputs: list[TensorInfo], outputs: list[TensorInfo]
) -> Graph:
    graph = manifest["graph"]
    inside, names = ({e["name"]: e["graph_name"] for e in manifest[kind]} for kind in ("inputs", "outputs"))
    inner = [TensorInfo(names[o.name], o.dtype, o.shape) for o in outputs]
    model = OnnxModel(onnx.load(bundle / graph["path"]), inner, graph.get("batch"), inside)
    return Graph(graph, _Renamed(model, names, outputs))


ENGINE = Engine(
    name="onnxruntime",
    version=lambda: _onnxruntime.VERSION,
    write=_write,
    reopen=_reopen,
)
