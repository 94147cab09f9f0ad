"""The strings that an encoder in a scikit-learn model knows, if it refuses all others.

The converted graph does not refuse them: such a column becomes a category, whose other values a server refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from forgo.exporting import _tables
from forgo.exporting._table_examples import TableExamples


@dataclass(frozen=True)
class _Cells:
    """A column of the table on its way through the model's steps, its values as they came."""

    name: str
    filled: Mapping[str, Any] = field(default_factory=dict)
    """The strings that stood for a missing cell, and what replaced each."""


_Columns = Sequence[_Cells | None]
"""The columns that a step takes or gives; None for one that is no longer a column of the table."""
_Known = dict[str, list[str]]


def closed(model: Any, table: TableExamples) -> TableExamples:
    """Turn strings into categories if their encoder refuses unknown ones, and keep those categories that it knows."""
    if table.frame is None:
        return table
    known: _Known = {}
    _walk(model, [_Cells(c.name) for c in table.columns], known)

    def narrowed(column: _tables.Column) -> _tables.Column:
        values = known.get(column.name, [])
        if column.type == _tables.CATEGORY:
            values = [v for v in column.values or () if v in set(values)]
        elif column.type != _tables.TEXT:
            return column
        return _tables.category(column, values) if values else column

    return replace(table, columns=tuple(map(narrowed, table.columns)))


def _walk(step: Any, columns: _Columns, known: _Known) -> _Columns | None:
    """Follow columns through a fitted step, and note what encoders know.

    Returns:
        the columns that it gives, or None if these are unlike those that it takes.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer

    if step is None or isinstance(step, str):  # passthrough
        return columns
    width = getattr(step, "n_features_in_", len(columns))
    if len(columns) != width:
        columns = [None] * width
    if hasattr(step, "transformers_"):
        return _chosen(step, columns, known)
    if hasattr(step, "steps"):
        given: _Columns | None = columns
        for _, inner in step.steps:
            given = None if given is None else _walk(inner, given, known)
        return given
    if hasattr(step, "transformer_list"):
        parts = [_walk(inner, columns, known) for _, inner in step.transformer_list if inner != "drop"]
        return None if any(p is None for p in parts) else [c for part in parts for c in part or ()]
    if isinstance(step, FunctionTransformer):
        return columns if step.func is None else None
    if isinstance(step, SimpleImputer):
        return _filled(step, columns)
    for inner in _inside(step):
        _walk(inner, columns, known)
    if getattr(step, "handle_unknown", None) == "error":
        for cells, values in zip(columns, getattr(step, "categories_", ()), strict=False):
            if cells is not None:
                _note(cells, [str(v) for v in values if isinstance(v, str)], known)
    return None


def _inside(step: Any) -> list[Any]:
    """The fitted models inside of one that gives them its own columns."""
    found = [step.best_estimator_] if hasattr(step, "best_estimator_") else []
    found += dict(getattr(step, "named_estimators_", {})).values()
    return found + [c.estimator for c in getattr(step, "calibrated_classifiers_", ())]


def _chosen(step: Any, columns: _Columns, known: _Known) -> _Columns:
    """Follow columns through a ColumnTransformer."""
    names = list(getattr(step, "feature_names_in_", ()))
    given: list[_Cells | None] = [None] * max((at.stop for at in step.output_indices_.values()), default=0)
    for name, inner, chosen in step.transformers_:
        if isinstance(inner, str) and inner == "drop":
            continue
        made = _walk(inner, [columns[i] for i in _indices(chosen, names, len(columns))], known)
        at = step.output_indices_[name]
        if made is not None and len(made) == at.stop - at.start:
            given[at] = made
    return given


def _indices(chosen: Any, names: list[str], width: int) -> list[int]:
    """Where a ColumnTransformer's columns are, which are chosen by name, index, slice or mask."""

    def index(name: Any) -> int:
        return names.index(name) if isinstance(name, str) else range(width)[name]

    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):  # the last is one of them
            first = 0 if chosen.start is None else index(chosen.start)
            return list(range(first, width if chosen.stop is None else index(chosen.stop) + 1))
        return list(range(width)[chosen])
    selected = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if selected and all(isinstance(c, bool | np.bool_) for c in selected):
        return [i for i, yes in enumerate(selected) if yes]
    return [index(c) for c in selected]


def _filled(step: Any, columns: _Columns) -> _Columns:
    """Follow columns through a SimpleImputer."""
    made: list[_Cells | None] = []
    for cells, value in zip(columns, step.statistics_, strict=True):
        if value != value and not step.keep_empty_features:  # all of it was missing
            continue
        if cells is not None and isinstance(step.missing_values, str):
            filled = {k: value if v == step.missing_values else v for k, v in cells.filled.items()}
            cells = replace(cells, filled={step.missing_values: value, **filled})
        made.append(cells)
    return made + [None] * (len(step.indicator_.features_) if step.add_indicator else 0)


def _note(cells: _Cells, values: list[str], known: _Known) -> None:
    """Note the strings that a client may send for an encoder to get one of its values."""
    taken = [v for v in values if v not in cells.filled]
    taken += [sent for sent, value in cells.filled.items() if value in values]
    before = known.get(cells.name, taken)
    known[cells.name] = [v for v in before if v in set(taken)]
