"""Example rows in files: .npy, and .jsonl with a row a line as clients send it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from forgo._errors import ExportError
from forgo.exporting._model import UNNAMED

SUFFIXES = (".npy", ".jsonl")


def read_rows(file: Path) -> dict[str, Any]:
    """Read a list or an array for each input; pictures are lists of paths.

    In a .jsonl file each line is a row: an object of input names or, of a model with one input,
    its bare value. A picture is ``{"file": "PATH"}``, from the file's folder on.

    Raises:
        ExportError: it cannot be read, or its rows are of different kinds.
    """
    try:
        if file.suffix == ".npy":
            return {UNNAMED: np.load(file, allow_pickle=False)}
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, EOFError) as e:
        raise ExportError(f"{file}: the rows cannot be read: {getattr(e, 'strerror', None) or e}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as e:
            raise ExportError(f"{file}: line {number} is not JSON: {e}") from None
        if not _alike(rows[-1], rows[0]):
            raise ExportError(f"{file}: line {number} does not name the same inputs as the first")
    if not rows or rows[0] == {}:
        raise ExportError(f"{file}: there are no rows in it")
    if not isinstance(rows[0], dict):
        return {UNNAMED: rows}
    return {name: _column(file, [row[name] for row in rows]) for name in rows[0]}


def _alike(row: Any, first: Any) -> bool:
    if isinstance(first, dict) and isinstance(row, dict):
        return row.keys() == first.keys()
    return isinstance(first, dict) == isinstance(row, dict)


def _column(file: Path, values: list[Any]) -> list[Any]:
    if not all(isinstance(v, dict) and v.keys() == {"file"} and isinstance(v["file"], str) for v in values):
        return values
    return [file.parent / v["file"] for v in values]
