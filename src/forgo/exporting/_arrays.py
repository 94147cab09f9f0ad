"""Arrays in files without Python objects: golden cases, and data between forgo's processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting._model import STRING, Arrays

BFLOAT16 = "bfloat16"
LENGTHS = ":lengths"
"""The suffix of a string array's second half; names of inputs and outputs have no colon."""


def typed(values: Any, dtype: str) -> npt.NDArray[Any]:
    """Values as an array of a type. Strings become objects that hold bytes, text in UTF-8.

    Floating-point numbers are rounded as in JSON. Nothing else changes a value.

    Raises:
        ValueError, TypeError: the values are of another kind, or do not fit the type.
    """
    if dtype != STRING:
        return _numbers(np.asarray(values), dtype)
    array = np.asarray(values, dtype=object) if not isinstance(values, np.ndarray) else values
    made = np.empty(array.shape, dtype=object)
    for i, text in np.ndenumerate(array):
        if isinstance(text, bytes):
            made[i] = text
        elif isinstance(text, str):
            made[i] = text.encode()
        else:
            raise TypeError(f"{text!r} is not a string")
    return made


def _numbers(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    wanted = np.dtype(dtype)
    if array.dtype.name == BFLOAT16:  # NumPy knows no kind for it
        array = array.astype(np.float32)
    if (array.dtype.kind == "b") != (wanted.kind == "b") or array.dtype.kind not in "biuf":
        raise TypeError(f"the values are {'strings' if array.dtype.kind in 'OSU' else array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        made = array.astype(wanted)
        same = (
            np.isfinite(made) == np.isfinite(array)
            if wanted.kind == "f" or dtype == BFLOAT16
            else made == array
        )
    if not same.all():
        raise ValueError(f"{array[~same].ravel()[0]} does not fit it")
    return made


def strings(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A string array with str elements, which ONNX Runtime takes.

    Raises:
        ExportError: a string is not UTF-8.
    """
    made = np.empty(array.shape, dtype=object)
    for i, text in np.ndenumerate(array):
        try:
            made[i] = text.decode()
        except UnicodeDecodeError:
            raise ExportError(
                f"a string is not UTF-8, which ONNX Runtime needs: {argument('engine', 'tensorflow')} does"
            ) from None
    return made


def pack(arrays: Arrays) -> Arrays:
    """Write each string array as two: the bytes of all its elements, and their lengths in its shape."""
    packed: Arrays = {}
    for name, array in arrays.items():
        if array.dtype.kind != "O":
            packed[name] = np.ascontiguousarray(array)
            continue
        elements: list[Any] = [e.encode() if isinstance(e, str) else e for e in array.ravel()]
        packed[name] = np.frombuffer(b"".join(elements), np.uint8)
        packed[name + LENGTHS] = np.array([len(e) for e in elements], np.int64).reshape(array.shape)
    return packed


def unpack(packed: Arrays) -> Arrays:
    """Undo pack."""
    arrays: Arrays = {}
    for name, array in packed.items():
        lengths: Any = packed.get(name + LENGTHS)
        if name.endswith(LENGTHS):
            continue
        if lengths is None:
            arrays[name] = _bfloat16(array)
            continue
        infos = np.cumsum(lengths.ravel())
        joined = array.tobytes()
        strings = np.empty(lengths.size, dtype=object)
        strings[:] = [joined[info - n : info] for info, n in zip(infos, lengths.ravel(), strict=True)]
        arrays[name] = strings.reshape(lengths.shape)
    return arrays


def _bfloat16(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """NumPy's files keep bfloat16, which they do not know, as two bytes without a type."""
    if array.dtype != np.dtype("V2"):
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)


def write(file: Path, arrays: Arrays) -> None:
    """Write an .npz file."""
    np.savez(file, **pack(arrays))  # type: ignore[arg-type]


def read(file: Path) -> Arrays:
    """Read what write wrote."""
    with np.load(file, allow_pickle=False) as stored:
        return unpack({name: stored[name] for name in stored.files})
