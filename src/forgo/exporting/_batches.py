"""Graphs with a fixed batch size, run as Go runs them (predict/parts.go)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forgo.exporting._model import Arrays

SINGLE = 0
"""The batch of a graph that takes one row, without a batch dimension."""


def in_parts(run: Callable[[Arrays], Arrays], inputs: Arrays, batch: int | None) -> Arrays:
    """Run rows in parts of a fixed size; copies of its last row fill up the last part.

    Args:
        run: the graph.
        inputs: the rows.
        batch: how many rows the graph takes; None for any, SINGLE for one row without a batch dimension.
    """
    if batch is None:
        return run(inputs)
    size, answers = max(batch, 1), []
    count = len(next(iter(inputs.values())))
    for start in range(0, count, size):
        part = {name: a[start : start + size] for name, a in inputs.items()}
        have = len(next(iter(part.values())))
        part = {name: np.concatenate([a, *[a[-1:]] * (size - have)]) for name, a in part.items()}
        if batch == SINGLE:
            got = {name: np.asarray(a)[None] for name, a in run({n: a[0] for n, a in part.items()}).items()}
        else:
            got = run(part)
        answers.append({name: a[:have] for name, a in got.items()})
    return {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}


def inner_shape(shape: tuple[int | None, ...], batch: int | None) -> tuple[int | None, ...]:
    """The graph's own shape of an input or output whose first dimension is the batch."""
    return shape[1:] if batch == SINGLE else (batch, *shape[1:])
