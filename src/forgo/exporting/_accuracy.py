"""Whether pictures are prepared as in training: a classifier's accuracy on labelled examples.

Two halves that agree on wrongly prepared pictures prove nothing. So the Go binary answers raw
inputs with the finished bundle. An export is refused

- near chance: the answers are no better than the same answers in another order, and there are
  enough examples to tell (``_guessing.near_chance``);
- if one of the usual normalizations, or another order of the labels, is clearly better
  (``_guessing.clearly_better``).
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from forgo import _binary
from forgo._errors import ExportError, argument
from forgo.exporting import _guessing, _label_sets, _tasks
from forgo.exporting._examples import Example, stack
from forgo.exporting._guessing import Numbers
from forgo.exporting._model import End, Trained
from forgo.exporting._normalization import Normalization, usual_of

if TYPE_CHECKING:
    from forgo.exporting._pipeline import Request

_DOUBTFUL = 0.05
_MOST_TRIED = 256
"""The most examples that other normalizations are tried on; a whole folder would take too long."""
_MOST_UNLABELLED = 32
_LEAST_UNLABELLED = 8


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
        return made | ({"accepted": self.refusal} if self.refusal else {})

    def metrics(self) -> dict[str, float]:
        """Its metrics in the bundle's provenance."""
        also = {} if self.balanced is None else {"balanced_accuracy": self.balanced}
        return {"accuracy": self.accuracy, **also}


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


def unmeasured(folders: list[str], output: End) -> str:
    """A note that the outputs do not fit the class folders."""
    return (
        f"NOT MEASURED: the examples lie in {len(folders)} class folders, but {output.name!r} has the shape "
        f"{list(output.shape[1:])}, so the accuracy is not measured; give labels"
    )


def _of_each(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One number for each class; a single probability becomes those of two classes."""
    return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores


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

    def renamed(self, answers: Any, places: Numbers) -> npt.NDArray[Any]:
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

    def told(self, right: float, examples: int, by_chance: float, balanced: float | None) -> str:
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
        best: Numbers = _of_each(scores).argmax(axis=1)
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

    def renamed(self, answers: Numbers, places: Numbers) -> Numbers:
        """See Grading."""
        return places[answers]

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

    def told(self, right: float, examples: int, by_chance: float, balanced: float | None) -> str:
        """See Grading."""
        return f"right on {_percent(right)} of {examples} labelled examples, by chance {_percent(by_chance)}"


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
        return Measured(notes=_unlabelled(model, request, examples, _of_each(scores), picture))
    expected = grading.encode([stated[examples[i].index] for i in labelled])
    given = _ask_go(bundle, request, [examples[i] for i in labelled], every=limits is not None)
    answers = grading.read(given, model.outputs[0].name)
    found = Measured(
        *_counted(grading, answers, expected), balanced=grading.balanced(answers, expected), assumed=assumed
    )
    how = grading.told(found.accuracy, found.examples, found.chance, found.balanced)
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
        _other_normalization(model, request, examples, labelled, grading, expected, scores, picture),
        _other_order(grading, answers, expected),
    )[1]
    refusal = ""
    if better:
        refusal = f"the bundle is {how}; {better}"
    elif grading.guesses(answers, expected):
        refusal = (
            f"the bundle is {how}: it guesses. No usual normalization and no other order of the labels is clearly better;"
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


def _others(request: Request, pixels: npt.NDArray[Any]) -> dict[str, Normalization]:
    return {
        k: n for k, n in usual_of(pixels.shape[-1]).items() if n != request.normalization.of(pixels.shape[-1])
    }


def _other_normalization(
    model: Trained,
    request: Request,
    examples: list[Example],
    labelled: list[int],
    grading: Grading,
    expected: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    picture: str | None,
) -> tuple[float, str]:
    """Name the usual normalization that is clearly better, if any, after its accuracy."""
    if picture is None:
        return 0.0, ""
    others = _others(request, examples[0].inputs[picture])
    part = _spread(grading.turns(expected))
    some = expected[part]
    now = grading.grades(grading.answered(scores[[labelled[i] for i in part]]), some)
    if (now < grading.grades(some, some)).sum() < _guessing.least_gain(len(others)):
        return 0.0, ""
    chosen = [examples[labelled[i]] for i in part]
    tried = {
        what: grading.grades(grading.answered(_asked(model, picture, chosen, n)), some)
        for what, n in others.items()
    }
    better = {
        what: right for what, right in tried.items() if _guessing.clearly_better(now, right, len(others))
    }
    if not better:
        return 0.0, ""
    best = max(better.values(), key=lambda right: right.sum())
    # Those that the examples cannot tell from the best one: only training knows which it is.
    likely = {what: right for what, right in better.items() if _guessing.doubt(best, right) >= _DOUBTFUL}
    said = [
        f"{_percent(float(right.mean()))} with {what} ({others[what].flags() or 'no --scale --mean --std --channels'})"
        for what, right in sorted(likely.items(), key=lambda item: -item[1].sum())[:3]
    ]
    of = "" if len(part) == len(expected) else f" of {len(part)} of them"
    return float(best.mean()), (
        f"the model {grading.measure} {', '.join(said)}{of}: export it {'like that' if len(said) == 1 else 'as training did'}"
    )


def _spread(expected: Numbers) -> list[int]:
    """Some of the examples, drawn from the classes in turns."""
    turns = np.zeros(len(expected), int)
    for c in set(expected.tolist()):
        at = np.flatnonzero(expected == c)
        turns[np.random.default_rng(0).permutation(at)] = np.arange(len(at))
    return sorted(np.argsort(turns, kind="stable")[:_MOST_TRIED].tolist())


def _asked(model: Trained, name: str, examples: list[Example], other: Normalization) -> npt.NDArray[Any]:
    """The training framework's answers to pixels that are normalized differently."""
    inputs = stack(examples)
    answers: npt.NDArray[Any] = model.predict({**inputs, name: other.apply(inputs[name])})[
        model.outputs[0].name
    ]
    return answers


def _other_order(
    grading: Grading, answers: npt.NDArray[Any], expected: npt.NDArray[Any]
) -> tuple[float, str]:
    """Name the other order of the labels that is clearly better, if any, after its accuracy."""
    labels = grading.labels
    orders = [sorted(labels), sorted(labels, key=_natural), *([labels[::-1]] if len(labels) == 2 else [])]
    orders = [o for i, o in enumerate(orders) if o != labels and o not in orders[:i]]
    now = grading.grades(answers, expected)
    for order in orders:
        places = np.array([labels.index(label) for label in order])
        right = grading.grades(grading.renamed(answers, places), expected)
        if _guessing.clearly_better(now, right, len(orders)):
            return float(right.mean()), (
                f"with the labels in the order {', '.join(order[:6])}{', …' if len(order) > 6 else ''} it {grading.measure} "
                f"{_percent(float(right.mean()))}: give the labels in the order of the model's output"
            )
    return 0.0, ""


def _natural(label: str) -> list[tuple[bool, int, str]]:
    """A sort key as in timm: numbers in names sort by value."""
    return [
        (not p.isdigit(), int(p) if p.isdigit() else 0, p.lower()) for p in re.split(r"(\d+)", label) if p
    ]


def _unlabelled(
    model: Trained, request: Request, examples: list[Example], scores: npt.NDArray[Any], picture: str
) -> list[str]:
    """Warn if a usual normalization makes a classifier far more certain than raw pixels do.

    Certainty is the mutual information of example and answer, as a share of its maximum: a network
    that gives one answer to all examples has none. It must be a quarter higher, or a tenth while the mean doubt,
    one less the best probability, falls to a quarter.
    """
    if len(examples) < _LEAST_UNLABELLED or not request.normalization.nothing:
        return []
    part = np.linspace(0, len(examples) - 1, min(len(examples), _MOST_UNLABELLED)).round().astype(int)
    now = scores[part]
    gains: dict[str, float] = {}
    others = _others(request, examples[0].inputs[picture])
    for what, other in others.items():
        then = _asked(model, picture, [examples[i] for i in part], other)
        gain = _information(then) - _information(now)
        if gain >= 0.25 or (gain >= 0.1 and _doubtful(then) <= _doubtful(now) / 4):
            gains[what] = gain
    if not gains:
        return []
    most = max(gains.values())
    likely = [what for what in sorted(gains, key=lambda w: -gains[w]) if gains[what] >= most - 0.1][:3]
    return [
        "the model is far more certain with "
        f"{' or '.join(f'{what} ({others[what].flags()})' for what in likely)}: give these flags if training did that. "
        "Labelled examples, in folders named after their labels, would settle it"
    ]


def _doubtful(scores: npt.NDArray[Any]) -> float:
    return float(1 - scores.max(axis=1).mean())


def _information(scores: npt.NDArray[Any]) -> float:
    """Mutual information of example and answer, as a share of its maximum."""

    def entropy(p: npt.NDArray[Any]) -> npt.NDArray[Any]:
        p = np.clip(p.astype(np.float64), 1e-12, 1)
        return np.asarray(-(p * np.log(p)).sum(axis=-1))

    most = math.log(max(2, min(scores.shape)))
    return float(entropy(scores.mean(axis=0)) - entropy(scores).mean()) / most


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def accept_or_refuse(found: Measured, request: Request, hints: list[str]) -> None:
    """Stop the export if the accuracy refuses it, unless the user accepts that.

    Raises:
        ExportError: the bundle is refused; the message says what to do.
    """
    if found.refusal and not request.accept_accuracy:
        hint = f" ({hints[0]})" if hints else ""
        raise ExportError(f"{found.refusal}{hint}, or pass {argument('accept_accuracy', True)}")
