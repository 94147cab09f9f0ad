"""Raw inputs as a client would send them, read as a server reads them."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, PictureError
from forgo._picture import read_header
from forgo._preprocess import Preprocessor
from forgo.exporting._arrays import typed
from forgo.exporting._model import STRING, UNNAMED, Arrays, TensorInfo
from forgo.exporting._rows import is_value

PICTURE = "image"
"""Clients' name for an encoded picture, whatever the model's name for the input."""


@dataclass(frozen=True)
class Example:
    """One raw input, and the tensors that Python made from it."""

    raw: bytes
    content_type: str
    source: str
    """The file's name, or the row's number."""
    encoding: str
    """How the picture is encoded; golden cases cover every encoding seen."""
    inputs: Arrays
    """The model's inputs, each with a batch of one."""
    pixels: npt.NDArray[np.uint8] | None = None
    orientation: int = 1
    index: int = 0
    """Its index among the inputs given; refused pictures count too."""
    synthesized: bool = False
    """Whether export made the row beside those given."""


def read_pictures(
    paths: list[Path], preprocess: Preprocessor, model_input: TensorInfo
) -> tuple[list[Example | None], list[str]]:
    """Read pictures through the decoder and the preprocessing graph that serving uses.

    Returns:
        An example for each picture, None for a refused one; and a line for each refusal.
    """
    examples: list[Example | None] = []
    refused = []
    for index, path in enumerate(paths):
        if path.exists() and not path.is_file():
            raise ExportError(f"{path}: the example is not a regular file")
        try:
            raw = path.read_bytes()
        except OSError as e:
            raise ExportError(f"{path}: cannot read the example: {e.strerror}") from None
        try:
            header = read_header(raw)
            pixels = preprocess.decode(raw)
        except PictureError as e:
            refused.append(f"{path}: {e}")
            examples.append(None)
            continue
        encoding = f"{header.media} {header.encoding}"
        inputs: Arrays = {model_input.name: preprocess(pixels)[None]}
        examples.append(
            Example(raw, header.media, path.name, encoding, inputs, pixels, header.orientation, index)
        )
    return examples, refused


def as_bytes(paths: list[Path]) -> npt.NDArray[Any]:
    """The bytes of files, for a string input.

    Raises:
        ExportError: one cannot be read.
    """
    made = np.empty(len(paths), dtype=object)
    for i, path in enumerate(paths):
        if path.exists() and not path.is_file():
            raise ExportError(f"{path}: the example is not a regular file")
        try:
            made[i] = path.read_bytes()
        except OSError as e:
            raise ExportError(f"{path}: cannot read the example: {e.strerror}") from None
    return made


def from_rows(
    rows: Arrays,
    inputs: list[TensorInfo],
    pictures: list[Example | None] | None = None,
    *,
    lists: bool = False,
    missing: bool = False,
) -> list[Example]:
    """Make an example from each row: a JSON object by input name, or a single input's bare value.

    Args:
        rows: an array for each input, with a row for each example.
        inputs: the model's inputs, without the picture input.
        pictures: one for each row, for a model that takes pictures beside other inputs; rows whose
            picture is None are skipped.
        lists: whether bare values may be lists of rows, recognized by their depth.
        missing: whether numbers may be NaN, which clients send as null.

    Raises:
        ExportError: the arrays do not fit the model.
    """
    if list(rows) == [UNNAMED] and len(inputs) == 1:
        rows = {inputs[0].name: rows[UNNAMED]}
        array = rows[inputs[0].name]
        if lists and array.ndim == len(inputs[0].shape) + 1:  # a list of rows
            rows = {inputs[0].name: array.reshape(-1, *array.shape[2:])}
    if list(rows) == [UNNAMED] and pictures is None and len(inputs) > 1 and all(map(_is_number, inputs)):
        matrix = rows[UNNAMED]
        if matrix.ndim != 2 or matrix.shape[1] != len(inputs) or matrix.dtype.kind not in "iuf":
            raise ExportError(
                f"examples: the array is {matrix.dtype}{list(matrix.shape)}; the model takes numbers [rows, {len(inputs)}], the columns in order"
            )
        rows = {e.name: matrix[:, i] for i, e in enumerate(inputs)}
    known = {e.name for e in inputs}
    if unknown := [name for name in rows if name not in known]:
        raise ExportError(
            f"examples: the model has no input {unknown[0]!r}; it has {sorted(known)}{one_matrix(rows, inputs)}"
        )
    fitting = {info.name: _fitting(rows, info, inputs, missing=missing) for info in inputs}
    counts = {len(a) for a in fitting.values()} | ({len(pictures)} if pictures is not None else set())
    if len(counts) != 1:
        raise ExportError(f"examples: the inputs have different numbers of rows: {sorted(counts)}")
    plain = {name: _as_written(a) for name, a in fitting.items()}
    examples = []
    for i in range(counts.pop()):
        picture = pictures[i] if pictures is not None else None
        if pictures is not None and picture is None:
            continue
        row: dict[str, Any] = {}
        if picture is not None:
            row[PICTURE] = {"b64": base64.b64encode(picture.raw).decode()}
        for name in fitting:
            row[name] = plain[name][i]
        value = row if len(row) > 1 else next(iter(row.values()))
        if isinstance(value, dict):  # of bytes; a bare row would read its keys as input names
            value = row
        examples.append(
            Example(
                raw=json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(),
                content_type="application/json",
                source=f"row {i}",
                encoding=picture.encoding if picture else "row",
                inputs={
                    **(picture.inputs if picture else {}),
                    **{name: a[i : i + 1] for name, a in fitting.items()},
                },
                pixels=picture.pixels if picture else None,
                orientation=picture.orientation if picture else 1,
                index=i,
            )
        )
    return examples


def _is_number(info: TensorInfo) -> bool:
    """Whether an input is a column of numbers, so that a matrix may hold it beside others."""
    return len(info.shape) == 1 and info.dtype not in (STRING, "bool")


def _as_written(array: npt.NDArray[Any]) -> list[Any]:
    """The values as clients write them: floats with the fewest digits of their own type."""
    if array.dtype.kind == "O":
        strings = np.empty(array.shape, dtype=object)
        for i, element in np.ndenumerate(array):
            strings[i] = _text_or_bytes(element)
        array = strings
    elif array.dtype.kind == "f":
        array = array.astype("U32").astype(np.float64)  # 5.9, not 5.900000095367432
        if np.isnan(array).any():
            array = _null(array)
    values: list[Any] = array.tolist()
    return values


def _null(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Missing numbers as clients write them."""
    made = array.astype(object)
    made[np.isnan(array)] = None
    return made


def _text_or_bytes(element: bytes) -> str | dict[str, str]:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(element).decode()}


def from_cells(cells: Arrays, inputs: list[TensorInfo]) -> Arrays:
    """Read a table's cells, strings [rows, elements], as values of their inputs.

    Raises:
        ExportError: a cell does not fit its input's type, or a row its input's elements.
    """
    made = _in_order(cells[UNNAMED], inputs) if list(cells) == [UNNAMED] else dict(cells)
    cells = dict(made)
    for info in inputs:
        lines: Any = cells.get(info.name)
        if lines is None:
            continue
        sizes = [size if size is not None else -1 for size in info.shape[1:]]
        if -1 in sizes or math.prod(sizes) != lines.shape[1]:
            raise ExportError(
                f"examples: there are {lines.shape[1]} columns of {info.name!r}, whose rows have the shape {info.shape[1:]}"
            )
        values = [[_cell(cell, info, row) for cell in line] for row, line in enumerate(lines.tolist())]
        kind = object if info.dtype == STRING else None
        made[info.name] = np.array(values, dtype=kind).reshape(len(lines), *sizes)
    return made


def _in_order(lines: npt.NDArray[Any], inputs: list[TensorInfo]) -> Arrays:
    """Cells of a table without a header, [rows, columns]: the elements of all inputs in order."""
    if named := next((e.name for e in inputs if is_value(e.name)), None):
        raise ExportError(
            f"examples: the model has an input called {named!r}, so a CSV header looks like a row: give .jsonl"
        )
    made: Arrays = {}
    at = 0
    for info in inputs:
        if None in info.shape[1:]:
            raise ExportError(f"examples: CSV cannot hold {info.name!r} of shape {info.shape}: give .jsonl")
        size = math.prod(size or 0 for size in info.shape[1:])
        made[info.name] = lines[:, at : at + size]
        at += size
    if at != lines.shape[1]:
        raise ExportError(
            f"examples: the CSV has {lines.shape[1]} columns without names, but the model's rows have {at} elements"
        )
    return made


def _cell(text: str, info: TensorInfo, row: int) -> Any:
    if info.dtype == STRING:
        return text
    try:
        value = json.loads(text.strip().lower() if info.dtype == "bool" else text.strip())
    except ValueError:
        value = text
    if value is None:
        return float("nan")
    if isinstance(value, bool) != (info.dtype == "bool") or not isinstance(value, int | float):
        raise ExportError(f"examples: row {row} of column {info.name!r}: {text!r} is not {info.dtype}")
    return value


def _fitting(
    rows: Arrays, info: TensorInfo, inputs: list[TensorInfo], *, missing: bool = False
) -> npt.NDArray[Any]:
    if info.name not in rows:
        raise ExportError(
            f"examples: the input {info.name!r} is missing; the model has {[e.name for e in inputs]}"
        )
    try:
        array = typed(rows[info.name], info.dtype)
    except (ValueError, TypeError) as e:
        raise ExportError(f"examples: input {info.name!r} is not {info.dtype}: {e}") from None
    fits = array.ndim == len(info.shape) and all(
        want is None or want == have for want, have in zip(info.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise ExportError(
            f"examples: input {info.name!r} has shape {array.shape}, but the model takes {info.shape}"
        )
    if array.dtype.kind == "f":
        odd = np.argwhere(~(np.isfinite(array) | (np.isnan(array) & missing)))
        if len(odd):
            raise ExportError(
                f"examples: input {info.name!r} has values that are not finite, the first, {array[tuple(odd[0])]}, in row "
                f"{odd[0][0]}: leave such rows out"
            )
    return array


def check_missing(examples: list[Example], answers: Arrays) -> None:
    """Refuse examples with missing numbers for which the model has no answer.

    Raises:
        ExportError: an answer to one is not finite.
    """
    numbers = [a for a in answers.values() if a.dtype.kind == "f"]
    for i, example in enumerate(examples):
        lacking = [n for n, a in example.inputs.items() if a.dtype.kind == "f" and np.isnan(a).any()]
        if lacking and not all(np.isfinite(a[i : i + 1]).all() for a in numbers):
            raise ExportError(
                f"examples: {lacking[0]!r} of {example.source} has NaN, to which the model's answer is not finite: fill missing "
                "numbers as in training, or leave the row out"
            )


def one_matrix(rows: Arrays, inputs: list[TensorInfo]) -> str:
    """For messages: how columns become the matrix that the model's only input takes; "" if that is not the cause."""
    if len(inputs) != 1:
        return ""
    name, dtype = inputs[0].name, inputs[0].dtype
    if all(a.ndim == 1 for a in rows.values()):
        kind = "str" if dtype == STRING else repr(dtype)
        return f". If that takes all columns, give a matrix: frame.to_numpy().astype({kind})"
    if dtype != STRING and all(a.dtype.kind in "OSU" for a in rows.values()):  # the cells of a CSV
        return f". If that takes all columns, call them {name}[0], {name}[1], …, or leave the header out"
    return ""


def stack(examples: list[Example]) -> Arrays:
    """Join examples into one batch."""
    return {name: np.concatenate([e.inputs[name] for e in examples]) for name in examples[0].inputs}
