"""The labels that examples should get: from class folders, or as the user gave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting import _label_sets
from forgo.exporting._model import TensorInfo

if TYPE_CHECKING:
    from forgo.exporting._request import Request


def from_folders(pictures: list[Path], folder: Path, labels: list[str] | None) -> list[str | None] | None:
    """The label of each picture: the nearest folder above it, below ``folder``, that is named after a label.

    None if no picture lies in such a folder. Without labels, each class folder's name is the label.
    """
    known = set(labels or class_folders(pictures, folder))

    def label(picture: Path) -> str | None:
        parts = picture.relative_to(folder).parts[:-1]
        return next((part for part in reversed(parts) if part in known), None)

    found = [label(p) for p in pictures]
    return found if any(found) else None


def class_folders(pictures: list[Path], folder: Path) -> list[str]:
    """The folders that hold all pictures, if there are several."""
    parts = [p.relative_to(folder).parts for p in pictures]
    found = sorted({p[0] for p in parts if len(p) > 1})
    return found if len(found) > 1 and all(len(p) > 1 for p in parts) else []


def assumed_labels(request: Request, scores: npt.NDArray[Any]) -> list[str] | None:
    """The class folders in the order of Keras's ``image_dataset_from_directory``, if the output fits.

    It fits if it has one number for each folder, or one probability for two folders. None if labels or
    another task were given, or there are no class folders.
    """
    if request.labels is not None or request.task is not None or not request.folders:
        return None
    one_of_two = (
        len(request.folders) == 2
        and scores.ndim == 2
        and scores.shape[1] == 1
        and scores.min() >= 0
        and scores.max() <= 1
    )
    fits = scores.ndim == 2 and scores.shape[1] == len(request.folders)
    return request.folders if fits or one_of_two else None


def unmeasured(folders: list[str], output: TensorInfo) -> str:
    """A note that the outputs do not fit the class folders."""
    return (
        f"NOT MEASURED: the examples lie in {len(folders)} class folders, but {output.name!r} has the shape "
        f"{list(output.shape[1:])}, so the accuracy is not measured; give labels"
    )


def check_count(expected: Sequence[Any], count: int) -> None:
    """Check that there is one expected label for each example.

    Raises:
        ExportError: there are more, or fewer.
    """
    if len(expected) != count:
        raise ExportError(f"there are {len(expected)} expected labels, but {count} examples")


def check_expected(
    expected: Sequence[Any], labels: list[str] | None, count: int | None, *, several: bool = False
) -> list[Any]:
    """The expected labels as strings, or as lists of strings.

    Args:
        expected: the labels as they were given.
        labels: the model's labels.
        count: the number of examples, None if not known yet.
        several: whether an example may have several; see ``_label_sets.check``.

    Raises:
        ExportError: they do not fit the labels or the examples.
    """
    if labels is None:
        raise ExportError(f"expected labels need a classifier: give {argument('labels')} too")
    if count is not None:
        check_count(expected, count)
    if several:
        return list(_label_sets.check(expected, labels))
    made: list[str | None] = []
    for label in expected:
        if isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= label < len(labels):
            made.append(labels[int(label)])
        elif isinstance(label, list | tuple | set | np.ndarray):
            raise ExportError(
                f"the expected labels {label!r} are several: if an example may have several, give {argument('task', 'multi-label')}"
            )
        elif label is None or label in labels:
            made.append(label)
        else:
            raise ExportError(
                f"the expected label {label!r} is not among the labels {', '.join(labels[:20])}"
            )
    return made
