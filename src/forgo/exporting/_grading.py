"""How a classifier's answers are graded; ``_label_sets`` grades those of a multi-label model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from forgo.exporting import _guessing
from forgo.exporting._guessing import Numbers


class Grading(Protocol):
    """Encodes answers and labels as arrays, and grades answers.

    Answers are an array with a row for each example; so are the expected labels.
    """

    @property
    def labels(self) -> list[str]:
        """In the order of the output."""
        ...

    @property
    def measure(self) -> str:
        """Names the mean of the grades, in front of its value."""
        ...

    def encode(self, labels: list[Any]) -> npt.NDArray[Any]:
        """Encode labels."""
        ...

    def answered(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Encode the framework's probabilities."""
        ...

    def read(self, answers: list[dict[str, Any]], output: str) -> npt.NDArray[Any]:
        """Encode the Go binary's answers, which have all classes."""
        ...

    def grades(self, answers: Any, expected: Any) -> npt.NDArray[Any]:
        """Grade each answer, to compare with other answers' grades."""
        ...

    def turns(self, expected: Any) -> Numbers:
        """The groups that examples are drawn from in turns."""
        ...

    def renamed(self, answers: Any, indices: Numbers) -> npt.NDArray[Any]:
        """Read output i as that of label places[i]."""
        ...

    def right(self, answers: Any, expected: Any) -> tuple[int, float]:
        """How many answers are right, and the share expected by chance."""
        ...

    def balanced(self, answers: Any, expected: Any) -> float | None:
        """The mean of the labels' balanced accuracies; None if examples have one label."""
        ...

    def says_little(self, expected: Any) -> str:
        """Why no number of such examples tells a guess; "" if they can."""
        ...

    def guesses(self, answers: Any, expected: Any) -> bool:
        """Whether answers are no better than guesses."""
        ...

    def cannot_tell(self, answers: Any, expected: Any) -> bool:
        """Whether the examples are too few to tell."""
        ...

    def summary(self, right: float, examples: int, by_chance: float, balanced: float | None) -> str:
        """The accuracy, in words."""
        ...


@dataclass(frozen=True)
class Classes:
    """Grades answers with one class each: indices into the labels, int64 [n]."""

    labels: list[str]
    assumed: bool = False
    """Whether the bundle has no labels."""
    measure = "is right on"

    def encode(self, labels: list[Any]) -> Numbers:
        """See Grading."""
        return np.array([self.labels.index(label) for label in labels])

    def answered(self, scores: npt.NDArray[Any]) -> Numbers:
        """See Grading."""
        best: Numbers = of_each(scores).argmax(axis=1)
        return best

    def read(self, answers: list[dict[str, Any]], output: str) -> Numbers:
        """See Grading."""
        if self.assumed:
            return self.answered(np.array([a["outputs"][output] for a in answers], float))
        return self.encode([a["classes"][0]["label"] for a in answers])

    def grades(self, answers: Numbers, expected: Numbers) -> npt.NDArray[np.bool_]:
        """See Grading."""
        return np.asarray(answers == expected)

    def turns(self, expected: Numbers) -> Numbers:
        """See Grading."""
        return expected

    def renamed(self, answers: Numbers, indices: Numbers) -> Numbers:
        """See Grading."""
        return indices[answers]

    def right(self, answers: Numbers, expected: Numbers) -> tuple[int, float]:
        """See Grading."""
        return int((answers == expected).sum()), _guessing.chance(answers, expected)

    def balanced(self, answers: Numbers, expected: Numbers) -> None:
        """See Grading."""

    def says_little(self, expected: Numbers) -> str:
        """See Grading."""
        if len(set(expected.tolist())) > 1:
            return ""
        return "all labelled examples have one class, which tells little about a classifier"

    def guesses(self, answers: Numbers, expected: Numbers) -> bool:
        """See Grading."""
        return _guessing.near_chance(answers, expected, _guessing.chance(answers, expected))

    def cannot_tell(self, answers: Numbers, expected: Numbers) -> bool:
        """See Grading."""
        halfway = _guessing.halfway(_guessing.chance(answers, expected))
        return (
            float((answers == expected).mean()) < halfway
            and _guessing.p_value(answers, expected) >= _guessing.CERTAIN
        )

    def summary(self, right: float, examples: int, by_chance: float, balanced: float | None) -> str:
        """See Grading."""
        return f"right on {percent(right)} of {examples} labelled examples, by chance {percent(by_chance)}"


def of_each(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One number for each class; a single probability becomes those of two classes."""
    return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"
