"""MLflow: folders of models, and registered models by their URI. The model inside goes on to its framework's adapter.

A folder's MLmodel file says what is in it. Nothing in a folder is unpickled unless it is trusted, and nothing outside
it is opened. Only a URI needs MLflow itself.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from forgo._errors import ExportError, argument
from forgo.exporting import _mlflow_examples
from forgo.exporting._estimator import first_line
from forgo.exporting._onnx import regular_bytes

MLMODEL = "MLmodel"
_SCHEMES = ("models:/", "runs:/")
_MOST = 1 << 20
"""The largest MLmodel file, in bytes."""
_SAID = ("model_uuid", "model_id", "run_id", "mlflow_version")
_EXTRA = "pip install '.[{}]' in forgo's clone"
_XGBOOST = ("Booster", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
_CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Models that came by their URI, or in several files, kept until this process ends."""


@dataclass(frozen=True)
class Found:
    """What a folder holds."""

    model: Any
    """A file's path for an adapter, or a model in memory."""
    examples: Any
    """The input example in the form that export takes; None if there is none, or it is not asked for."""
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class _Folder:
    """A folder, and what its MLmodel says of one flavor."""

    path: Path
    about: Mapping[str, Any]
    flavor: str
    trust: bool

    def get(self, key: str) -> Any:
        return self.about["flavors"][self.flavor].get(key)

    def file(self, name: Any, what: str = "its model") -> Path:
        """A file or folder that the MLmodel names.

        Raises:
            ExportError: it is missing, or outside the folder.
        """
        return inside(self.path, name, what)

    def trusted(self, file: Path) -> None:
        if not self.trust:
            raise ExportError(
                f"{self.path}: its {file.name} is a pickle, which can run code as it is loaded; pass "
                f"{argument('trust', True)} if you trust its author"
            )


def inside(folder: Path, name: Any, what: str) -> Path:
    """A path in a folder, links followed.

    Raises:
        ExportError: it is missing, or leaves the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise ExportError(f"{folder}: its MLmodel does not name {what}")
    root, found = folder.resolve(), (folder / name).resolve()
    members = found.rglob("*") if found.is_dir() else ()
    if not all(p.resolve().is_relative_to(root) for p in (found, *members)):
        raise ExportError(f"{folder}: its MLmodel names {name!r}, which leaves the folder")
    if not found.exists():
        raise ExportError(f"{folder}: its MLmodel names {name!r}, which is missing")
    return found


def is_model(model: Any) -> bool:
    """Whether a model is a folder of MLflow's, or a URI that MLflow resolves."""
    if not isinstance(model, str | Path):
        return False
    return str(model).startswith(_SCHEMES) or (Path(model) / MLMODEL).exists()


def find(model: str | Path, *, trust: bool, examples: bool) -> Found:
    """Open a folder or a URI.

    Args:
        model: the folder or the URI.
        trust: whether pickles may be loaded.
        examples: whether to read the input example.

    Raises:
        ExportError: it cannot be used; the error says why.
    """
    uri = str(model) if str(model).startswith(_SCHEMES) else None
    path = _download(uri) if uri else Path(model)
    about = _about(path)
    flavors = about["flavors"]
    flavor = next((f for f in _READERS if isinstance(flavors.get(f), dict)), None)
    if flavor is None:
        raise ExportError(
            f"{path}: its flavors are {', '.join(map(str, flavors))[:200] or 'none'}; forgo takes {', '.join(_READERS)}"
        )
    folder = _Folder(path, about, flavor, trust)
    found = _READERS[flavor](folder)
    matrix = flavor in ("keras", "tensorflow", "pytorch", "onnx")
    example = _mlflow_examples.read(path, about, matrix=matrix) if examples else None
    said = {k: str(about[k])[:200] for k in _SAID if about.get(k)} | ({"uri": uri[:200]} if uri else {})
    return Found(found, example, {"mlflow": {"flavor": flavor, **said}})


def _about(folder: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ExportError(f"{folder}: reading its MLmodel needs PyYAML: {_EXTRA.format('mlflow')}") from None

    class Plain(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # a few may stand for any number of nodes
                raise yaml.YAMLError("it has aliases, which MLflow does not write")
            return super().compose_node(parent, index)

    file = inside(folder, MLMODEL, "itself")
    data = regular_bytes(file, _MOST, "the MLmodel")
    try:
        about = yaml.load(data, Plain)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise ExportError(f"{folder}: its MLmodel is not YAML: {first_line(e)}") from None
    if not isinstance(about, dict) or not isinstance(about.get("flavors"), dict):
        raise ExportError(f"{folder}: its MLmodel names no flavors")
    return about


def _download(uri: str) -> Path:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        from mlflow.artifacts import download_artifacts
    except ImportError:
        raise ExportError(f"{uri}: finding it needs MLflow: {_EXTRA.format('mlflow')}") from None
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(_made_folder())))
    except Exception as e:  # of MLflow, its stores and their clients
        raise ExportError(f"{uri}: MLflow cannot find it: {first_line(e)}") from None


def _library(name: str, extra: str, folder: _Folder) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ExportError(f"{folder.path}: reading it needs {name}: {_EXTRA.format(extra)}") from None


def _loaded(folder: _Folder, file: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ExportError:
        raise
    except Exception as e:  # pickles and libraries raise anything
        raise ExportError(f"{folder.path}: its {file.name} cannot be loaded: {first_line(e)}") from None


def _pickled(folder: _Folder, file: Path) -> Any:
    """An object in a file of skops, or in a pickle."""
    if file.suffix == ".skops":
        skops = _library("skops.io", "sklearn", folder)
        strange = _loaded(folder, file, lambda: skops.get_untrusted_types(file=file))
        if strange and not folder.trust:
            raise ExportError(
                f"{folder.path}: its {file.name} holds {strange[0]}, which skops does not know to be safe; pass "
                f"{argument('trust', True)} if you trust its author"
            )
        return _loaded(folder, file, lambda: skops.load(file, trusted=strange))
    folder.trusted(file)
    if not file.is_file():
        raise ExportError(f"{folder.path}: its {file.name} is not a regular file")

    def load() -> Any:
        with file.open("rb") as opened:
            return pickle.load(opened)

    return _loaded(folder, file, load)


def _sklearn(folder: _Folder) -> Any:
    return _pickled(folder, folder.file(folder.get("pickled_model")))


def _xgboost(folder: _Folder) -> Any:
    file = folder.file(folder.get("data"))
    kind = str(folder.get("model_class") or "xgboost.core.Booster").split(".")[-1]
    if kind not in _XGBOOST:
        raise ExportError(
            f"{folder.path}: its model is a {kind!r}, an XGBoost class that forgo does not support"
        )
    model = getattr(_library("xgboost", "xgboost", folder), kind)()
    _loaded(folder, file, lambda: model.load_model(str(file)))
    return model


def _lightgbm(folder: _Folder) -> Any:
    file = folder.file(folder.get("data"))
    if file.suffix in (".pkl", ".skops"):
        _library("lightgbm", "lightgbm", folder)
        return _pickled(folder, file)
    lightgbm = _library("lightgbm", "lightgbm", folder)
    return _loaded(folder, file, lambda: lightgbm.Booster(model_file=str(file)))


def _catboost(folder: _Folder) -> Any:
    file = folder.file(folder.get("data"))
    kind, form = str(folder.get("model_type")), folder.get("save_format") or "cbm"
    if kind not in _CATBOOST or form != "cbm":
        raise ExportError(
            f"{folder.path}: its model is a {kind!r} as {form!r}; forgo takes CatBoost's cbm files"
        )
    model = getattr(_library("catboost", "catboost", folder), kind)()
    _loaded(folder, file, lambda: model.load_model(str(file), format="cbm"))
    return model


def _pytorch(folder: _Folder) -> Any:
    name = folder.get("model_data")
    data = folder.file(name)
    if (data / "model.pt2").exists():
        return folder.file(f"{name}/model.pt2")
    file = folder.file(f"{name}/model.pth")
    folder.trusted(file)
    torch = _library("torch", "torch", folder)
    model = _loaded(folder, file, lambda: torch.load(file, map_location="cpu", weights_only=False))
    if not isinstance(model, torch.nn.Module):
        raise ExportError(
            f"{folder.path}: its {file.name} holds a {type(model).__name__}, not a PyTorch module"
        )
    return model


def _keras(folder: _Folder) -> Any:
    name = folder.get("data") or folder.get("saved_model_dir") or "data"
    data = folder.file(name)
    for inner in ("model.keras", "model.h5", "model"):
        if (data / inner).exists():
            return folder.file(f"{name}/{inner}")
    return data


def _onnx(folder: _Folder) -> Any:
    from forgo.exporting import _onnx_weights

    name = folder.get("data")
    file = folder.file(name)
    return _onnx_weights.joined(
        file, lambda beside: folder.file(str(Path(name).parent / beside)), _made_folder
    )


def _made_folder() -> Path:
    """A folder that is kept until this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="forgo-mlflow-")
    _folders.append(folder)
    return Path(folder.name)


_READERS: Mapping[str, Callable[[_Folder], Any]] = {
    "keras": _keras, "tensorflow": _keras, "pytorch": _pytorch, "xgboost": _xgboost, "lightgbm": _lightgbm,
    "catboost": _catboost, "sklearn": _sklearn, "onnx": _onnx,
}  # fmt: skip
"""What finds the model of each flavor; sklearn is also a second flavor of some."""
