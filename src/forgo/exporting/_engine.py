"""What an engine is: how a graph is written for it, and how it answers in Python, as a value.

An engine is one file with a value of this type, called ENGINE, and one line in ``_engines``. Its framework is
imported only by its functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from forgo._bundle import Staging
from forgo.exporting._model import Arrays, SavedGraph, TensorInfo, Trained

if TYPE_CHECKING:
    from forgo.exporting._request import Request


class Runtime(Protocol):
    """A written graph that answers in Python."""

    name: str
    """The engine's name in messages and reports: "ONNX Runtime"."""

    def answer(self, batches: list[Arrays]) -> list[Arrays]:
        """Run each batch by itself."""
        ...


@dataclass(frozen=True)
class Graph:
    """A graph in a bundle."""

    entry: dict[str, Any]
    """Its entry in the manifest."""
    runtime: Runtime
    saved: SavedGraph | None = None
    """How it is called, if it is a SavedModel."""
    inside: Mapping[str, str] = field(default_factory=dict)
    """The graph's names of inputs, by logical name; a missing one has the same name."""


@dataclass(frozen=True)
class Engine:
    """An engine that bundles are written for."""

    name: str
    """Its name in the manifest, in Go and for users: "onnxruntime"."""
    version: Callable[[], str]
    """The version of its library in Python."""
    write: Callable[[Trained, Staging, Request], Graph]
    """Write a model's graph into a bundle and open it."""
    reopen: Callable[[Path, dict[str, Any], list[TensorInfo], list[TensorInfo]], Graph]
    """Open the graph of a bundle, given the bundle's folder, manifest, inputs and outputs."""
    saved_model: bool = False
    """Whether it runs SavedModels, which have tags and signatures; otherwise it runs an ONNX file."""
