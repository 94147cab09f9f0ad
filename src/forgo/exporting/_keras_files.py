"""Keras: the adapter, and what it reads from files without loading them."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgo._errors import ExportError, argument
from forgo.exporting import _archives
from forgo.exporting._adapter import Adapter
from forgo.exporting._model import Trained

if TYPE_CHECKING:
    from forgo.exporting._keras import KerasModel
    from forgo.exporting._request import Request

SUFFIXES = (".keras", ".h5", ".hdf5")


def check(file: Path, *, trust: bool) -> None:
    """Refuse a file that cannot be exported or, unless it is trusted, that would run code here.

    Raises:
        ExportError: it is refused.
    """
    if not file.is_file():
        raise ExportError(f"{file}: no such file")
    if file.suffix == ".keras":
        _archives.check_archive(file)
    for layer in _layers(configuration(file)):
        if not trust and (why := _reaches_out(layer)):
            raise ExportError(f"{file}: its {why}; pass {argument('trust', True)} if you trust its author")
    _archives.check_weights(file)


_CODE = {
    "Lambda": "Python code in the file that would run here",
    "TFSMLayer": "a SavedModel that would be loaded from another folder",
    "TorchModuleWrapper": "a pickled PyTorch module, code that would run here",
}


def _reaches_out(layer: dict[str, Any]) -> str:
    """Why loading a layer would run code or read files; "" if it would not."""
    kind, config = layer["class_name"], layer.get("config")
    config = config if isinstance(config, dict) else {}
    name = config.get("name", str(kind).lower())
    if isinstance(kind, str) and kind.split(">")[-1] in _CODE:
        kind = kind.split(">")[-1]
        return f"layer {name!r} is a {kind}, {_CODE[kind]}"
    for key in ("vocabulary", "idf_weights"):
        if isinstance(config.get(key), str):
            return f"layer {name!r} reads its {key} from the file {config[key]!r}"
    return ""


def of_keras_2(file: Path) -> bool:
    """Whether a .keras or .h5 file was written by Keras 2."""
    return _version(file).startswith("2.")


def configuration(file: Path) -> Any:
    """A model's configuration, from a .keras or .h5 file."""
    if file.suffix == ".keras":
        return _json(file, "config.json", _member(file, "config.json"))
    config = _attribute(file, "model_config")
    if not config:
        raise ExportError(f"{file}: it holds only weights; save the whole model with model.save()")
    return _json(file, "model_config", config)


def foreign(of: Any) -> str:
    """The first class or function in a model's configuration that is not Keras's own, or ""."""
    for part in _layers(of):
        name, module = part["class_name"], part.get("module")
        if name == "__lambda__" or (module == "builtins" and name == "function"):
            return str(part.get("registered_name") or "a lambda")
        own = module is not None and str(module).split(".")[0] in ("keras", "builtins")
        if part.get("registered_name") is not None and not own:
            return str(name)
    return ""


def _json(file: Path, name: str, text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ExportError(f"{file}: Keras cannot load it: its {name} is not JSON: {e}") from None


def _version(file: Path) -> str:
    if file.suffix != ".keras":
        return _attribute(file, "keras_version")
    metadata = _json(file, "metadata.json", _member(file, "metadata.json"))
    return str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def _member(file: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, KeyError) as e:
        raise ExportError(f"{file}: Keras cannot load it: it is not a .keras file: {e}") from None


def _attribute(file: Path, name: str) -> str:
    try:
        import h5py
    except ImportError:
        raise ExportError(
            f"{file}: reading it needs Keras: pip install '.[keras]' in forgo's clone"
        ) from None
    try:
        with h5py.File(file, "r") as stored:
            value = stored.attrs.get(name, "")
    except OSError as e:
        raise ExportError(f"{file}: Keras cannot load it: it is not an HDF5 file: {e}") from None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    """Every object in a model's configuration that names a class."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value)


def _is_model(model: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    from forgo.exporting import _keras

    return _named(_keras.load(path, picture=request.rows is None, trust=request.trust), request), request


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    from forgo.exporting._keras import KerasModel

    return _named(KerasModel(model, picture=request.rows is None), request)


def _named(model: KerasModel, request: Request) -> KerasModel:
    """Rename a model's inputs and outputs as the request asks."""
    if request.first_output:
        model.call_first(request.first_output)
    if request.bare:
        model.use_old_names()
    return model


def _save(model: Any, folder: Path) -> Path | None:
    """Save it, unless it uses code that another process lacks."""
    import keras

    file = folder / "model.keras"
    model.save(file)
    code = foreign(configuration(file))
    if not code:
        return file
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"{code} is code of yours, so the model is converted in this process, and that needs Keras on "
            f"TensorFlow, not on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    return None


ADAPTER = Adapter(
    module=__name__,
    models="a Keras 3 model",
    files="a .keras or .h5 file",
    is_file=lambda path: path.suffix in SUFFIXES and not path.is_dir(),
    check=lambda path, trust: check(path, trust=trust),
    load=_load,
    environment={"KERAS_BACKEND": "tensorflow"},
    is_model=_is_model,
    adapt=_adapt,
    save=_save,
)
