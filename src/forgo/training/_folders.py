"""Class folders: their pictures, and the files left out, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgo._errors import ForgoError
from forgo._walk import CLUTTER, NO_PICTURE, VISITED, Found, is_clutter, judge, walk

Left = tuple[str, str]
"""A file that is left out, and the reason."""


def check_folder(folder: Path) -> None:
    """Refuse a path that is not a folder.

    Raises:
        ForgoError: the message says what is there instead.
    """
    if not folder.exists():
        raise ForgoError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise ForgoError(f"{folder} is a file: give the folder that holds the class folders")


def classes(folder: Path) -> list[str]:
    """Return the folders that hold pictures, sorted as strings: the order of the model's output."""
    return sorted(
        d.name for d in folder.iterdir()
        if d.is_dir() and not is_clutter(d.name) and any(p for p, why in walk(d) if not why)
    )  # fmt: skip


def beside(folder: Path) -> list[Left]:
    """Return the pictures beside the class folders, which have no class."""
    found = (p for p in sorted(folder.iterdir()) if not p.is_dir() and not is_clutter(p.name))
    return [
        (str(p), "it is beside the class folders, so it has no class")
        for p in found
        if judge(p) != NO_PICTURE
    ]


def pictures(folder: Path, passed: list[Found] | None = None) -> Iterator[Found]:
    """Yield the picture files below a folder, each with a reason to leave it out, or "".

    Files of other kinds, which do not deserve a line each, go to ``passed``.
    """
    for path, why in walk(folder):
        if why not in (NO_PICTURE, CLUTTER, VISITED):
            yield path, why
        elif passed is not None:
            passed.append((path, why))
