"""Whether pictures are prepared as in training: a classifier's accuracy on labelled examples.

Two halves that agree on wrongly prepared pictures prove nothing. So the Go binary answers raw
inputs with the finished bundle. An export is refused

- near chance: the answers are no better than the same answers in another order, and there are
  enough examples to tell (``_guessing.near_chance``);
- if one of the usual normalizations, or another order of the labels, is clearly better
  (``_guessing.clearly_better``).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from forgo import _binary
from forgo._errors import ExportError, argument, in_command
from forgo.exporting import _alternatives, _label_sets, _tasks
from forgo.exporting._examples import Example
from forgo.exporting._grading import Classes, Grading, of_each
from forgo.exporting._model import Trained

if TYPE_CHECKING:
    from forgo.exporting._request import Request


@dataclass(frozen=True)
class Measured:
    """The measured accuracy, and what follows from it."""

    right: int = 0
    """Examples answered right; for a multi-label model, with exactly their labels."""
    examples: int = 0
    """Examples with a label; 0 if nothing was measured."""
    chance: float = 0.0
    """The accuracy that the same answers would have by chance."""
    refusal: str = ""
    """Why the bundle must not be written, unless the user accepts it."""
    notes: list[str] = field(default_factory=list)
    balanced: float | None = None
    """For a multi-label model, the mean of its labels' balanced accuracies, 0.5 by chance."""
    assumed: list[str] | None = None
    """The labels assumed for the output, in order, if none were given."""

    @property
    def accuracy(self) -> float:
        """The share of labelled examples answered right."""
        return self.right / self.examples

    def entry(self) -> dict[str, Any]:
        """Its entry in the bundle's provenance."""
        made: dict[str, Any] = {"examples": self.examples, "right": self.right, "chance": self.chance}
        made |= {} if self.balanced is None else {"balanced": self.balanced}
        made |= {"assumed_labels": self.assumed} if self.assumed else {}
        return made | ({"accepted": in_command(self.refusal)} if self.refusal else {})

    def metrics(self) -> dict[str, float]:
        """Its metrics in the bundle's provenance."""
        also = {} if self.balanced is None else {"balanced_accuracy": self.balanced}
        return {"accuracy": self.accuracy, **also}


def judge(
    model: Trained,
    request: Request,
    bundle: Path,
    examples: list[Example],
    scores: npt.NDArray[Any],
    picture: str | None,
) -> Measured:
    """Measure the accuracy of a classifier's finished bundle, and judge it.

    Args:
        model: the exported model, without its normalization.
        request: has its labels and any expected ones.
        bundle: the proven bundle.
        examples: all usable examples.
        scores: the framework's probabilities for them.
        picture: the picture input's name, if the model has one.

    Raises:
        ParityError: the Go binary refuses an example that Python accepts.
    """
    assumed = None if request.labels else request.folders
    labels = request.labels or request.folders or []
    limits = _tasks.thresholds(request.thresholds, request.labels, request.task)
    grading: Grading = Classes(labels, bool(assumed)) if limits is None else _label_sets.Sets(labels, limits)
    stated = request.expected_labels or []
    labelled = [i for i, e in enumerate(examples) if stated and stated[e.index] is not None]
    if not labelled:
        if picture is None or limits is not None or request.report is not None:  # forgo trained it
            return Measured()
        return Measured(notes=_alternatives.unlabelled(model, request, examples, of_each(scores), picture))
    expected = grading.encode([stated[examples[i].index] for i in labelled])
    answered = _ask_go(bundle, request, [examples[i] for i in labelled], every=limits is not None)
    answers = grading.read(answered, model.outputs[0].name)
    found = Measured(
        *_counted(grading, answers, expected), balanced=grading.balanced(answers, expected), assumed=assumed
    )
    how = grading.summary(found.accuracy, found.examples, found.chance, found.balanced)
    notes = (
        [] if len(labelled) == len(examples) else [f"{len(examples) - len(labelled)} examples have no label"]
    )
    if assumed:
        order = ", ".join(assumed[:6]) + (", …" if len(assumed) > 6 else "")
        how += f", if the outputs are the folders in sorted order ({order}); give the labels if the order differs"
        notes.append(
            f"the accuracy assumes that the outputs are the folders in sorted order ({order}): give them as labels, "
            "and the bundle answers with them"
        )
    better = max(
        _alternatives.other_normalization(
            model, request, examples, labelled, grading, expected, scores, picture
        ),
        _alternatives.other_order(grading, answers, expected),
    )[1]
    refusal = ""
    if better:
        refusal = f"the bundle is {how}; {better}"
    elif grading.guesses(answers, expected):
        refusal = (
            f"the bundle is {how}: it guesses. No usual normalization and no other order of the labels is clearly better: "
            "check how training prepared pictures or rows"
        )
    elif little := grading.says_little(expected):
        notes.append(little)
    elif grading.cannot_tell(answers, expected):
        notes.append(f"the bundle is {how}: too few examples to tell whether it guesses")
    return replace(found, refusal=refusal, notes=notes)


def _counted(grading: Grading, answers: Any, expected: Any) -> tuple[int, int, float]:
    right, by_chance = grading.right(answers, expected)
    return right, len(expected), by_chance


def _ask_go(bundle: Path, request: Request, examples: list[Example], *, every: bool) -> list[dict[str, Any]]:
    """Have the Go binary answer raw inputs: picture files as they are, rows from temporary files."""
    with tempfile.TemporaryDirectory(prefix="forgo-rows-") as folder:
        files = []
        for e in examples:
            if e.content_type != "application/json" and request.pictures is not None:
                files.append(request.pictures[e.index])
                continue
            file = Path(folder) / f"{e.index}.json"
            file.write_bytes(e.raw)
            files.append(file)
        return _binary.predict(bundle, files, every=every)


def accept_or_refuse(found: Measured, request: Request, hints: list[str]) -> None:
    """Stop the export if the accuracy refuses it, unless the user accepts that.

    Raises:
        ExportError: the bundle is refused; the message says what to do.
    """
    if found.refusal and not request.accept_accuracy:
        hint = f" ({hints[0]})" if hints else ""
        raise ExportError(f"{found.refusal}{hint}, or pass {argument('accept_accuracy', True)}")
