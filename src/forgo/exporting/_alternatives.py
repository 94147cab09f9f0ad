"""Whether a model answers better with another of the usual normalizations, or another order of the labels."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forgo._errors import argument
from forgo.exporting import _guessing
from forgo.exporting._examples import Example, stack
from forgo.exporting._grading import Grading, percent
from forgo.exporting._guessing import Numbers
from forgo.exporting._model import Trained
from forgo.exporting._normalization import Normalization, usual_of

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_DOUBTFUL = 0.05
_MOST_TRIED = 256
"""The most examples that other normalizations are tried on; a whole folder would take too long."""
_MOST_UNLABELLED = 32
_LEAST_UNLABELLED = 8
_NONE = "no " + " ".join(argument(name) for name in ("scale", "mean", "std", "channels"))


def _others(request: Request, pixels: npt.NDArray[Any]) -> dict[str, Normalization]:
    return {
        k: n
        for k, n in usual_of(pixels.shape[-1]).items()
        if n != request.normalization.for_channels(pixels.shape[-1])
    }


def other_normalization(
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
        what: grading.grades(grading.answered(_framework_answers(model, picture, chosen, n)), some)
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
        f"{percent(float(right.mean()))} with {what} ({others[what].named() or _NONE})"
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


def _framework_answers(
    model: Trained, name: str, examples: list[Example], other: Normalization
) -> npt.NDArray[Any]:
    """The training framework's answers to pixels that are normalized differently."""
    inputs = stack(examples)
    answers: npt.NDArray[Any] = model.predict({**inputs, name: other.apply(inputs[name])})[
        model.outputs[0].name
    ]
    return answers


def other_order(grading: Grading, answers: npt.NDArray[Any], expected: npt.NDArray[Any]) -> tuple[float, str]:
    """Name the other order of the labels that is clearly better, if any, after its accuracy."""
    labels = grading.labels
    orders = [sorted(labels), sorted(labels, key=_natural), *([labels[::-1]] if len(labels) == 2 else [])]
    orders = [list(order) for order in dict.fromkeys(map(tuple, orders)) if order != tuple(labels)]
    now = grading.grades(answers, expected)
    for order in orders:
        indices = np.array([labels.index(label) for label in order])
        right = grading.grades(grading.renamed(answers, indices), expected)
        if _guessing.clearly_better(now, right, len(orders)):
            return float(right.mean()), (
                f"with the labels in the order {', '.join(order[:6])}{', …' if len(order) > 6 else ''} it {grading.measure} "
                f"{percent(float(right.mean()))}: give the labels in the order of the model's output"
            )
    return 0.0, ""


def _natural(label: str) -> list[tuple[bool, int, str]]:
    """A sort key as in timm: numbers in names sort by value."""
    return [
        (not p.isdigit(), int(p) if p.isdigit() else 0, p.lower()) for p in re.split(r"(\d+)", label) if p
    ]


def unlabelled(
    model: Trained, request: Request, examples: list[Example], scores: npt.NDArray[Any], picture: str
) -> list[str]:
    """Warn if a usual normalization makes a classifier far more certain than raw pixels do.

    Certainty is the mutual information of example and answer, as a share of its maximum: a network
    that gives one answer to all examples has none. It must be a quarter higher, or a tenth while the mean doubt,
    one less the best probability, falls to a quarter.
    """
    if len(examples) < _LEAST_UNLABELLED or not request.normalization.is_identity:
        return []
    part = np.linspace(0, len(examples) - 1, min(len(examples), _MOST_UNLABELLED)).round().astype(int)
    now = scores[part]
    gains: dict[str, float] = {}
    others = _others(request, examples[0].inputs[picture])
    for what, other in others.items():
        then = _framework_answers(model, picture, [examples[i] for i in part], other)
        gain = _information(then) - _information(now)
        if gain >= 0.25 or (gain >= 0.1 and _doubtful(then) <= _doubtful(now) / 4):
            gains[what] = gain
    if not gains:
        return []
    most = max(gains.values())
    likely = [what for what in sorted(gains, key=lambda w: -gains[w]) if gains[what] >= most - 0.1][:3]
    return [
        "the model is far more certain with "
        f"{' or '.join(f'{what} ({others[what].named()})' for what in likely)}: export it so if training did that. "
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
