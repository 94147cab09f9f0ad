"""Parts of the manifest: inputs and outputs, picture formats, provenance."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

import forgo
from forgo import _onnxruntime
from forgo.exporting import _engines
from forgo.exporting._examples import Example
from forgo.exporting._model import SavedGraph, TensorInfo, Trained, innermost
from forgo.exporting._request import Request


def entry(
    info: TensorInfo, graph: SavedGraph | None, inside: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """An input's or output's entry in the manifest."""
    name = (graph.names if graph else inside).get(info.name, info.name)
    entry = {"name": info.name, "graph_name": name, "dtype": info.dtype, "shape": list(info.shape)}
    return {**entry, "hidden": True} if info.hidden else entry


def formats(examples: list[Example]) -> list[str]:
    """The media types of the examples' pictures. Training records its own instead."""
    return sorted({e.encoding.split()[0] for e in examples if e.pixels is not None})


def provenance(model: Trained, request: Request, worst: float | None) -> dict[str, Any]:
    """Where the bundle comes from. ``worst`` is the largest difference between framework and engine."""
    engine = _engines.named(request.engine)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "forgo": forgo.__version__,
            "framework": model.framework,
            "onnx": onnx.__version__,
            "onnxruntime": _onnxruntime.VERSION,
            engine.name: engine.version(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        **({} if worst is None else {"framework_difference": worst}),
        **innermost(model).provenance,
        **({} if request.normalization.is_identity else {"normalization": request.normalization.entry()}),
        **request.provenance,
    }
