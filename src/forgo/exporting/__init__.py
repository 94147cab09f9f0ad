"""Export: anyone's trained model becomes a bundle whose answers are proven."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._bundle import check_place
from forgo._errors import ExportError
from forgo._preprocess import FITS, RESIZES, Fit, Resize
from forgo.exporting._examples import find_pictures
from forgo.exporting._model import UNNAMED, Arrays
from forgo.exporting._pipeline import TOLERANCE, Request, Result

__all__ = ["Result", "export"]

Examples = str | Path | list[Path] | npt.NDArray[Any] | dict[str, npt.NDArray[Any]]

TASKS = ("classification", "regression", "embedding", "tensors")


def export(
    model: Any,
    path: str | Path,
    *,
    examples: Examples,
    labels: list[str] | str | Path | None = None,
    task: str | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "stretch",
    tolerance: float = TOLERANCE,
) -> Result:
    """Write a trained model as a bundle, after proving that Go answers as the framework does.

    The examples are answered by the training framework, by ONNX Runtime in Python (at batches
    of 1 and 3) and by the Go binary. Where two differ by more than the tolerance, no bundle is
    left behind. Some of the examples become the bundle's golden cases.

    Args:
        model: a Keras 3 model (on any backend), or the path of a ``.keras`` file.
        path: where the bundle goes: ``NAME.forgo``. An older bundle there is replaced.
        examples: what clients will send. For a model of pictures, a folder or a list of JPEG
            and PNG files; the model must take float32 [batch, height, width, 3] with values
            from 0 to 255. For any other model an array [rows, …], or a dict of such arrays
            by input name.
        labels: a classifier's labels in the order of its output, as a list or a text file
            with one a line. They make the task classification: the model's first output must
            be probabilities [batch, labels].
        task: "classification", "regression", "embedding" or "tensors"; without labels,
            "tensors" unless given.
        resize: how pictures are brought to the model's size: "bilinear", "bilinear-antialias",
            "bilinear-tf1" or "nearest".
        fit: "stretch", or "crop" to keep the aspect ratio.
        tolerance: the largest |got-want| / max(1, |want|) between two sides, at most 1e-3.

    Returns:
        The bundle's path, the Go binary's verdict, the largest difference between the
        framework and ONNX Runtime, and the example pictures that were refused.

    Raises:
        ExportError: the model or the examples cannot be used.
        ParityError: two sides answer differently; it names the stage.

    Example:
        >>> forgo.export(model, "iris.forgo", examples=rows, labels=["setosa", "versicolor", "virginica"])
    """
    place = Path(path)
    check_place(place)
    if task is not None and task not in TASKS:
        raise ExportError(f"there is no task {task!r}; it is one of {', '.join(TASKS)}")
    if resize not in RESIZES or fit not in FITS:
        raise ExportError(f"resize is one of {', '.join(RESIZES)}; fit is one of {', '.join(FITS)}")
    pictures, rows = _split(examples)
    request = Request(
        place=place, pictures=pictures, rows=rows, labels=read_labels(labels), task=task,
        resize=resize, fit=fit, tolerance=tolerance,
    )  # fmt: skip

    from forgo.exporting import _keras_process

    if isinstance(model, str | Path):
        file = Path(model)
        if file.suffix != ".keras" or not file.is_file():
            raise ExportError(
                f"{file}: it must be a .keras file" if file.exists() else f"{file}: no such file"
            )
        return _keras_process.export_file(file, _named(request, file))
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        raise ExportError(
            f"a {type(model).__module__}.{type(model).__name__} cannot be exported; give a Keras 3 model or a .keras file"
        )
    return _export_keras(model, request)


def _named(request: Request, file: Path) -> Request:
    return replace(request, provenance={"model": file.name, **request.provenance})


def _export_keras(model: Any, request: Request) -> Result:
    """Take the truth from the model in memory, then export it as it is saved."""
    from forgo.exporting import _keras, _keras_process
    from forgo.exporting._examples import from_rows, read_pictures, stack
    from forgo.exporting._pipeline import _preprocessor

    adapter = _keras.KerasModel(model, picture=request.pictures is not None)
    if request.pictures is not None:
        examples, _ = read_pictures(request.pictures, _preprocessor(adapter, request), adapter.inputs[0])
    else:
        assert request.rows is not None
        examples = from_rows(request.rows, adapter.inputs)
    truth = adapter.predict(stack(examples)) if examples else None
    with tempfile.TemporaryDirectory(prefix="forgo-keras-") as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return _keras_process.export_file(file, replace(request, truth=truth))


def _split(examples: Examples) -> tuple[list[Path] | None, Arrays | None]:
    if isinstance(examples, str | Path):
        return find_pictures(Path(examples)), None
    if isinstance(examples, dict):
        return None, {name: np.asarray(a) for name, a in examples.items()}
    if isinstance(examples, list) and examples and all(isinstance(e, str | Path) for e in examples):
        return [Path(e) for e in examples], None
    return None, {UNNAMED: np.asarray(examples)}


def read_labels(labels: list[str] | str | Path | None) -> list[str] | None:
    """Labels as given, or one a line of a text file."""
    if labels is None or isinstance(labels, list):
        return labels
    try:
        lines = Path(labels).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(
            f"{labels}: the labels cannot be read: {getattr(e, 'strerror', None) or e}"
        ) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ExportError(f"{labels}: there are no labels in it")
    return found
