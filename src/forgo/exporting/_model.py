"""What an adapter of a training framework gives to the export, whatever the framework."""

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
"""Arrays by logical name; the first dimension is the batch. Strings are objects: bytes, as TensorFlow has them."""

STRING = "string"
"""The dtype of strings, which is none of NumPy's names."""

UNNAMED = ""
"""The name of a bare array of rows, which is for a model's only input."""


@dataclass(frozen=True)
class End:
    """One input or output: its logical name, NumPy dtype name or STRING, and shape (None is free)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    hidden: bool = False
    """Of an output: there for the proof, and shown to clients only when they ask for it by name."""


@dataclass(frozen=True)
class SavedGraph:
    """A graph in a SavedModel's folder, and how it is called."""

    tags: list[str]
    signature: str | None
    """None where ``names`` are those of operations."""
    names: dict[str, str] = field(default_factory=dict)
    """What the graph calls its ends, by logical name; those that are missing are called the same."""
    method: str = "predict"
    """What the signature is for, as TensorFlow Serving has it."""


class Trained(Protocol):
    """A trained model, as an adapter gives it to the export (``exporting/_adapter.py``).

    What else it may have: ``signature``, the name that clients call it by, ``others`` and ``folder``, a
    SavedModel's other signatures (``_signatures``); ``inner``, the model that a head or a normalization is put to.
    """

    framework: str
    """The framework and its version, for provenance."""
    inputs: list[End]
    outputs: list[End]
    """A classifier's probabilities come first; its logits, where it has any, second."""
    batch: int | None
    """How many rows the graph takes at once; None for any number, 0 for one without a dimension for it."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What else the manifest's provenance has of it, once it has answered."""
        ...

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the training framework itself."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """Convert to ONNX; inputs and outputs are in the order of the lists, under any name."""
        ...

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Write a SavedModel into a folder that is not there yet."""
        ...


class OnnxOnly:
    """The half of ``Trained`` that models share whose graph can be ONNX and nothing else, of any number of rows."""

    framework: str
    inputs: list[End]
    outputs: list[End]
    batch: int | None = None
    provenance: Mapping[str, Any] = MappingProxyType({})

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Not called: its adapter has no engine that takes a SavedModel."""
        raise NotImplementedError


def innermost(model: Any) -> Any:
    """The adapter's own model, without what was put before it or behind it."""
    while hasattr(model, "inner"):
        model = model.inner
    return model
