"""The engines that bundles are written for, a line each; the first is the default."""

from __future__ import annotations

from forgo.exporting import _engine_onnxruntime, _engine_tensorflow
from forgo.exporting._engine import Engine

ENGINES: tuple[Engine, ...] = (
    _engine_onnxruntime.ENGINE,
    _engine_tensorflow.ENGINE,
)
NAMES = tuple(e.name for e in ENGINES)
SAVED_MODEL = next(e for e in ENGINES if e.saved_model)
"""The engine that runs a SavedModel as it is."""


def named(name: str) -> Engine:
    """Find an engine by its name in the manifest."""
    return next(e for e in ENGINES if e.name == name)
