"""What a .keras or .h5 file would take, and reach, as it is loaded: told without loading it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from forgo._errors import ExportError

ROOM = 64 << 20
"""Bytes that any file may become."""
GROWTH = 20
"""How many times its own length a file may become: weights hardly compress, and Keras stores them as they are."""

NAMES = 1_000_000
"""How many groups and weights a file may have, by any name."""


def check_archive(file: Path) -> None:
    """Refuse a .keras file whose members become far more than it is.

    Raises:
        ExportError: it is refused.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_size(file, sum(m.file_size for m in archive.infolist()), _most(file))
    except zipfile.BadZipFile as e:
        raise ExportError(f"{file}: Keras cannot load it: it is no .keras file: {e}") from None


def check_weights(file: Path) -> None:
    """Refuse a file whose weights become far more than it is, or lie in other files.

    Raises:
        ExportError: it is refused.
    """
    if file.suffix != ".keras":
        with file.open("rb") as opened:
            _check_hdf5(file, opened, _most(file))
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith((".h5", ".hdf5")):
                    _check_hdf5(file, io.BytesIO(archive.read(name)), _most(file))
    except (zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError, zlib.error) as e:
        raise ExportError(f"{file}: Keras cannot load it: it is no .keras file: {e}") from None


def _most(file: Path) -> int:
    found = file.stat()
    kept = getattr(found, "st_blocks", found.st_size) * 512  # less than it is long, of a file with holes
    return ROOM + GROWTH * min(found.st_size, kept)


def _check_size(file: Path, size: int, most: int) -> None:
    if size > most:
        raise ExportError(
            f"{file}: it would become {size:,} bytes as it is loaded, more than {most:,}: "
            "save the model again with model.save()"
        )


def _check_hdf5(file: Path, opened: IO[bytes], most: int) -> None:
    try:
        import h5py
    except ImportError:
        raise ExportError(
            f"{file}: reading it needs Keras: in forgo's clone, pip install '.[keras]'"
        ) from None
    try:
        with h5py.File(opened, "r") as stored:
            _check_size(file, sum(_size(file, d) for d in _datasets(file, stored, h5py)), most)
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise ExportError(f"{file}: Keras cannot load it: its weights are no HDF5 file: {e}") from None


def _datasets(file: Path, group: Any, h5py: Any) -> Iterator[Any]:
    """Every dataset that a group holds by any name: one with many names is loaded many times."""
    pending = [(group, frozenset({hash(group.id)}))]
    names = 0
    while pending:
        group, above = pending.pop()
        for name in group:
            if (names := names + 1) > NAMES:
                raise ExportError(f"{file}: it has more than {NAMES:,} names of groups and weights")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ExportError(f"{file}: its {name!r} is in another file, {link.filename!r}")
            if isinstance(link, h5py.SoftLink):
                continue  # the name of something that is met by another
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield item
            elif isinstance(item, h5py.Group) and (mark := hash(item.id)) not in above:
                pending.append((item, above | {mark}))


def _size(file: Path, dataset: Any) -> int:
    if dataset.external or dataset.is_virtual:
        raise ExportError(f"{file}: the values of its {dataset.name!r} are in another file")
    return int(dataset.size or 0) * int(dataset.dtype.itemsize)
