"""TensorFlow: bundles whose graph is a SavedModel."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgo._bundle import Staging
from forgo.exporting._engine import Engine, Graph
from forgo.exporting._model import SavedGraph, TensorInfo, Trained
from forgo.exporting._reload import ReloadedModel

if TYPE_CHECKING:
    from forgo.exporting._request import Request

FOLDER = "saved_model"


def _version() -> str:
    version: str = import_module("tensorflow").__version__
    return version


def _write(model: Trained, stage: Staging, request: Request) -> Graph:
    folder = stage.folder / FOLDER
    saved = model.to_saved_model(folder, request.tags or ["serve"])
    entry: dict[str, Any] = {"path": stage.adopt(FOLDER), "tags": saved.tags}
    if saved.signature:
        entry["signature"] = saved.signature
    if saved.method != "predict":
        entry["method"] = saved.method
    return Graph(entry, ReloadedModel(folder, saved, model.inputs, model.outputs), saved)


def _reopen(
    bundle: Path, manifest: dict[str, Any], inputs: list[TensorInfo], outputs: list[TensorInfo]
) -> Graph:
    graph = manifest["graph"]
    names = {e["name"]: e["graph_name"] for e in [*manifest["inputs"], *manifest["outputs"]]}
    saved = SavedGraph(graph["tags"], graph.get("signature"), names)
    return Graph(graph, ReloadedModel(bundle / graph["path"], saved, inputs, outputs), saved)


ENGINE = Engine(
    name="tensorflow",
    version=_version,
    write=_write,
    reopen=_reopen,
    saved_model=True,
)
