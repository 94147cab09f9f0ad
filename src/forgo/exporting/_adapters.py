"""The adapters, a line each, and which of them takes a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgo._errors import ExportError
from forgo.exporting import _keras_files, _lightgbm, _onnx, _saved_model, _sklearn, _torch, _xgboost
from forgo.exporting._adapter import Adapter

ADAPTERS: tuple[Adapter, ...] = (
    _saved_model.ADAPTER,
    _keras_files.ADAPTER,
    _onnx.ADAPTER,
    _torch.ADAPTER,  # behind Keras, whose models on PyTorch are modules, too
    _xgboost.ADAPTER,
    _lightgbm.ADAPTER,
    _sklearn.ADAPTER,  # last: estimators of others are of its kind, too
)


def of(model: Any) -> Adapter | None:
    """The adapter that takes a model or the path of one; None where there is none."""
    if isinstance(model, str | Path):
        return next((a for a in ADAPTERS if a.is_file(Path(model))), None)
    return next((a for a in ADAPTERS if a.is_model(model)), None)


def files() -> str:
    """What can be exported by its path."""
    return _listed([a.files for a in ADAPTERS if a.files])


def refused(model: Any) -> ExportError:
    """What there is to say of a model that no adapter takes."""
    if not isinstance(model, str | Path):
        return ExportError(
            f"a {type(model).__module__}.{type(model).__name__} cannot be exported; "
            f"give {_listed([a.models for a in ADAPTERS if a.models])}, or the path of {files()}"
        )
    if not Path(model).exists():
        return ExportError(f"{model}: no such file")
    return ExportError(f"{model}: it must be {files()}")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
