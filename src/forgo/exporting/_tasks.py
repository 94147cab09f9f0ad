"""What a model's first output means: its task, checked against the framework's answers, and a case's labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting._golden import margin
from forgo.exporting._model import Arrays, TensorInfo

TASKS = ("classification", "multi-label", "regression", "ranking", "embedding", "tensors")
LABELLED = ("classification", "multi-label")
THRESHOLD = 0.5

Thresholds = float | list[float] | dict[str, float]
"""One for all labels, one for each in their order, or by label."""


def thresholds(value: Thresholds | None, labels: list[str] | None, task: str | None) -> list[float] | None:
    """One threshold for each label of a multi-label model, None for any other.

    Raises:
        ExportError: they do not fit the labels, or are not probabilities.
    """
    if task != "multi-label":
        if value is not None:
            raise ExportError(
                f"thresholds are for the task multi-label: add {argument('task', 'multi-label')}"
            )
        return None
    if labels is None:
        raise ExportError(f"the task multi-label needs labels: give {argument('labels')}")
    if isinstance(value, dict):
        if unknown := [name for name in value if name not in labels]:
            raise ExportError(
                f"thresholds: there is no label {unknown[0]!r}; the labels are {', '.join(labels)}"
            )
        made = [float(value.get(name, THRESHOLD)) for name in labels]
    elif isinstance(value, list):
        made = [float(t) for t in value]
        if len(made) == 1:
            made *= len(labels)
    else:
        made = [THRESHOLD if value is None else float(value)] * len(labels)
    if len(made) != len(labels):
        raise ExportError(
            f"there are {len(made)} thresholds for {len(labels)} labels: give one, or one for each"
        )
    if bad := [t for t in made if not 0 <= t < 1]:
        raise ExportError(f"a threshold must be at least 0 and below 1, not {bad[0]:g}")
    return made


def check(first: TensorInfo, labels: list[str] | None, task: str | None, expected: Arrays | None) -> str:
    """The task; with labels, check that the first output fits it.

    Raises:
        ExportError: it does not fit; the message says what would.
    """
    if labels is None:
        if task in LABELLED:
            raise ExportError(f"the task {task} needs labels: give {argument('labels')}")
        return task or "tensors"
    if task not in (None, *LABELLED):
        raise ExportError(f"labels are for classification and multi-label, not for the task {task!r}")
    if len(set(labels)) != len(labels) or not all(labels):
        odd = next(label for i, label in enumerate(labels) if not label or label in labels[:i])
        raise ExportError(f"labels must not repeat or be empty, as {odd!r} does: give {argument('labels')}")
    shape: Any = first.shape if expected is None else expected[first.name].shape
    if len(shape) != 2 or shape[1] != len(labels):
        raise ExportError(
            f"there are {len(labels)} labels, but the output {first.name!r} has shape {list(shape[1:])}"
        )
    if expected is not None:
        _check_scores(first.name, expected[first.name].astype(np.float64), task == "multi-label")
    return task or "classification"


def _check_scores(name: str, scores: npt.NDArray[np.float64], multi_label: bool) -> None:
    low, high = scores.min(), scores.max()
    total = scores.sum(axis=1)
    if multi_label:
        if low < -1e-6 or high > 1 + 1e-6:
            raise ExportError(
                f"the output {name!r} is not a probability of each label (its values are {low:.3g} to {high:.3g}): "
                f"if these are logits, give {argument('append', 'sigmoid')}"
            )
        return
    if low < -1e-6 and np.abs(total - 1).max() <= 1e-3 and scores.shape[1] == 2:
        raise ExportError(
            f"the output {name!r} is not a probability (its values are {min(low, 1 - high):.3g} to {high:.3g}): "
            f"if these are logits, give {argument('append', 'sigmoid')}"
        )
    if low < -1e-6 or np.abs(total - 1).max() > 1e-3:
        raise ExportError(
            f"the output {name!r} is not probabilities (rows sum to {total.min():.3g} to {total.max():.3g}): "
            f"if these are logits, give {argument('append', 'softmax')}; "
            f"if a row may have several labels, {argument('task', 'multi-label')}"
        )


def over(scores: npt.NDArray[Any], limits: list[float]) -> npt.NDArray[np.bool_]:
    """Which labels are above their thresholds, in each row."""
    return np.asarray(scores.astype(np.float64) > np.array(limits))


def certainty(scores: npt.NDArray[Any], limits: list[float] | None) -> npt.NDArray[Any] | None:
    """How far each row is from another answer: its margin. None if there is only one class."""
    if limits is not None:
        return np.asarray(np.abs(scores.astype(np.float64) - np.array(limits)).min(axis=1))
    if scores.shape[1] < 2:
        return None
    return margin(scores)


def answers(scores: npt.NDArray[Any], limits: list[float] | None, labels: list[str]) -> list[list[str]]:
    """Each row's answer: the best label, or all labels above their thresholds."""
    if limits is None:
        return [[labels[int(c)]] for c in scores.argmax(axis=1)]
    return [[label for label, yes in zip(labels, row, strict=True) if yes] for row in over(scores, limits)]
