"""Class folders: which pictures are in them, and which files are left out, with the reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from forgo._errors import ForgoError
from forgo._picture import SUFFIXES

_CLUTTER = {"__MACOSX", "@eaDir", "lost+found"}
"""Folders that archivers and file servers leave behind."""

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")
_NOT_ACCEPTED = {".heic", ".heif", ".avif", ".jp2", ".jxl"}

Left = tuple[str, str]
"""A file that is left out, and why."""


def check_folder(folder: Path) -> None:
    """Refuse a path that is no folder.

    Raises:
        ForgoError: it names what is there instead.
    """
    if not folder.exists():
        raise ForgoError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise ForgoError(f"{folder} is a file: give the folder that holds the class folders")


def classes(folder: Path) -> list[str]:
    """Return the folders that hold pictures, sorted as strings: the order of the model's output."""
    return sorted(
        d.name for d in folder.iterdir()
        if d.is_dir() and not _is_clutter(d.name) and any(p for p, why in pictures(d) if not why)
    )  # fmt: skip


def beside(folder: Path) -> list[Left]:
    """Return the pictures that lie beside the class folders, and so have no class."""
    found = (p for p in sorted(folder.iterdir()) if not p.is_dir() and not _is_clutter(p.name))
    return [
        (str(p), "it lies beside the class folders, so it has no class")
        for p in found
        if _judge(p) is not None
    ]


def pictures(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the picture files below a folder in a stable order, each with the reason to leave it out, or "".

    A file is a picture by its suffix or by its first bytes. Links are followed, a folder that was
    visited already is not visited again.
    """
    yield from _walk(folder, set())


def _walk(folder: Path, visited: set[str]) -> Iterator[tuple[Path, str]]:
    real = os.path.realpath(folder)
    if real in visited:
        return
    visited.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as e:
        yield folder, e.strerror or str(e)
        return
    for path in entries:
        if _is_clutter(path.name):
            continue
        if path.is_dir():
            yield from _walk(path, visited)
        elif (why := _judge(path)) is not None:
            yield path, why


def _judge(path: Path) -> str | None:
    """Return "" for a picture, the reason to leave it out, or None for a file of another kind."""
    try:
        mode = path.stat().st_mode
    except OSError as e:
        return "it is a link to nothing" if path.is_symlink() else e.strerror or str(e)
    suffix = path.suffix.lower()
    if not stat.S_ISREG(mode):
        return "it is not a regular file" if suffix in SUFFIXES else None
    if suffix in SUFFIXES:
        return ""
    try:
        with path.open("rb") as f:
            start = f.read(12)
    except OSError as e:
        return e.strerror or str(e)
    if start.startswith(_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP"):
        return ""
    return f"{suffix} pictures are not accepted; convert it to PNG" if suffix in _NOT_ACCEPTED else None


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER
