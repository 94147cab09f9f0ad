"""Arrays that NumPy saved, from untrusted files: a header is checked against the file's length before memory is taken.

predict/payload reads the same files in Go, by the same rules; tests/test_forms.py compares the two.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError

MAGIC = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
ROOM = 1 << 30
"""The memory that an archive's arrays may take, in bytes."""
GROWTH = 20
"""How many times its length an archive's arrays may take."""
_UNNAMED = "arr_0"
"""``numpy.savez``'s name for an array without a name."""


def read_array(file: IO[bytes], length: int) -> npt.NDArray[Any]:
    """Read a .npy file.

    Args:
        file: the file, at its start.
        length: the most bytes that its data can have.

    Raises:
        ExportError: it is refused.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ExportError("the array has fields: save an array of one plain type")
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = header(file)
    except (ValueError, EOFError) as e:
        raise ExportError(f"not a complete .npy file: {e}") from None
    if dtype.hasobject:
        raise ExportError(
            "the array holds Python objects, which are never loaded: save numbers or strings, such as "
            "x.astype(numpy.float32)"
        )
    if dtype.kind not in "biufSU" or (dtype.kind == "f" and dtype.itemsize > 8):
        raise ExportError(f"NumPy type {dtype.str!r} is not supported")
    if not shape:
        raise ExportError("the array is a single number: its first dimension must be the rows")
    count = math.prod(shape)
    if count * dtype.itemsize > length:
        raise ExportError("the array ends too soon")
    if not dtype.itemsize or not count:
        return np.zeros(shape if count <= 1 << 16 and len(shape) < 33 else (0,), dtype)
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ExportError("the array ends too soon")
    if file.read(1):
        raise ExportError("data follows the array's last element")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def read_archive(file: IO[bytes], length: int) -> dict[str, npt.NDArray[Any]]:
    """Read an .npz file, an array for each input; an unnamed one is called "".

    Raises:
        ExportError: it is refused.
    """
    most = ROOM + GROWTH * length
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(m.file_size for m in archive.infolist()) > most:
                raise ExportError(f"its arrays would become more than {most:,} bytes")
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise ExportError(f"array {name!r} occurs twice")
                with archive.open(member) as opened:
                    try:
                        arrays[name] = read_array(opened, member.file_size)
                    except ExportError as e:
                        raise ExportError(f"array {name!r}: {e.message}") from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error, OSError) as e:
        raise ExportError(f"not an .npz file: {e}") from None
    if not arrays:
        raise ExportError("it has no arrays")
    return {"": arrays[_UNNAMED]} if list(arrays) == [_UNNAMED] else arrays
