"""Examples of a model of tables: rows of a frame, an array or a file, as the framework and as the graph take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting import _tables
from forgo.exporting._arrays import typed
from forgo.exporting._model import STRING, UNNAMED, Arrays, TensorInfo, Trained

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_INPUT = "input"
_SHOWN = 60
"""The longest part of a cell that a message shows."""


@dataclass(frozen=True)
class TableExamples:
    """The rows, as the user gave them."""

    frame: Any = None
    array: npt.NDArray[Any] | None = None
    columns: tuple[_tables.Column, ...] = ()
    """Those of the frame, or of an array whose columns have names."""

    @property
    def whole(self) -> Any:
        """All rows, in the framework's form."""
        return self.frame if self.frame is not None else self.array

    def __len__(self) -> int:
        return len(self.whole)

    def check(self, count: int, names: list[str] | None, what: str, spaces: str = " ") -> None:
        """Refuse rows with other columns than a model was fitted on.

        Args:
            count: the number of its columns.
            names: their names, if the model knows them.
            what: the model, for messages.
            spaces: what replaces spaces in its names.
        """
        if self.frame is None:
            assert self.array is not None
            have = self.array.shape[1] if self.array.ndim == 2 else 1
            if have != count:
                raise ExportError(f"examples: {what} was fitted on {count} columns, the examples have {have}")
            return
        have = [str(n) for n in self.frame.columns]
        if names is not None and [n.replace(" ", spaces) for n in have] != list(names):
            other = next((n for n in names if n not in {m.replace(" ", spaces) for m in have}), None)
            why = f"{other!r} is missing" if other else "the order differs, or there are more"
            raise ExportError(f"examples: {what} was fitted on different columns: {why}")
        if len(have) != count:
            raise ExportError(
                f"examples: {what} was fitted on {count} columns, the examples have {len(have)}"
            )

    def coded(self, codes: Mapping[str, Sequence[Any]]) -> TableExamples:
        """The same rows of columns whose values the model itself numbers, by the columns' names."""
        columns = (replace(c, codes=tuple(codes[c.name])) if c.name in codes else c for c in self.columns)
        return replace(self, columns=tuple(columns))

    def categories(self) -> dict[str, list[Any]]:
        """The categories of each column that pandas holds as such, by the columns' names."""
        if self.frame is None:
            return {}
        kinds = zip(self.columns, self.frame.dtypes, strict=True)
        return {c.name: dtype.categories.tolist() for c, dtype in kinds if hasattr(dtype, "categories")}

    def infos(self, precision: str) -> list[TensorInfo]:
        """The inputs of the model."""
        if self.columns:
            return [c.info(precision) for c in self.columns]
        assert self.array is not None
        dtype = STRING if self.array.dtype.kind in "OSU" else precision
        return [TensorInfo(_INPUT, dtype, (None, *self.array.shape[1:]))]

    def rows(self) -> Arrays:
        """The rows by input."""
        if self.frame is not None:
            return _tables.rows(self.frame, list(self.columns))
        assert self.array is not None
        if self.columns:
            return {c.input: self.array[:, i] for i, c in enumerate(self.columns)}
        return {_INPUT: self.array}

    def fits_float32(self) -> bool:
        """Whether float32 holds every number of the rows."""
        numbers = [a.astype(np.float64) for a in self.rows().values() if a.dtype.kind in "fiu"]
        with np.errstate(over="ignore"):
            return all(np.array_equal(a, a.astype(np.float32), equal_nan=True) for a in numbers)

    def inputs(self, precision: str) -> Arrays:
        """The rows as the graph takes them.

        Raises:
            ExportError: a number does not fit.
        """
        rows: Arrays = self.rows()
        made: Arrays = {}
        for e in self.infos(precision):
            try:
                made[e.name] = typed(rows[e.name], e.dtype)
            except ValueError:
                with np.errstate(over="ignore"):
                    fits = np.isfinite(rows[e.name].astype(e.dtype)) | ~np.isfinite(rows[e.name])
                row, *column = np.argwhere(~fits)[0].tolist()
                raise ExportError(
                    f"examples: {f'column {column[0]}' if column else f'column {e.name!r}'}, row {row}: "
                    f"{rows[e.name][(row, *column)]} does not fit {e.dtype}"
                ) from None
        return made

    def to_framework(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Any:
        """The framework's form of rows in the graph's form."""
        if self.frame is not None:
            return _tables.frame_of(inputs, list(self.columns), self.frame)
        assert self.array is not None
        if self.columns:
            return np.stack([inputs[c.input].astype(np.float64) for c in self.columns], axis=1)
        cells = inputs[_INPUT]
        if cells.dtype.kind == "O":
            return np.array([c.decode() for c in cells.ravel()], dtype=object).reshape(cells.shape)
        return cells.astype(self.array.dtype if self.array.dtype.kind == "f" else np.float64)


def read(examples: Any, what: str) -> TableExamples:
    """Take a frame or an array.

    Raises:
        ExportError: there are none, or they are not rows.
    """
    if isinstance(examples, dict) and list(examples) == [UNNAMED]:
        examples = examples[UNNAMED]
    if examples is None:
        raise ExportError(
            f"{what} needs examples, whose columns become its inputs: give rows with {argument('examples')}"
        )
    if _tables.is_frame(examples):
        frame = _tables.as_pandas(examples)
        if not len(frame):
            raise ExportError("examples: there are no rows")
        return TableExamples(frame, columns=tuple(_tables.columns(frame)))
    if isinstance(examples, dict):
        raise ExportError(f"examples of {what} must be a DataFrame or an array [rows, columns]")
    array = np.asarray(examples)
    if array.dtype.kind == "O" and not array.ndim:
        sparse = hasattr(examples, "toarray")
        raise ExportError(
            f"examples of {what} must be a DataFrame or an array [rows, columns], not a {type(examples).__name__}: give "
            + ("its .toarray()" if sparse else "the rows that it was made from")
        )
    if array.ndim and not len(array):
        raise ExportError("examples: there are no rows")
    if array.dtype.kind not in "biufOSU" or array.ndim not in (1, 2):
        raise ExportError(
            f"examples of {what} must be a DataFrame or an array [rows, columns], not {array.dtype}{list(array.shape)}"
        )
    if array.dtype.kind == "O" and not all(isinstance(v, str) for v in array.ravel()):
        raise ExportError(
            "examples: an array must hold only numbers or only strings; give mixed columns as a DataFrame"
        )
    return TableExamples(array=array)


def from_file(
    path: Path,
    request: Request,
    names: list[str] | None,
    estimate: Callable[[TableExamples], Trained],
    spaces: str = " ",
) -> tuple[Trained, Request]:
    """A model from a file, with rows from a file or a matrix: numbers [rows, columns].

    Columns with names become inputs of these names, in the model's order, whatever the order in the file.

    Args:
        path: the model's file.
        request: has the rows.
        names: the names of the columns that the model was fitted on, if it knows them.
        estimate: makes the model from the rows.
        spaces: what replaces spaces in the model's names.

    Raises:
        ExportError: there are no rows, or they have other columns.
    """
    rows = request.rows or {}
    if not rows:
        raise ExportError(
            f"{path}: it needs examples, whose columns become its inputs: give rows with {argument('examples')}"
        )
    if list(rows) != [UNNAMED] and names is not None:
        have = {n.replace(" ", spaces): n for n in rows}
        if wrong := [f"{n!r} is missing" for n in names if n not in have] or [
            f"{n!r} is new" for n in have if n not in names
        ]:
            raise ExportError(f"examples: the model was fitted on different columns: {wrong[0]}")
        rows = {have[n]: rows[have[n]] for n in names}
    try:
        cells = [
            _numbers(column, repr(name) if name != UNNAMED else str(i))
            for name, a in rows.items()
            for i, column in enumerate(np.asarray(a).reshape(len(a), -1).T)
        ]
        matrix = np.stack(cells, axis=1)
    except ValueError as e:
        raise ExportError(f"examples: the rows are not numbers [rows, columns]: {e}") from None
    named: tuple[_tables.Column, ...] = ()
    if list(rows) != [UNNAMED] and len(rows) == matrix.shape[1]:
        named = tuple(_tables.number(n, matrix[:, i]) for i, n in enumerate(rows))
    made: Any = estimate(TableExamples(array=matrix, columns=named))
    return made, replace(
        request, rows=made.rows, table=False, missing=True, notes=[*request.notes, *made.notes]
    )


def _numbers(cells: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    """A column's numbers.

    Raises:
        ExportError: a cell is none.
    """
    if cells.dtype.kind in "OSU":
        cells = np.where(np.isin(cells.astype(str), ("", "null", "None")), "nan", cells.astype(str))
    try:
        return cells.astype(np.float64)
    except ValueError:
        bad = next(i for i, c in enumerate(cells) if not _is_number(c))
        raise ExportError(
            f"examples: column {name}, row {bad}: {str(cells[bad])[:_SHOWN]!r} is not a number, which a model from a file takes: give the "
            "number that its category had in training, or export the estimator from memory, with a DataFrame"
        ) from None


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
