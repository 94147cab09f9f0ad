"""Working folders beside a bundle's path, which are removed even if their process was killed.

A folder is removed when its ``with`` block ends. A killed process cannot do that: the next one
that works on the same path removes its folder, and knows by the folder's lock that
its owner is gone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: folders of killed processes stay
    fcntl = None  # type: ignore[assignment]

_LOCK = "lock"
_OLD = "old"


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``path`` and remove it at the end.

    First, folders that killed processes left behind are removed. If one was killed
    while it replaced ``path``, its old content is restored.
    """
    _sweep(path)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.new-", dir=path.parent))
    made.chmod(0o755)
    folder = made.with_name(made.name.replace(".new-", ".work-"))
    lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR)
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder)  # only now could another process think it abandoned, and it is locked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def replace(made: Path, path: Path, work: Path) -> None:
    """Replace ``path`` with ``made``, through the working folder ``work``."""
    if not path.exists():
        made.rename(path)
        return
    path.rename(work / _OLD)
    made.rename(path)


def _sweep(path: Path) -> None:
    if fcntl is None:
        return
    for folder in path.parent.glob(f".{_literal(path.name)}.work-*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its owner lives
        else:
            if (folder / _OLD).exists() and not path.exists():
                (folder / _OLD).rename(path)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
