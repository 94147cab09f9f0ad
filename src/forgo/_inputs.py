"""Rows as users give them (arrays, columns by name, data frames, dicts, pictures), turned into a model's inputs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from forgo._errors import ForgoError
from forgo._wire import Array, Input, convert

_MOST_BYTES = 4 << 20
"""The largest request with more than one row, in bytes."""
_MOST_PICTURES = 64
"""The most pictures in a request; a server takes 256."""

IMAGE = "image"
"""A picture's name among a model's inputs."""


def is_picture(i: Input) -> bool:
    """Whether an input takes an encoded picture."""
    return i.name == IMAGE and i.datatype == "BYTES" and i.shape == (-1, 1)


@dataclass(frozen=True)
class Rows:
    """A model's rows: an array for each input, and pictures as given until they are sent."""

    inputs: dict[str, Input]
    arrays: dict[str, Array]
    pictures: list[Any] | None
    size: int

    def parts(self) -> Iterator[dict[str, Array]]:
        """The rows in order, in one part for each request; pictures as the bytes of their files."""
        if self.size == 0:
            yield dict(self.arrays.items()) | ({} if self.pictures is None else {IMAGE: _column([])})
        each = [a.nbytes // max(len(a), 1) for a in self.arrays.values() if a.dtype != object]
        strings = [a for a in self.arrays.values() if a.dtype == object]
        start = 0
        while start < self.size:
            files: list[bytes] = []
            end = size = 0
            for end in count(start):
                if end == self.size or (end - start == _MOST_PICTURES and self.pictures is not None):
                    break
                file = b"" if self.pictures is None else _file(self.pictures[end])
                size += sum(each) + len(file) + sum(_length(t[end]) for t in strings)
                if size > _MOST_BYTES and end > start:
                    break
                files.append(file)
            part = {n: a[start:end] for n, a in self.arrays.items()}
            if self.pictures is not None:
                part[IMAGE] = _column(files)
            yield part
            start = end


def read(data: Any, inputs: Sequence[Input], names: Mapping[str, str] | None = None) -> Rows:
    """Turn a user's rows into a model's inputs.

    ``names`` maps a table's columns, by their names in data frames, to inputs.

    Raises:
        ForgoError: the rows do not fit the model; the message names the input and what it needs.
    """
    by_name = {i.name: i for i in inputs}
    columns = _columns(data, list(by_name.values()), names or {})
    pictures: list[Any] | None = None
    arrays: dict[str, Array] = {}
    if missing := [n for n in by_name if n not in columns]:
        raise ForgoError(f"the input {missing[0]!r} is missing; the model takes {', '.join(by_name)}")
    if unknown := [str(c) for c in columns if c not in by_name]:
        raise ForgoError(f"no input {unknown[0]!r}; the model takes {', '.join(by_name)}")
    for name, i in by_name.items():
        if is_picture(i):
            pictures = [columns[name]] if _is_one_picture(columns[name]) else list(columns[name])
            for p in pictures:
                if not _is_one_picture(p):
                    raise ForgoError(
                        f"a picture must be a path, bytes or a Pillow image, not {type(p).__name__}"
                    )
        else:
            arrays[name] = _shaped(convert(columns[name], i), i)
    sizes = {n: len(a) for n, a in arrays.items()} | ({} if pictures is None else {IMAGE: len(pictures)})
    if len(set(sizes.values())) > 1:
        raise ForgoError(
            f"inputs have different numbers of rows: {', '.join(f'{n} {s}' for n, s in sizes.items())}"
        )
    return Rows(by_name, arrays, pictures, next(iter(sizes.values())))


def _columns(data: Any, inputs: list[Input], known: Mapping[str, str]) -> Mapping[Any, Any]:
    if isinstance(data, Mapping):
        return {known.get(n, n): values for n, values in data.items()}
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):  # of pandas or Polars
        return _frame(data, inputs, known)
    if isinstance(data, list | tuple) and data and all(isinstance(r, Mapping) for r in data):
        names = list(data[0])
        for number, row in enumerate(data):
            if set(row) != set(names):
                raise ForgoError(
                    f"row {number} has {', '.join(map(str, row)) or 'nothing'}; the first has {', '.join(map(str, names))}"
                )
        return {known.get(n, n): [row[n] for row in data] for n in names}
    if len(inputs) > 1 and all(i.shape == (-1,) for i in inputs):
        return _of_rows(data, inputs)
    if len(inputs) > 1:
        raise ForgoError(
            f"the model has several inputs: give a dict with {', '.join(i.name for i in inputs)}, or a list of such dicts"
        )
    return {inputs[0].name: data}


def _of_rows(data: Any, inputs: list[Input]) -> dict[str, Any]:
    """The columns of rows without names, each with one value for each input, in the model's order."""
    rows = list(data) if isinstance(data, np.ndarray | list | tuple) else [data]
    for number, row in enumerate(rows):
        if not isinstance(row, np.ndarray | list | tuple) or np.ndim(row) == 0 or len(row) != len(inputs):
            raise ForgoError(
                f"row {number} is not a list of {len(inputs)} values: give a dict with {', '.join(i.name for i in inputs)}, "
                "a list of such dicts, or lists of values in this order"
            )
    return {i.name: [row[n] for row in rows] for n, i in enumerate(inputs)}


def _frame(frame: Any, inputs: list[Input], known: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a data frame, by the rule of tables: NAME, or NAME[0], NAME[1] and so on, in any order.

    A model with one input takes columns of other names too, in their order.
    """
    names = [known.get(str(c), str(c)) for c in frame.columns]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ForgoError(f"two columns of the frame are called {twice!r}")
    kinds = {i.name: i.datatype for i in inputs}
    columns = {
        n: _cells(frame[c], kinds.get(n, inputs[0].datatype))
        for n, c in zip(names, frame.columns, strict=True)
    }
    taken: dict[str, Any] = {}
    for i in inputs:
        elements = [n for n in (f"{i.name}[{k}]" for k in range(len(names))) if n in columns]
        if i.name in columns:
            taken[i.name] = columns.pop(i.name)
        elif elements:
            taken[i.name] = np.stack([columns.pop(n) for n in elements], axis=1)
    if taken:
        return taken | columns  # the rest is refused by name
    if len(inputs) == 1:
        return {inputs[0].name: np.stack(list(columns.values()), axis=1) if columns else np.empty((0, 0))}
    return columns


def _cells(column: Any, datatype: str) -> Any:
    """A frame's column. Booleans are 0 and 1 to a number, which such a column is if cells were missing at export."""
    kind = getattr(column.dtype, "kind", str(column.dtype))  # of pandas; Polars has names
    if kind not in ("b", "Boolean") or not datatype.startswith("FP"):
        return column.to_numpy()
    missing = column.isna() if hasattr(column, "isna") else column.is_null()
    return np.array([np.nan if m else float(v) for v, m in zip(column, missing, strict=True)])


def _shaped(array: Array, i: Input) -> Array:
    """The array with its input's dimensions: trailing sizes of 1 may be missing."""
    wanted = i.shape
    if array.ndim < len(wanted) and array.ndim > 0 and all(s == 1 for s in wanted[array.ndim :]):
        array = array.reshape(array.shape + (1,) * (len(wanted) - array.ndim))
    if array.ndim != len(wanted) or any(
        w not in (-1, s) for w, s in zip(wanted[1:], array.shape[1:], strict=True)
    ):
        shape = ", ".join("rows" if n == 0 else "any" if s == -1 else str(s) for n, s in enumerate(wanted))
        one = "; put one row into a list" if array.ndim == len(wanted) - 1 else ""
        raise ForgoError(f"{i.name}: must be an array of shape [{shape}], not {list(array.shape)}{one}")
    return array


def _is_one_picture(value: Any) -> bool:
    return isinstance(value, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(value, "getexif")


def _file(picture: Any) -> bytes:
    """The bytes of a picture's file. A Pillow image becomes a PNG of what it shows, its EXIF orientation applied."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        try:
            return Path(picture).read_bytes()
        except OSError as e:
            raise ForgoError(f"read {os.fspath(picture)!r}: {e.strerror}") from None
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        raise ForgoError(
            f"a Pillow image of mode {picture.mode} has no exact PNG; convert it to RGB, or give its file"
        )
    out = io.BytesIO()
    upright.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _column(files: list[bytes]) -> Array:
    made = np.empty((len(files), 1), object)
    for n, f in enumerate(files):
        made[n, 0] = f
    return made


def _length(element: Any) -> int:
    flat = element.ravel() if isinstance(element, np.ndarray) else [element]
    return sum(len(e) if isinstance(e, str | bytes) else 8 for e in flat)
