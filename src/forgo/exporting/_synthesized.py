"""Rows that no example has, made from examples of a table, so that the proof covers them too.

In each row one cell is missing that may be, a text is unknown, or a number lies just beyond all examples'; or two rows
lie on both sides of a threshold. The framework answers them; rows that it refuses are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError
from forgo.exporting._model import Arrays
from forgo.exporting._tables import TEXT, Column

Ask = Callable[[Arrays], Arrays]
_WIDEST = 256
"""The most columns of a table that rows are made of."""
_MISSING, _UNKNOWN, _BEYOND, _PAIRS = 3, 2, 2, 2
"""The most rows with a missing and an unknown cell, columns to go beyond, and thresholds to find."""
_TRIED = 16
_HALVINGS = 10
"""How often two rows are brought together if numbers are computed with before they are compared: they keep a margin of
a thousandth of their distance, because rounding may decide nearer to a threshold."""
_MOST_HALVINGS = 80
_UNSEEN = b"(unseen)"
_MOVES = {"Identity", "Reshape", "Concat", "Cast", "LabelEncoder", "ArrayFeatureExtractor", "Gather"}
_TREES = {"TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"}


@dataclass(frozen=True)
class Rows:
    """Rows in the graph's form, how each was made, and the framework's answers."""

    inputs: Arrays
    origins: list[str]
    answers: Arrays

    def __len__(self) -> int:
        return len(self.origins)

    def part(self, of: list[int]) -> Rows | None:
        """Some of the rows; None of none."""
        if not of:
            return None
        return Rows(
            {n: a[of] for n, a in self.inputs.items()},
            [self.origins[i] for i in of],
            {n: a[of] for n, a in self.answers.items()},
        )


def compares_first(model: onnx.ModelProto) -> bool:
    """Whether a graph does nothing with its numbers but compare them in trees, so that no rounding moves a threshold."""
    held = {i.name for i in model.graph.initializer}
    reached = {v.name for v in model.graph.input if v.name not in held}
    for node in model.graph.node:  # in the order of their use
        if not reached & set(node.input) or node.op_type in _TREES:
            continue
        if node.op_type not in _MOVES:
            return False
        reached |= set(node.output)
    return True


def rows(
    inputs: Arrays, expected: Arrays, columns: Sequence[Column], ask: Ask, *, adjacent: bool
) -> Rows | None:
    """Make rows from the examples; None if there are none to make.

    Args:
        inputs: the examples as the graph takes them.
        expected: the framework's answers to them.
        columns: the table's columns; none for one matrix of numbers.
        ask: the framework's answers to rows in the graph's form.
        adjacent: whether two rows on the sides of a threshold may be as near as their type allows.
    """
    cells = _Cells(inputs, columns)
    if not 0 < cells.width <= _WIDEST:
        return None
    made: list[tuple[Arrays, str]] = [*_missing(cells), *_unknown(cells), *_beyond(cells)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made += _thresholds(cells, expected, ask, adjacent=adjacent)
        seen = {cells.key(cells.row(i)) for i in range(cells.count)}
        kept: list[tuple[Arrays, str, Arrays]] = []
        for row, origin in made:
            if (key := cells.key(row)) in seen:
                continue
            seen.add(key)
            answers = _answered(ask, row)
            if answers is not None:
                kept.append((row, origin, answers))
    if not kept:
        return None
    return Rows(
        {n: np.concatenate([row[n] for row, _, _ in kept]) for n in inputs},
        [origin for _, origin, _ in kept],
        {n: np.concatenate([a[n] for _, _, a in kept]) for n in kept[0][2]},
    )


def strange(inputs: Arrays, columns: Sequence[Column]) -> list[tuple[Arrays, str, bool]]:
    """A row for each column, with a value there that no example has: the row, the column's name, and whether it is a string."""
    cells = _Cells(inputs, columns)
    if not 0 < cells.width <= _WIDEST:
        return []
    base = cells.typical()
    made: list[tuple[Arrays, str, bool]] = []
    for at, column in enumerate(cells.columns):
        given = cells.all(at)
        if given.dtype.kind == "O" and (column is None or (column.type == TEXT and column.codes is None)):
            made.append((cells.put(cells.row(base), at, _UNSEEN), cells.name(at), True))
        elif given.dtype.kind in "fi" and np.isfinite(given).any():
            made.append((cells.put(cells.row(base), at, np.nanmax(given) + 1), cells.name(at), False))
    return made


class _Cells:
    """The examples, cell by cell."""

    def __init__(self, inputs: Arrays, columns: Sequence[Column]) -> None:
        self.inputs = inputs
        self.count = len(next(iter(inputs.values())))
        self.columns: list[Column | None] = []
        self.positions: list[tuple[str, tuple[int, ...]]] = []
        for column in columns:
            self.columns.append(column)
            self.positions.append((column.input, ()))
        if not columns:
            (name, array), *more = inputs.items()
            if not more and array.ndim == 2 and array.dtype.kind in "fO":
                self.positions = [(name, (i,)) for i in range(array.shape[1])]
                self.columns = [None] * len(self.positions)
        self.width = len(self.positions)

    def all(self, at: int) -> npt.NDArray[Any]:
        name, index = self.positions[at]
        array: npt.NDArray[Any] = self.inputs[name]
        return array[:, index[0]] if index else array

    def name(self, at: int) -> str:
        column = self.columns[at]
        return repr(column.name) if column is not None else f"column {at}"

    def row(self, i: int) -> Arrays:
        return {n: a[i : i + 1].copy() for n, a in self.inputs.items()}

    def put(self, row: Arrays, at: int, value: Any) -> Arrays:
        name, index = self.positions[at]
        made = {n: a.copy() for n, a in row.items()}
        made[name][(0, *index)] = value
        return made

    def key(self, row: Arrays) -> str:
        return repr([a.tolist() for a in row.values()])

    def numeric(self) -> list[int]:
        """The columns of numbers that differ."""
        found = []
        for at in range(self.width):
            cells = self.all(at)
            if cells.dtype.kind in "fi":
                finite = cells[np.isfinite(cells)]
                if len(finite) and finite.min() < finite.max():
                    found.append(at)
        return found

    def whole(self, at: int) -> bool:
        """Whether a column's numbers are integers."""
        cells = self.all(at)
        finite = cells[np.isfinite(cells)]
        return bool((finite == np.floor(finite)).all())

    def typical(self) -> int:
        """The first row with the fewest missing cells."""
        return int(
            sum(
                (np.isnan(self.all(at)) for at in range(self.width) if self.all(at).dtype.kind == "f"),
                np.zeros(self.count, np.int64),
            ).argmin()
        )


def _missing(cells: _Cells) -> list[tuple[Arrays, str]]:
    base, found = cells.typical(), []
    for at in range(cells.width):
        values = cells.all(at)
        if values.dtype.kind == "f" and np.isnan(values).any() and not np.isnan(values[base]):
            found.append((cells.put(cells.row(base), at, np.nan), f"row {base}, {cells.name(at)} missing"))
    return found[:_MISSING]


def _unknown(cells: _Cells) -> list[tuple[Arrays, str]]:
    base, found = cells.typical(), []
    for at, column in enumerate(cells.columns):
        if column is not None and column.type == TEXT and column.codes is None:
            found.append((cells.put(cells.row(base), at, _UNSEEN), f"row {base}, {cells.name(at)} unknown"))
    return found[:_UNKNOWN]


def _beyond(cells: _Cells) -> list[tuple[Arrays, str]]:
    numeric = cells.numeric()
    chosen = sorted({numeric[0], numeric[-1]}) if numeric else []
    found = []
    for at in chosen[:_BEYOND]:
        values = cells.all(at)
        low, high = np.nanmin(values), np.nanmax(values)
        step = 1 if cells.whole(at) else (high - low) / 100
        for row, value, side in (
            (int(np.nanargmax(values)), high + step, "above its largest"),
            (int(np.nanargmin(values)), low - step, "below its smallest"),
        ):
            found.append(
                (cells.put(cells.row(row), at, value), f"row {row}, {cells.name(at)} just {side}, {value:g}")
            )
    return found


def _decisions(answers: Arrays, between: float | None) -> npt.NDArray[Any] | None:
    """What a model decides for each row: its class, or whether its only number lies above another."""
    first = next(iter(answers.values()))
    flat = first.reshape(len(first), -1)
    if flat.dtype.kind != "f":
        return np.array([repr(v) for v in flat.tolist()])
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1))
    return None if between is None else np.asarray(flat[:, 0].astype(np.float64) > between)


def _thresholds(cells: _Cells, expected: Arrays, ask: Ask, *, adjacent: bool) -> list[tuple[Arrays, str]]:
    """Rows close to both sides of a change of the model's decision, on the way from one example to another."""
    numeric = cells.numeric()
    if not adjacent:
        numeric = [at for at in numeric if not cells.whole(at)]
    if not numeric:
        return []
    between = None
    first = next(iter(expected.values()))
    if adjacent and first.dtype.kind == "f" and first.size == len(first):
        between = float(np.nanmean(first.astype(np.float64)))
    decided = _decisions(expected, between)
    if decided is None:
        return []
    found: list[tuple[Arrays, str]] = []
    for a in np.linspace(0, cells.count - 1, min(_TRIED, cells.count)).round().astype(int).tolist():
        others = np.flatnonzero(decided != decided[a])
        if not len(others):
            continue
        b = int(others[np.abs(others - a).argmin()])
        near, far = cells.row(a), cells.row(a)
        for at in numeric:
            value = cells.all(at)[b]
            if not (np.isnan(value) or np.isnan(cells.all(at)[a])):
                far = cells.put(far, at, value)
        pair = _bisected(
            cells, near, far, numeric, lambda row: _decided(ask, row, between), adjacent=adjacent
        )
        if pair is not None:
            origin = f"between rows {a} and {b}, where the decision changes"
            found += [(row, origin) for row in pair]
        if len(found) >= 2 * _PAIRS:
            break
    return found


def _decided(ask: Ask, row: Arrays, between: float | None) -> Any:
    answers = _answered(ask, row)
    decisions = None if answers is None else _decisions(answers, between)
    return None if decisions is None else decisions[0]


def _bisected(
    cells: _Cells,
    a: Arrays,
    b: Arrays,
    numeric: list[int],
    decide: Callable[[Arrays], Any],
    *,
    adjacent: bool,
) -> tuple[Arrays, Arrays] | None:
    first, second = decide(a), decide(b)
    if first is None or second is None or first == second:
        return None
    for _ in range(_MOST_HALVINGS if adjacent else _HALVINGS):
        middle = _moved(cells, a, b, numeric, 0.5)
        if cells.key(middle) in (cells.key(a), cells.key(b)):
            break
        decision = decide(middle)
        if decision is None:
            return None
        if decision == first:
            a = middle
        else:
            b, second = middle, decision
    if adjacent:
        return a, b
    before, after = _moved(cells, a, b, numeric, -1), _moved(cells, a, b, numeric, 2)
    return (before, after) if decide(before) == first and decide(after) == second else None


def _moved(cells: _Cells, a: Arrays, b: Arrays, numeric: list[int], part: float) -> Arrays:
    """A row on the line through two others."""
    made = {n: array.copy() for n, array in a.items()}
    for at in numeric:
        name, index = cells.positions[at]
        x, y = a[name][(0, *index)], b[name][(0, *index)]
        value = float(x) + (float(y) - float(x)) * part
        made[name][(0, *index)] = np.floor(value) if cells.whole(at) else value
    return made


def _answered(ask: Ask, row: Arrays) -> Arrays | None:
    """The framework's answer to one row; None if it refuses the row, or answers with what is not finite."""
    try:
        answers = ask(row)
    except (ExportError, ValueError, TypeError, OverflowError):
        return None
    finite = all(np.isfinite(a).all() for a in answers.values() if a.dtype.kind == "f")
    return answers if finite else None
