"""Examples in files: ``.jsonl``, ``.json``, ``.csv`` with a header, ``.npy`` and ``.npz``."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from forgo._errors import ExportError
from forgo._picture import SUFFIXES as PICTURES
from forgo.exporting._examples import find_pictures
from forgo.exporting._model import UNNAMED

STDIN = "-"
TABLE = ".csv"
_ELEMENT = re.compile(r"(.*)\[(\d+)\]")


def read_examples(path: Path) -> list[Path] | dict[str, Any]:
    """Read pictures as a list of paths, or a list or an array for each input; pictures in it are lists of paths.

    Args:
        path: a folder of pictures or of ``.json`` rows; a picture; a ``.json`` row; a ``.jsonl`` file of rows, or
            ``-`` for one on stdin; a ``.csv`` with a header; a ``.npy`` file, or ``.npz`` with an array an input.

    Raises:
        ExportError: it cannot be read, or its rows are of different kinds.
    """
    if str(path) == STDIN:
        return _lines(path)
    if path.suffix.lower() in PICTURES and path.is_file():
        return [path]
    if path.is_dir():
        rows = sorted(p for p in path.rglob("*.json") if p.is_file())
        if rows and not any(p.suffix.lower() in PICTURES for p in path.rglob("*")):
            return _columns([(_parsed(_text(p), f"{p}"), p) for p in rows], path)
        return find_pictures(path)
    read = {".jsonl": _lines, ".json": _row, TABLE: _table, ".npy": _arrays, ".npz": _arrays}.get(path.suffix)
    if read is None:
        if not path.exists():
            raise ExportError(f"{path}: no such file or folder; the examples are missing")
        raise ExportError(
            f"{path}: the examples must be a folder of pictures, a picture, or rows in a .jsonl, .json, .csv, .npy "
            f"or .npz file (- for .jsonl on stdin)"
        )
    return read(path)


def _text(path: Path) -> str:
    try:
        if str(path) == STDIN:
            return sys.stdin.buffer.read().decode()
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(f"{path}: the rows cannot be read: {getattr(e, 'strerror', None) or e}") from None


def _arrays(file: Path) -> dict[str, Any]:
    try:
        loaded = np.load(file, allow_pickle=False)
        if file.suffix == ".npy":
            return {UNNAMED: loaded}
        with loaded:
            named = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError) as e:
        raise ExportError(f"{file}: the rows cannot be read: {getattr(e, 'strerror', None) or e}") from None
    if not named:
        raise ExportError(f"{file}: there are no rows in it")
    return {UNNAMED: named["arr_0"]} if list(named) == ["arr_0"] else named


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ExportError(f"{where} is not JSON: {e}") from None


def _row(file: Path) -> dict[str, Any]:
    return _columns([(_parsed(_text(file), f"{file}: it"), file)], file)


def _lines(file: Path) -> dict[str, Any]:
    numbered = [(n, line) for n, line in enumerate(_text(file).splitlines(), 1) if line.strip()]
    rows = []
    for number, line in numbered:
        rows.append((_parsed(line, f"{file}: line {number}"), file))
        if not _alike(rows[-1][0], rows[0][0]):
            raise ExportError(f"{file}: line {number} does not name the same inputs as the first")
    return _columns(rows, file)


def _columns(rows: list[tuple[Any, Path]], source: Path) -> dict[str, Any]:
    """A list for each input, of rows that are alike: objects of input names, bare values, or bare pictures."""
    if not rows or rows[0][0] == {}:
        raise ExportError(f"{source}: there are no rows in it")
    first = rows[0][0]
    if not isinstance(first, dict) or _is_picture(first):
        return {UNNAMED: _column(rows)}
    for row, file in rows:
        if not _alike(row, first):
            raise ExportError(f"{file}: it does not name the same inputs as the first")
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
"""Pictures that came in base64, in files until this process ends."""


def _picture(value: dict[str, str], file: Path, number: int) -> Path:
    if "file" in value:
        return (Path() if str(file) == STDIN else file.parent) / value["file"]
    try:
        data = base64.b64decode(value["b64"], validate=True)
    except (ValueError, binascii.Error) as e:
        raise ExportError(f"{file}: picture {number} is not base64: {e}") from None
    if not _decoded:
        _decoded.append(tempfile.TemporaryDirectory(prefix="forgo-pictures-"))
    place = Path(_decoded[0].name) / f"{len(list(Path(_decoded[0].name).iterdir())):06d}"
    place.write_bytes(data)
    return place


class Cells(list[Any]):
    """One input's cells of a table, a list of texts a row: what they mean, the input's type says."""


def _table(file: Path) -> dict[str, Any]:
    """Read columns named NAME or NAME[0], NAME[1], … as spec/rows.md has them."""
    try:
        lines = [row for row in csv.reader(io.StringIO(_text(file), newline=""), strict=True) if row]
    except csv.Error as e:
        raise ExportError(f"{file}: it is no CSV: {e}") from None
    if len(lines) < 2:
        raise ExportError(f"{file}: there are no rows in it")
    places: dict[str, dict[int, int]] = {}
    for at, title in enumerate(lines[0]):
        found = _ELEMENT.fullmatch(title.strip())
        name, element = (found[1], int(found[2])) if found else (title.strip(), 0)
        if element in places.setdefault(name, {}):
            raise ExportError(f"{file}: column {title.strip()!r} is there twice")
        places[name][element] = at
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(lines[0]):
            raise ExportError(f"{file}: line {number} has {len(row)} cells, the header {len(lines[0])}")
    for name, elements in places.items():
        if missing := set(range(len(elements))) - set(elements):
            raise ExportError(f"{file}: column '{name}[{min(missing)}]' is missing")
    return {
        name: Cells([[row[elements[i]] for i in range(len(elements))] for row in lines[1:]])
        for name, elements in places.items()
    }
