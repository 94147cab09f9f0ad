"""How much memory loading a .keras or .h5 file would take, and which files it would open, without loading it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from forgo._errors import ExportError

ROOM = 64 << 20
"""The memory that any file may take, in bytes."""
GROWTH = 20
"""How many times its length a file may take: weights hardly compress, and Keras stores them uncompressed."""

NAMES = 1_000_000
"""How many names of groups and weights a file may have."""


def check_archive(file: Path) -> None:
    """Refuse a .keras file whose members grow far beyond its length.

    Raises:
        ExportError: it is refused.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_size(file, sum(m.file_size for m in archive.infolist()), _most(file))
    except zipfile.BadZipFile as e:
        raise ExportError(f"{file}: Keras cannot load it: it is not a .keras file: {e}") from None


def check_weights(file: Path) -> None:
    """Refuse a file whose weights grow far beyond its length, or lie in other files.

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
        raise ExportError(f"{file}: Keras cannot load it: it is not a .keras file: {e}") from None


def _most(file: Path) -> int:
    found = file.stat()
    kept = getattr(found, "st_blocks", found.st_size) * 512  # a file with holes takes less than its length
    return ROOM + GROWTH * min(found.st_size, kept)


def _check_size(file: Path, size: int, most: int) -> None:
    if size > most:
        raise ExportError(
            f"{file}: loading it would take {size:,} bytes, more than {most:,}: "
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
        raise ExportError(f"{file}: Keras cannot load it: its weights are not an HDF5 file: {e}") from None


def _datasets(file: Path, group: Any, h5py: Any) -> Iterator[Any]:
    """Every dataset in a group under each of its names: Keras loads one once for each name."""
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
                continue  # another name of a group already visited
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield item
            elif isinstance(item, h5py.Group) and (mark := hash(item.id)) not in above:
                pending.append((item, above | {mark}))


def _size(file: Path, dataset: Any) -> int:
    if dataset.external or dataset.is_virtual:
        raise ExportError(f"{file}: the values of its {dataset.name!r} are in another file")
    return int(dataset.size or 0) * int(dataset.dtype.itemsize)
