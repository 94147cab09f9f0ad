"""Parity in Python: the training framework's answers, those known already, and the answers of the graph's engine."""

from __future__ import annotations

from forgo._errors import ExportError, ParityError, argument
from forgo.exporting import _golden
from forgo.exporting._engine import Runtime
from forgo.exporting._examples import Example, check_missing, stack
from forgo.exporting._inputs import headed, normalized, picture_input
from forgo.exporting._model import Arrays, Trained, innermost
from forgo.exporting._request import Request


def answers(model: Trained, examples: list[Example], request: Request) -> Arrays:
    """The training framework's answers, with the requested head.

    It gets pixels that NumPy normalized or, if there is one, the arrays that the user's own function
    made.
    """
    inputs = stack(examples)
    if request.prepared is None:
        return headed(normalized(model, request), request).predict(inputs)
    prepared = request.prepared[[e.index for e in examples]]
    return headed(model, request).predict({**inputs, picture_input(model, request).name: prepared})


def expected_answers(model: Trained, examples: list[Example], request: Request) -> Arrays:
    """The framework's answers to all examples, a row each.

    Raises:
        ExportError: the answers change from run to run, or the expected ones do not fit the model.
        ParityError: the model does not give the expected answers.
    """
    saved = answers(model, examples, request)
    if getattr(innermost(model), "own_answers", False):
        check_missing(examples, saved)
    again = answers(model, examples[:1], request)
    for name, a in again.items():
        if _golden.difference(a, saved[name][:1]) > request.tolerance:
            raise ExportError(
                f"the model answers {name!r} of {examples[0].source} differently when it runs again: it keeps "
                "state, or its rows depend on one another; no replay can prove that"
            )
    if request.expected is None:
        return saved
    for name, expected in request.expected.items():
        if name not in saved:
            raise ExportError(
                f"the expected answers name {name!r}; the model has the outputs {', '.join(saved)}"
            )
        if len(expected) != len(examples):
            raise ExportError(
                f"there are {len(expected)} expected answers for {name!r}, but {len(examples)} usable examples"
            )
        worst = _golden.difference(saved[name], expected)
        if worst > request.tolerance:
            rows = [
                i
                for i in range(len(expected))
                if _golden.difference(saved[name][i : i + 1], expected[i : i + 1]) > request.tolerance
            ]
            raise ParityError(
                f"{request.answers_from} differs from the model's answers: {name!r} of {examples[rows[0]].source} "
                f"({len(rows)} of {len(expected)} rows), by up to {worst:.3g}, tolerance {request.tolerance:.0e}"
                if request.answers_from
                else f"the saved model answers differently from the model in memory: {name!r} by {worst:.3g}",
                stage="model",
                difference=worst,
            )
    own = getattr(innermost(model), "own_answers", False)
    if own and (missing := [e.name for e in innermost(model).outputs if e.name not in request.expected]):
        raise ExportError(
            f"the expected answers lack the output {missing[0]!r}: give all outputs, or choose some with {argument('outputs')}"
        )
    return {
        **saved,
        **{name: expected.astype(saved[name].dtype) for name, expected in request.expected.items()},
    }


def check(runtime: Runtime, examples: list[Example], expected: Arrays, tolerance: float) -> float:
    """Compare the engine in Python with the framework's answers, at batches of 1 and 3.

    Returns:
        The largest difference.

    Raises:
        ParityError: the difference is above the tolerance.
    """
    parts = batches(examples)
    return compare(
        parts, runtime.answer([stack(batch) for _, batch in parts]), expected, tolerance, runtime.name
    )


def batches(examples: list[Example]) -> list[tuple[int, list[Example]]]:
    """Batches of one and of three examples, each with the index of its first."""
    return [(start, examples[start : start + n]) for n in (1, 3) for start in range(0, len(examples), n)]


def compare(
    parts: list[tuple[int, list[Example]]],
    answers: list[Arrays],
    expected: Arrays,
    tolerance: float,
    engine: str,
) -> float:
    """Compare answers to batches with the framework's."""
    worst = 0.0
    for (start, batch), got in zip(parts, answers, strict=True):
        for name, want in expected.items():
            d = _golden.difference(got[name], want[start : start + len(batch)])
            if d > tolerance:
                raise ParityError(
                    f"parity refused at stage model: {name!r} of {batch[0].source} in a batch of {len(batch)} differs by "
                    f"{d:.3g} between the training framework and {engine}, tolerance {tolerance:.0e}",
                    stage="model",
                    case=batch[0].source,
                    difference=d,
                )
            worst = max(worst, d)
    return worst
