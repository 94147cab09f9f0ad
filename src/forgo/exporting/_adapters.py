"""The list of adapters, and the choice of one for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgo._errors import ExportError
from forgo.exporting import (
    _catboost,
    _keras_files,
    _lightgbm,
    _onnx,
    _saved_model,
    _sklearn,
    _torch,
    _xgboost,
)
from forgo.exporting._adapter import Adapter

ADAPTERS: tuple[Adapter, ...] = (
    _saved_model.ADAPTER,
    _keras_files.ADAPTER,
    _onnx.ADAPTER,
    _torch.ADAPTER,  # behind Keras, whose models on PyTorch are modules, too
    _xgboost.ADAPTER,
    _lightgbm.ADAPTER,
    _catboost.ADAPTER,
    _sklearn.ADAPTER,  # last: other libraries' estimators are also scikit-learn's
)


def find(model: Any) -> Adapter | None:
    """Return the adapter that takes a model or a model's path, or None."""
    if isinstance(model, str | Path):
        return next((a for a in ADAPTERS if a.is_file(Path(model))), None)
    return next((a for a in ADAPTERS if a.is_model(model)), None)


def files() -> str:
    """The kinds of files that can be exported."""
    return _listed([a.files for a in ADAPTERS if a.files])


def refused(model: Any) -> ExportError:
    """The error for a model that no adapter takes."""
    if not isinstance(model, str | Path):
        return ExportError(
            f"a {type(model).__module__}.{type(model).__name__} cannot be exported: "
            f"give {_listed([a.models for a in ADAPTERS if a.models])}, or the path of {files()}"
        )
    if not Path(model).exists():
        return ExportError(f"{model}: no such file")
    return ExportError(f"{model}: must be {files()}")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
