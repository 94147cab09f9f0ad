"""Lists of pictures with attributes, in the form of CelebA's files, as text or as CSV.

``list_attr_celeba.txt`` has a line with a count, a line with the attributes' names, then a line
for each picture: its file name and 1 or -1 for each attribute. ``list_eval_partition.txt`` has a
line for each picture: its file name and 0 (train), 1 (valid) or 2 (test). The CSV forms have a
header and commas (https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from forgo._errors import ForgoError, argument

PARTS = {"0": "train", "1": "valid", "2": "test"}


def read_attribute(file: Path, attribute: str) -> dict[str, bool]:
    """Read one attribute of every picture, by file name.

    Raises:
        ForgoError: the file cannot be read as such a list, or has no such attribute.
    """
    rows = _rows(file)
    _, first = next(rows, (0, []))
    if len(first) == 1 and first[0].isdigit():  # the count
        _, first = next(rows, (0, []))
    # In CSV the first name is the file column's.
    offset = 0 if file.suffix.lower() == ".csv" else 1
    names = first[1 - offset :]
    if attribute not in names:
        known = ", ".join(names[:40]) or "none"
        raise ForgoError(f"{argument('attribute', attribute)}: {file} has no such attribute; it has {known}")
    column = names.index(attribute) + 1
    values: dict[str, bool] = {}
    for line, row in rows:
        if len(row) != len(names) + 1 or row[column] not in ("1", "-1", "0"):
            raise ForgoError(
                f"{file}:{line}: a line must have a file name and {len(names)} values, each 1 or -1"
            )
        if row[0] in values:
            raise ForgoError(f"{file}:{line}: {row[0]} appears twice")
        values[row[0]] = row[column] == "1"
    return values


def read_partition(file: Path) -> dict[str, str]:
    """Read the part of every picture, "train", "valid" or "test", by file name.

    Raises:
        ForgoError: the file cannot be read as such a list.
    """
    parts: dict[str, str] = {}
    for line, row in _rows(file):
        if len(row) == 2 and row[1] in PARTS:
            parts[row[0]] = PARTS[row[1]]
        elif line > 1:  # the first may be a header
            raise ForgoError(
                f"{file}:{line}: a line must have a file name and 0 (train), 1 (valid) or 2 (test)"
            )
    if not parts:
        raise ForgoError(f"{file}: no line has a file name and 0 (train), 1 (valid) or 2 (test)")
    return parts


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, numbered from 1."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise ForgoError(f"{file}: cannot read it: {getattr(e, 'strerror', None) or e}") from None
    lines = text.splitlines()
    split = csv.reader(lines) if file.suffix.lower() == ".csv" else (line.split() for line in lines)
    for number, row in enumerate(split, 1):
        if row:
            yield number, [cell.strip() for cell in row]
