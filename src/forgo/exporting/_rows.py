"""Examples in files: pictures, folders, and rows in ``.jsonl``, ``.json``, ``.csv``, ``.npy`` and ``.npz``."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forgo._errors import ExportError
from forgo._picture import SUFFIXES as PICTURES
from forgo._picture import is_picture
from forgo._walk import NO_PICTURE, Found, left_out, walk
from forgo.exporting import _numpy_files
from forgo.exporting._model import UNNAMED

STDIN = "-"
LINES, JSON, TABLE, ARRAY, ARCHIVE, PICTURE = "lines", "json", "table", "array", "archive", "picture"
KINDS = {
    ".jsonl": LINES, ".ndjson": LINES, ".json": JSON, ".csv": TABLE, ".npy": ARRAY, ".npz": ARCHIVE,
    **dict.fromkeys(PICTURES, PICTURE),
}  # fmt: skip
"""Kinds of file by suffix."""
_LONGEST = 1 << 30
_ELEMENT = re.compile(r"(.*)\[(\d+)\]")
_VALUE = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity|null|(?i:true|false)"
)
"""A cell that cannot be a column's name."""


class Pictures(list[Path]):
    """The pictures of a folder, and a note on the files left out."""

    note = ""


def read_examples(path: Path) -> list[Path] | dict[str, Any]:
    """Read pictures as a list of paths, or rows as a list or an array for each input, with pictures as lists of paths.

    Args:
        path: a folder of pictures or of ``.json`` rows; a picture; a file of rows; ``-`` for such a file
            on stdin. If the suffix does not tell the kind, the first bytes do.

    Raises:
        ExportError: it cannot be read, or its rows differ in kind.
    """
    if path.is_dir() and str(path) != STDIN:
        return _folder(path)
    data = _bytes(path)
    kind = "" if str(path) == STDIN else KINDS.get(path.suffix.lower(), "")
    kind = kind or _kind(data, guess=str(path) == STDIN)
    if kind == PICTURE:
        return [path if str(path) != STDIN else _kept(data)]
    if kind in (ARRAY, ARCHIVE):
        return _arrays(path, data, kind)
    if not kind:
        raise ExportError(
            f"{path}: the examples must be a folder of pictures, a picture, or rows in a .jsonl, .json, .csv, .npy "
            f"or .npz file, or - for any of these files on stdin"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ExportError(f"{path}: cannot read the rows: {e}") from None
    return {LINES: _lines, JSON: _row, TABLE: _table}[kind](path, text)


def _kind(data: bytes, *, guess: bool) -> str:
    """Recognize a file by its first bytes."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if is_picture(data[:64]):
        return PICTURE
    if data.startswith(_numpy_files.MAGIC):
        return ARRAY
    if data.startswith(_numpy_files.ZIP):
        return ARCHIVE
    if not guess:
        return ""
    return LINES if start[:1] in (b"{", b"[", b'"') else TABLE


def _bytes(path: Path) -> bytes:
    try:
        if str(path) == STDIN:
            data = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with path.open("rb") as file:
                data = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file or folder") from None
    except OSError as e:
        raise ExportError(f"{path}: cannot read the examples: {e.strerror or e}") from None
    if len(data) > _LONGEST:
        raise ExportError(
            f"{path}: the examples are longer than {_LONGEST} bytes: give fewer, which prove as much"
        )
    return data


def _folder(folder: Path) -> list[Path] | dict[str, Any]:
    found = list(walk(folder))
    pictures = Pictures(path for path, why in found if not why)
    rows = [path for path, why in found if why == NO_PICTURE and path.suffix.lower() == ".json"]
    if rows and not pictures:
        return _columns([(_parsed(_text(p), f"{p}"), p) for p in rows], folder)
    left: list[Found] = [f for f in found if f[1]]
    if not pictures:
        why = f" ({left_out(folder, left, 0)})" if left else ""
        raise ExportError(f"{folder}: it has no pictures ({', '.join(PICTURES)}){why}")
    pictures.note = left_out(folder, left, len(pictures))
    return pictures


def _text(path: Path) -> str:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            return file.read(_LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(f"{path}: cannot read the rows: {getattr(e, 'strerror', None) or e}") from None


def _arrays(file: Path, data: bytes, kind: str) -> dict[str, Any]:
    try:
        if kind == ARRAY:
            named = {UNNAMED: _numpy_files.read_array(io.BytesIO(data), len(data))}
        else:
            named = _numpy_files.read_archive(io.BytesIO(data), len(data))
    except ExportError as e:
        raise ExportError(f"{file}: cannot read the rows: {e.message}") from None
    if not all(len(a) for a in named.values()):
        raise ExportError(f"{file}: it has no rows")
    return dict(named)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ExportError(f"{where} is not JSON: {e}") from None


def _row(file: Path, text: str) -> dict[str, Any]:
    value = _parsed(text, f"{file}: it")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _columns([(row, file) for row in value], file)
    return _columns([(value, file)], file)


def _lines(file: Path, text: str) -> dict[str, Any]:
    rows: list[tuple[Any, Path]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        value = _parsed(line, f"{file}: line {number}")
        for row in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
            rows.append((row, file))
            if not _alike(row, rows[0][0]):
                raise ExportError(f"{file}: line {number}: its inputs differ from the first line's")
    return _columns(rows, file)


def _columns(rows: list[tuple[Any, Path]], source: Path) -> dict[str, Any]:
    """A list for each input, from rows of one kind: objects by input name, bare values, or bare pictures."""
    if not rows or rows[0][0] == {}:
        raise ExportError(f"{source}: it has no rows")
    first = rows[0][0]
    if not isinstance(first, dict) or _is_picture(first):
        column = _column(rows)
        return {UNNAMED: column if _is_picture(first) else Bare(column)}
    for row, file in rows:
        if not _alike(row, first):
            raise ExportError(f"{file}: its inputs differ from the first row's")
    return {name: _column([(row[name], file) for row, file in rows]) for name in first}


def _alike(row: Any, first: Any) -> bool:
    if isinstance(first, dict) and isinstance(row, dict):
        return row.keys() == first.keys() or (_is_picture(row) and _is_picture(first))
    return isinstance(first, dict) == isinstance(row, dict)


def _is_picture(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(k in ("file", "b64") and isinstance(v, str) for k, v in value.items())
    )


def _column(values: Iterable[tuple[Any, Path]]) -> list[Any]:
    values = list(values)
    if not all(_is_picture(v) for v, _ in values):
        return [v for v, _ in values]
    return [_picture(v, file, number) for number, (v, file) in enumerate(values)]


_decoded: list[tempfile.TemporaryDirectory[str]] = []
"""Pictures that came in base64, kept in files until this process ends."""


def _picture(value: dict[str, str], file: Path, number: int) -> Path:
    if "file" in value:
        return (Path() if str(file) == STDIN else file.parent) / value["file"]
    try:
        data = base64.b64decode(value["b64"], validate=True)
    except (ValueError, binascii.Error) as e:
        raise ExportError(f"{file}: picture {number} is not base64: {e}") from None
    return _kept(data)


def _kept(data: bytes) -> Path:
    if not _decoded:
        _decoded.append(tempfile.TemporaryDirectory(prefix="forgo-pictures-"))
    place = Path(_decoded[0].name) / f"{len(list(Path(_decoded[0].name).iterdir())):06d}"
    place.write_bytes(data)
    return place


class Bare(list[Any]):
    """A single input's values: each is a row or, one list deeper, a list of rows."""


class Cells(list[Any]):
    """One input's cells of a table, a list of strings for each row; the input's type says how to read them.

    Cells of a table without a header belong to all inputs in order, and have no name.
    """


def is_value(cell: str) -> bool:
    """Whether a cell is a number, a boolean, null or NaN, and so not a column's name."""
    return _VALUE.fullmatch(cell.strip()) is not None


def _table(file: Path, text: str) -> dict[str, Any]:
    """Read columns named NAME or NAME[0], NAME[1], … as spec/rows.md has them, or a table without names."""
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as e:
        raise ExportError(f"{file}: it is not CSV: {e}") from None
    if lines and any(map(is_value, lines[0])):
        for number, row in enumerate(lines, 1):
            if len(row) != len(lines[0]):
                raise ExportError(
                    f"{file}: line {number} has {len(row)} cells, the first line {len(lines[0])}"
                )
        return {UNNAMED: Cells(lines)}
    if len(lines) < 2:
        raise ExportError(f"{file}: it has no rows")
    columns: dict[str, dict[int, int]] = {}
    for at, title in enumerate(lines[0]):
        found = _ELEMENT.fullmatch(title.strip())
        name, element = (found[1], int(found[2])) if found else (title.strip(), 0)
        if element in columns.setdefault(name, {}):
            raise ExportError(f"{file}: two columns are called {title.strip()!r}")
        columns[name][element] = at
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(lines[0]):
            raise ExportError(f"{file}: line {number} has {len(row)} cells, the header {len(lines[0])}")
    for name, elements in columns.items():
        if missing := set(range(len(elements))) - set(elements):
            raise ExportError(f"{file}: column '{name}[{min(missing)}]' is missing")
    return {
        name: Cells([[row[elements[i]] for i in range(len(elements))] for row in lines[1:]])
        for name, elements in columns.items()
    }
