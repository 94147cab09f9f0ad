"""Tables: the columns of a DataFrame, their types, and how they become a model's inputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError
from forgo.exporting._model import STRING, Arrays, TensorInfo

NUMBER, INTEGER, BOOL, TEXT, CATEGORY = "number", "integer", "bool", "text", "category"
NUMERIC = (NUMBER, INTEGER, BOOL)
PRECISIONS = ("float32", "float64")
_MOST_CATEGORIES = 10_000
_LONGEST_NAME = 1024
_MOST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Column:
    """One column: its name in the frame, its input, and what its cells may hold."""

    name: str
    input: str
    type: str
    missing: bool = False
    """Whether a cell may be missing; only numbers may."""
    values: tuple[str, ...] | None = None
    """For a category, all possible values."""
    codes: tuple[Any, ...] | None = None
    """The values that the model itself numbers from zero, in order; it takes the numbers."""

    def info(self, precision: str) -> TensorInfo:
        """The model's input: a value for each row."""
        dtype = {NUMBER: precision, INTEGER: "int64", BOOL: "bool"}.get(self.type, STRING)
        return TensorInfo(self.input, dtype, (None,))

    def entry(self) -> dict[str, Any]:
        """The column as the manifest has it."""
        return {
            "name": self.name, "input": self.input, "type": self.type, "missing": self.missing,
            **({"values": list(self.values)} if self.values is not None else {}),
        }  # fmt: skip


def is_frame(data: Any) -> bool:
    """Whether something is a DataFrame of pandas or Polars. Imports neither."""
    for library in ("pandas", "polars"):
        module = sys.modules.get(library)
        if module is not None and isinstance(data, module.DataFrame):
            return True
    return False


def as_pandas(frame: Any) -> Any:
    """A frame as a pandas frame, with row numbers as its index."""
    if hasattr(frame, "iloc"):
        return frame.reset_index(drop=True)
    try:
        import pandas as pd
    except ImportError:
        raise ExportError("examples: forgo reads a Polars frame through pandas: pip install pandas") from None

    def cells(column: Any) -> Any:  # to_pandas would need PyArrow
        kind = type(column.dtype).__name__
        if kind in ("Enum", "Categorical"):
            return pd.Categorical(
                column.to_list(), column.dtype.categories.to_list() if kind == "Enum" else None
            )
        if kind == "Boolean":
            return pd.array(column.to_list(), dtype="boolean" if column.null_count() else "bool")
        return column.to_numpy() if column.dtype.is_numeric() else pd.Series(column.to_list())

    return pd.DataFrame({name: cells(frame[name]) for name in frame.columns})


def columns(frame: Any) -> list[Column]:
    """The columns of a pandas frame.

    Raises:
        ExportError: a column has a type, or missing cells, that a bundle cannot express.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ExportError(f"examples: two columns are called {twice!r}")
    found: list[Column] = []
    for name, of in zip(names, (frame.iloc[:, i] for i in range(len(names))), strict=True):
        missing, values = bool(of.isna().any()), None
        kind = _type(name, of, missing)
        if missing and kind in (TEXT, CATEGORY):
            raise ExportError(
                f"examples: column {name!r}, {kind}, has missing cells (row {int(np.flatnonzero(of.isna())[0])}), which only "
                "columns of numbers may have: fill them, in training too"
            )
        if kind == CATEGORY:
            values = tuple(str(v) for v in of.cat.categories)
        column = Column(name, _named(name), kind, kind == NUMBER and missing)
        found.append(column if values is None else category(column, values))
    return found


def category(column: Column, values: Sequence[str]) -> Column:
    """A column of strings whose cells may hold only some.

    Raises:
        ExportError: they are more than a manifest may have.
    """
    if len(values) > _MOST_CATEGORIES:
        raise ExportError(
            f"examples: column {column.name!r} has {len(values)} categories, more than {_MOST_CATEGORIES}"
        )
    return replace(column, type=CATEGORY, values=tuple(values))


def number(name: str, cells: npt.NDArray[np.float64]) -> Column:
    """A column of numbers.

    Raises:
        ExportError: it has a name that clients cannot send.
    """
    return Column(name, _named(name), NUMBER, bool(np.isnan(cells).any()))


def _named(name: str) -> str:
    """A column's name as that of an input, which clients send in JSON and protobuf."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ExportError(
            f"examples: the column name {name!r:.100} is not Unicode: rename the column"
        ) from None
    if not 0 < size <= _LONGEST_NAME:
        raise ExportError(
            f"examples: the column name {name!r:.100} has {size} bytes: rename the column, in training too; 1 to {_LONGEST_NAME} work"
        )
    return name


def _type(name: str, of: Any, missing: bool) -> str:
    kind = getattr(of.dtype, "kind", "O")
    if hasattr(of, "cat"):
        if all(isinstance(v, int) and not isinstance(v, bool) for v in of.cat.categories.tolist()):
            return NUMBER if missing else INTEGER
        if not all(isinstance(v, str) for v in of.cat.categories):
            raise ExportError(
                f"examples: column {name!r} has categories that are neither strings nor integers: make them strings, in training too"
            )
        return CATEGORY
    if kind == "b":
        return NUMBER if missing else BOOL
    if kind in "iu":
        return NUMBER if missing or of.max() > _MOST_INTEGER else INTEGER
    if kind == "f":
        return NUMBER
    odd = np.flatnonzero(np.array([not isinstance(v, str) for v in of]) & of.notna().to_numpy())
    if not len(odd):
        return TEXT
    raise ExportError(
        f"examples: column {name!r} is {of.dtype}, {repr(of.iloc[odd[0]]).splitlines()[0][:60]} in row {odd[0]}; columns hold numbers, booleans, strings or "
        "categories: convert it, in training too"
    )


def rows(frame: Any, of: list[Column]) -> Arrays:
    """A frame's rows, an array for each input."""
    made: Arrays = {}
    for i, column in enumerate(of):
        cells = frame.iloc[:, i]
        if column.type == NUMBER:
            made[column.input] = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        elif column.type == INTEGER:
            made[column.input] = cells.to_numpy(dtype=np.int64)
        elif column.type == BOOL:
            made[column.input] = cells.to_numpy(dtype=bool)
        else:
            made[column.input] = np.array([str(v) for v in cells], dtype=object)
    return made


def frame_of(inputs: Mapping[str, npt.NDArray[Any]], of: list[Column], like: Any) -> Any:
    """A frame with another's types, and the rows of inputs. A column of numbers that its type does not hold keeps theirs."""
    import pandas as pd

    made = {}
    for i, column in enumerate(of):
        cells, dtype = inputs[column.input], like.dtypes.iloc[i]
        if column.type in (TEXT, CATEGORY):
            cells = np.array([c.decode() if isinstance(c, bytes) else c for c in cells], dtype=object)
        if hasattr(dtype, "categories"):  # a cell that is none of them is missing
            series = pd.Series(pd.Categorical.from_codes(dtype.categories.get_indexer(cells), dtype=dtype))
        else:
            series = pd.Series(cells)
            if column.type not in NUMERIC or _holds(dtype, cells):
                series = series.astype(dtype)
        made[like.columns[i]] = series
    return pd.DataFrame(made)


def _holds(dtype: Any, cells: npt.NDArray[Any]) -> bool:
    """Whether a column's type holds numbers as they are. Clients may send 256 where all examples are uint8."""
    known = cells if cells.dtype.kind != "f" else cells[~np.isnan(cells)]
    to = getattr(dtype, "subtype", getattr(dtype, "numpy_dtype", dtype))  # pandas's own types hold NumPy's
    with np.errstate(all="ignore"):
        return bool((known.astype(to).astype(known.dtype) == known).all())
