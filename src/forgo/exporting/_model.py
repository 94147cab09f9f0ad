"""What an adapter gives to the export, for any framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

Arrays = dict[str, npt.NDArray[np.generic]]
"""Arrays by logical name; the first dimension is the batch. Strings are objects that hold bytes, as in TensorFlow."""

STRING = "string"
"""The dtype of strings, for which NumPy has no name."""

UNNAMED = ""
"""The name of a bare array of rows, for a model's only input."""


@dataclass(frozen=True)
class TensorInfo:
    """One input or output: its logical name, NumPy dtype name or STRING, and shape (None is free)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    hidden: bool = False
    """For an output: it serves the proof, and clients get it only if they ask for it by name."""


@dataclass(frozen=True)
class SavedGraph:
    """A graph in a SavedModel's folder, and how it is called."""

    tags: list[str]
    signature: str | None
    """None if ``names`` are operations."""
    names: dict[str, str] = field(default_factory=dict)
    """The graph's names of inputs and outputs, by logical name; a missing one has the same name."""
    method: str = "predict"
    """The signature's method in TensorFlow Serving."""


class Trained(Protocol):
    """A trained model, as an adapter gives it to the export (``exporting/_adapter.py``).

    It may also have ``signature``, the name that clients call it by; ``others`` and ``folder``, for a
    SavedModel's other signatures (``_signatures``); ``inner``, the model that a head or a normalization wraps.
    """

    framework: str
    """The framework and its version, for provenance."""
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    """A classifier's probabilities come first; its logits, if any, second."""
    batch: int | None
    """How many rows the graph takes at once; None for any number, 0 for one row without a batch dimension."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """More entries for the manifest's provenance, once it has answered."""
        ...

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the training framework itself."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """Convert to ONNX; inputs and outputs are in the order of the lists, under any name."""
        ...

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Write a SavedModel into a new folder."""
        ...


class OnnxOnly:
    """The part of ``Trained`` that models share if their graph can only be ONNX, with a free batch."""

    framework: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    batch: int | None = None
    provenance: Mapping[str, Any] = MappingProxyType({})

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Never called: its adapter names no engine that takes a SavedModel."""
        raise NotImplementedError


def innermost(model: Any) -> Any:
    """The adapter's own model, without a normalization or a head around it."""
    while hasattr(model, "inner"):
        model = model.inner
    return model
