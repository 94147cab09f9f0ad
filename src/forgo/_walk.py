"""The one walk through folders of pictures, for training and export; ``forgo predict`` has the same in Go.

cmd/forgo/folder.go is its twin; tests/test_walk.py runs both on the same folders.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from forgo._picture import SUFFIXES, is_picture

NO_PICTURE = "no picture"
CLUTTER = "hidden, or left by an archiver"
DANGLING = "a link to nothing"
IRREGULAR = "no regular file"
VISITED = "a link to a folder that is walked already"

_CLUTTER = {"__MACOSX", "@eaDir", "lost+found"}
"""Folders that archivers and file servers leave behind."""
_OTHERS = (".heic", ".heif", ".avif", ".jp2", ".jxl")
"""Suffixes of other picture formats: such files are refused by name, not skipped."""

Found = tuple[Path, str]
"""A file or a folder, and why it is left out: "" for a picture."""


def walk(folder: Path) -> Iterator[Found]:
    """Yield everything below a folder except readable folders, in a stable order.

    A file is a picture if its first bytes say so, whatever its name. A file with a picture's name counts as one
    too, for the decoder to refuse. Links are followed, but no folder is visited
    twice. Only regular files are opened.
    """
    yield from _walk(folder, set())


def _walk(folder: Path, visited: set[str]) -> Iterator[Found]:
    real = os.path.realpath(folder)
    if real in visited:
        yield folder, VISITED
        return
    visited.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as e:
        yield folder, e.strerror or str(e)
        return
    for path in entries:
        if is_clutter(path.name):
            yield path, CLUTTER
        elif path.is_dir():
            yield from _walk(path, visited)
        else:
            yield path, judge(path)


def judge(path: Path) -> str:
    """Return "" for a picture, or the reason to leave a file out."""
    try:
        mode = path.stat().st_mode
    except OSError as e:
        return DANGLING if path.is_symlink() else e.strerror or str(e)
    if not stat.S_ISREG(mode):
        return IRREGULAR
    if path.suffix.lower() in (*SUFFIXES, *_OTHERS):
        return ""
    try:
        return "" if is_picture(_start(path)) else NO_PICTURE
    except OSError as e:
        return e.strerror or str(e)


def _start(path: Path) -> bytes:
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # does not wait if the file has become a pipe
    with os.fdopen(opened, "rb") as f:
        return f.read(32) if stat.S_ISREG(os.fstat(opened).st_mode) else b""


def is_clutter(name: str) -> bool:
    """Whether a name is hidden, or a folder that archivers and file servers leave behind."""
    return name.startswith(".") or name in _CLUTTER


def left_out(folder: Path, left: list[Found], kept: int) -> str:
    """One line on the files left out of a folder, with an example of each reason; "" for none."""
    if not left:
        return ""
    reasons: dict[str, list[Path]] = defaultdict(list)
    for path, why in left:
        reasons[why].append(path)
    said = "; ".join(f"{why}: {len(p)} ({os.path.relpath(p[0], folder)})" for why, p in reasons.items())
    return f"{folder}: {len(left)} of {len(left) + kept} files are left out: {said}"
