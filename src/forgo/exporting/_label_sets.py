"""Examples with several labels, or none: how they are read, and how answers to them are graded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError
from forgo.exporting import _guessing, _tasks
from forgo.exporting._guessing import Grades, Numbers

Yes = npt.NDArray[np.bool_]
"""Which labels each example has, [examples, labels]."""


def read(file: Path, labels: list[str]) -> list[list[str] | None]:
    """Read a text file with a line for each example.

    A line holds the labels separated by commas, a JSON list of labels, or ``null`` if they are unknown. An empty
    line is an example without labels.

    Raises:
        ExportError: the file cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(
            f"{file}: cannot read the expected labels: {getattr(e, 'strerror', None) or e}"
        ) from None
    return [_line(f"{file}, line {n}", line.strip(), labels) for n, line in enumerate(lines, 1)]


def _line(where: str, line: str, labels: list[str]) -> list[str] | None:
    if line in labels:
        return [line]
    if line == "null":
        return None
    if not line.startswith("["):
        return [label.strip() for label in line.split(",")] if line else []
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise ExportError(f"{where}: not a JSON list of labels: {e}") from None
    if not all(isinstance(label, str) for label in found):
        raise ExportError(f"{where}: must be a JSON list of labels, as strings")
    return list(found)


def check(expected: Sequence[Any], labels: list[str]) -> list[list[str] | None]:
    """The expected labels of each example, as strings in the order of the labels.

    Args:
        expected: for each example a list of strings or indices into labels, or a single one; None if
            unknown. Or an array [examples, labels]: 1 if the example has the label, else 0.
        labels: the model's labels.

    Raises:
        ExportError: they do not fit the labels.
    """
    if isinstance(expected, np.ndarray) and expected.ndim == 2:
        return _of_columns(expected, labels)
    return [None if value is None else _set(value, labels) for value in expected]


def _of_columns(value: npt.NDArray[Any], labels: list[str]) -> list[list[str] | None]:
    if value.shape[1] != len(labels) or value.dtype.kind not in "biuf" or not np.isin(value, (0, 1)).all():
        raise ExportError(
            f"the expected labels are {value.dtype}{list(value.shape)}: give 0 or 1 for each of the {len(labels)} "
            "labels, or a list of labels for each example"
        )
    return [[label for label, there in zip(labels, row, strict=True) if there] for row in value]


def _set(value: Any, labels: list[str]) -> list[str]:
    several = [value] if isinstance(value, str | int | np.integer) else value
    if not isinstance(several, list | tuple | set | frozenset | np.ndarray):
        raise ExportError(f"the expected labels {value!r} are not a list of labels")
    found: set[str] = set()
    for label in several:
        text = label
        if isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= label < len(labels):
            text = labels[int(label)]
        if not isinstance(text, str) or text not in labels:
            raise ExportError(
                f"the expected label {label!r} is not among the labels {', '.join(labels[:20])}"
            )
        if text in found:
            raise ExportError(
                f"the expected labels {value!r} name {text!r} twice; to give 0 or 1 for each label, pass a "
                "NumPy array [examples, labels]"
            )
        found.add(text)
    return [label for label in labels if label in found]


@dataclass(frozen=True)
class Sets:
    """Grades answers with every label above its threshold, bool [n, labels]; ``_grading.Classes`` grades single ones."""

    labels: list[str]
    limits: list[float]
    measure = "has a balanced accuracy of"

    def encode(self, labels: list[Any]) -> Yes:
        """Encode labels."""
        return np.array([[label in value for label in self.labels] for value in labels], bool)

    def answered(self, scores: npt.NDArray[Any]) -> Yes:
        """What probabilities say."""
        return _tasks.over(scores, self.limits)

    def read(self, answers: list[dict[str, Any]], output: str) -> Yes:
        """What the Go binary says."""
        return self.encode([[c["label"] for c in a["classes"]] for a in answers])

    def grades(self, answers: Yes, expected: Yes) -> Grades:
        """Grade each example so that the mean is the balanced accuracy: the average of the share of right answers with
        a label and the share without it, over the labels that some examples have and others do not.
        """
        there, not_there = expected.sum(axis=0), (~expected).sum(axis=0)
        counted = (there > 0) & (not_there > 0)
        weights = np.where(expected, 1 / np.maximum(there, 1), 1 / np.maximum(not_there, 1))
        right = np.where(answers == expected, weights, 0)[:, counted].sum(axis=1)
        return np.asarray(right * len(expected) / (2 * max(1, counted.sum())), float)

    def turns(self, expected: Yes) -> Numbers:
        """A number for each set of labels that occurs."""
        return np.unique(expected, axis=0, return_inverse=True)[1].reshape(-1)

    def renamed(self, answers: Yes, indices: Numbers) -> Yes:
        """Read output i as that of label places[i]."""
        other = np.empty_like(answers)
        other[:, indices] = answers
        return other

    def right(self, answers: Yes, expected: Yes) -> tuple[int, float]:
        """How many examples have exactly their labels, and the share expected by chance."""
        both = self.turns(np.vstack([answers, expected]))
        return int((answers == expected).all(axis=1).sum()), _guessing.chance(
            both[: len(expected)], both[len(expected) :]
        )

    def balanced(self, answers: Yes, expected: Yes) -> float | None:
        """The mean of the grades, without rounding; None if no label tells two examples apart."""
        shares = self._shares(answers, expected)
        return float(np.mean([found for found, _ in shares])) if shares else None

    def says_little(self, expected: Yes) -> str:
        """Why answers to these examples cannot differ from guesses; "" if they can."""
        if (expected.any(axis=0) & ~expected.all(axis=0)).any():
            return ""
        return "all labelled examples have the same labels, which tells nothing about a model"

    def guesses(self, answers: Yes, expected: Yes) -> bool:
        """Whether answers are no better than guesses; see ``_guessing.near_chance``."""
        balanced = self.balanced(answers, expected)
        if balanced is None or self._upper(answers, expected) >= _guessing.halfway(0.5):
            return False
        return (
            2 * balanced - 1 < _guessing.LEAST_KAPPA or self._p_value(answers, expected) >= _guessing.CERTAIN
        )

    def cannot_tell(self, answers: Yes, expected: Yes) -> bool:
        """Whether the examples are too few to tell a guess."""
        balanced = self.balanced(answers, expected)
        return (
            balanced is not None
            and balanced < _guessing.halfway(0.5)
            and self._p_value(answers, expected) >= _guessing.CERTAIN
        )

    def summary(self, right: float, examples: int, by_chance: float, balanced: float | None) -> str:
        """The accuracy, in words."""
        labels = (
            ""
            if balanced is None
            else f", its labels at a balanced accuracy of {100 * balanced:.1f}%, by chance 50.0%"
        )
        return f"right on all labels of {100 * right:.1f}% of {examples} labelled examples, by chance {100 * by_chance:.1f}%{labels}"

    def _upper(self, answers: Yes, expected: Yes) -> float:
        """An upper bound of the balanced accuracy that treats the labels of one example as dependent."""
        return float(np.mean([_guessing.upper(found, n) for found, n in self._shares(answers, expected)]))

    def _shares(self, answers: Yes, expected: Yes) -> list[tuple[float, int]]:
        """For each label that counts, the share of right answers among examples with it and without it, and their numbers."""
        found = []
        for said, there in zip(answers.T, expected.T, strict=True):
            if there.any() and not there.all():
                for right, n in ((said[there], there.sum()), (~said[~there], (~there).sum())):
                    found.append((float(right.mean()), int(n)))
        return found

    def _p_value(self, answers: Yes, expected: Yes) -> float:
        """How often shuffled answers are as good: exact for any balance of the labels."""
        there, not_there = expected.sum(axis=0), (~expected).sum(axis=0)
        counted = (there > 0) & (not_there > 0)
        # Shuffling keeps the number of answers for each label, so hits alone tell balanced accuracies apart.
        weights = 1 / there[counted] + 1 / not_there[counted]
        answers, expected = answers[:, counted], expected[:, counted]

        def good(value: Yes) -> float:
            return float((value & expected).sum(axis=0) @ weights)

        shuffle, ours = np.random.default_rng(0).permutation, good(answers)
        as_good = sum(good(answers[shuffle(len(answers))]) >= ours - 1e-9 for _ in range(_guessing.SHUFFLES))
        return (1 + as_good) / (1 + _guessing.SHUFFLES)
