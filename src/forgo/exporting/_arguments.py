"""What export's arguments hold: examples as pictures and rows, expected answers, and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting import _expected_labels, _label_sets, _tables
from forgo.exporting._model import UNNAMED, Arrays
from forgo.exporting._rows import Cells
from forgo.exporting._rows import read_examples as read_file

Examples = Any
"""The forms of examples that export's docstring lists."""


_NULL = type(None)  # a missing number, as clients send it


def split_examples(examples: Any) -> tuple[list[Path] | None, str, Arrays | None]:
    """Return the pictures, the name of their input, and the rows of other inputs.

    Raises:
        ExportError: they are neither pictures nor rows that arrays can hold.
    """
    if examples is None:
        return None, UNNAMED, None
    if _tables.is_frame(examples):
        frame = _tables.as_pandas(examples)
        return None, UNNAMED, _tables.rows(frame, _tables.columns(frame))
    if isinstance(examples, list) and examples and all(isinstance(e, str | Path) for e in examples):
        return [Path(e) for e in examples], UNNAMED, None
    if isinstance(examples, dict) and not examples:
        raise ExportError("examples: there are no rows")
    if not isinstance(examples, dict):
        return None, UNNAMED, {UNNAMED: _array(UNNAMED, examples)}
    pictures = {
        name: list(value)
        for name, value in examples.items()
        if isinstance(value, list) and value and all(isinstance(e, Path) for e in value)
    }
    rows = {name: _array(name, value) for name, value in examples.items() if name not in pictures}
    if len(pictures) > 1:
        raise ExportError(f"examples: {' and '.join(pictures)} are pictures; a model takes only one")
    for name, paths in pictures.items():
        return paths, name, rows or None
    return None, UNNAMED, rows


def is_table(examples: Any) -> bool:
    """Whether examples hold a table's cells, whose types the model decides."""
    return isinstance(examples, dict) and any(isinstance(rows, Cells) for rows in examples.values())


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    what = f"input {name!r}" if name else "the rows"
    try:
        array = np.asarray(value)
    except ValueError as e:
        raise ExportError(f"examples: {what} have rows of different shapes: {e}") from None
    except (RuntimeError, TypeError) as e:  # tensors with gradients, or on another device
        raise ExportError(f"examples: {what} cannot be read as an array: {e}") from None
    if array.dtype.kind == "O" and {type(e) for e in array.ravel()} in (
        {float, _NULL},
        {int, _NULL},
        {int, float, _NULL},
    ):
        array = array.astype(np.float64)
    if array.dtype.kind == "O" and not all(isinstance(e, str | bytes) for e in array.ravel()):
        raise ExportError(f"examples: {what} are neither numbers nor strings")
    return array


def expected_answers(model: Any, expected: Any, examples: Any) -> tuple[Arrays, str]:
    """Return the training framework's answers, from arrays or a file, and their name in messages.

    Raises:
        ExportError: they cannot be read, or the model or its examples leave no place for them.
    """
    if not isinstance(model, str | Path):
        raise ExportError(
            f"{argument('expected')} is for a model in a file: a model in memory answers for itself"
        )
    if examples is None:
        raise ExportError(
            f"{argument('expected')} holds the answers to examples: give those with {argument('examples')}"
        )
    if not isinstance(expected, str | Path):
        if not isinstance(expected, dict) or not expected:
            raise ExportError(
                f"{argument('expected')} must be a dict of arrays by output, or an .npz file of them"
            )
        return {name: np.asarray(a) for name, a in expected.items()}, "expected"
    path = Path(expected)
    if path.suffix != ".npz":
        raise ExportError(f"{path}: the expected answers must be an .npz file with an array for each output")
    return {n: np.asarray(a) for n, a in read_file(path).items()}, str(path)  # type: ignore[union-attr]


def read_labels(labels: list[str] | str | Path | None) -> list[str] | None:
    """Labels as given, or from a text file with one on each line."""
    if labels is None or isinstance(labels, list):
        return labels
    try:
        lines = Path(labels).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(f"{labels}: cannot read the labels: {getattr(e, 'strerror', None) or e}") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ExportError(f"{labels}: the file has no labels")
    return found


def expected_labels(
    examples: Examples | None,
    pictures: list[Path] | None,
    count: int | None,
    labels: list[str] | None,
    value: Any,
    *,
    several: bool,
) -> tuple[list[Any] | None, list[str]]:
    """Return the right label of each example, as given or by its folder, and notes for the user.

    Raises:
        ExportError: the labels given do not fit the examples.
    """
    if value is not None:
        if examples is None:
            raise ExportError(f"{argument('expected_labels')} needs {argument('examples')}")
        listed = value
        if isinstance(value, str | Path):
            listed = _label_sets.read(Path(value), labels) if several and labels else read_labels(value)
        return _expected_labels.check_expected(listed, labels, count, several=several), []
    if pictures is None or not isinstance(examples, str | Path) or not Path(examples).is_dir():
        return None, []
    folders = _expected_labels.class_folders(pictures, Path(examples))
    expected = _expected_labels.from_folders(pictures, Path(examples), labels)
    if several and expected:
        return None, [
            "NOT MEASURED: class folders give each example one label; "
            f"give all labels of each with {argument('expected_labels')}"
        ]
    if not folders or (expected and all(expected)):
        return expected, []
    assert labels is not None  # without labels, the folders' names are the labels
    some = ", ".join(folders[:6]) + (", …" if len(folders) > 6 else "")
    strange = [f for f in folders if f not in labels]
    return expected, [
        f"the examples lie in folders ({some}), but {strange[0] if strange else 'not each'} is not a label: "
        f"{'the accuracy is not measured' if not expected else 'the accuracy leaves them out'}"
    ]


def class_folders(
    examples: Any, pictures: list[Path] | None, labels: list[str] | None, value: Any
) -> list[str] | None:
    """The class folders of examples without labels."""
    if labels is not None or value is not None or pictures is None or not isinstance(examples, str | Path):
        return None
    return (
        _expected_labels.class_folders(pictures, Path(examples)) or None if Path(examples).is_dir() else None
    )
