"""The Open Inference Protocol's tensors: NumPy arrays to and from the bytes of a request or an answer."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgo._errors import ForgoError

Array = NDArray[Any]

_TYPES = {
    "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A model's input, as in its metadata: the first of ``shape`` is the rows, -1 is free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def convert(values: Any, to: Input) -> Array:
    """Make an array of an input's type: floats are rounded once; integers must be whole and fit the type.

    Raises:
        ForgoError: a value does not fit the type.
    """
    try:
        # Strings as they are: NumPy's own lose trailing zero bytes. Integers beyond int64 would become floats.
        exact = to.datatype in ("BYTES", "UINT64") and not isinstance(values, np.ndarray)
        array = np.array(values, object) if exact else np.asarray(values)
    except ValueError as e:  # rows of different lengths
        raise ForgoError(f"{to.name}: {e}") from None
    if to.datatype == "BYTES":
        strings = array.astype(object)
        cells = strings.ravel()
        odd = next((k for k, v in enumerate(cells) if not isinstance(v, str | bytes)), None)
        if odd is not None:
            at = np.unravel_index(odd, strings.shape)
            raise ForgoError(f"{to.name}: must be strings, not {cells[odd]!r:.100}{_row(at)}")
        return strings
    given = array
    if array.dtype == object:  # None and pandas' NA are missing numbers, as in a column of a data frame
        flat = [np.nan if v is None or type(v).__name__ == "NAType" else v for v in array.ravel().tolist()]
        fit = to.datatype == "UINT64" and all(type(v) is int and 0 <= v < 2**64 for v in flat)
        array = np.array(flat, np.uint64 if fit else None).reshape(array.shape)
    if array.dtype.name == "bfloat16":  # of ml_dtypes
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "b") != (to.datatype == "BOOL"):
        raise ForgoError(f"{to.name}: must be {to.datatype}, not {_example(given)}")
    if to.datatype == "BF16":
        return _to_bfloat16(array)
    wanted = np.dtype(_TYPES[to.datatype])
    with np.errstate(all="ignore"):
        made = array.astype(wanted, copy=False)
        if wanted.kind == "f":
            wrong = np.isinf(made) & np.isfinite(array)
        elif wanted.kind == "b":
            wrong = np.zeros(array.shape, bool)
        else:
            least, most = int(np.iinfo(wanted).min), int(np.iinfo(wanted).max)
            # The largest integer plus one is a float exactly; the integer itself may not be.
            above = array >= float(most) + 1 if array.dtype.kind == "f" else array > most
            wrong = (array < least) | above | (array != np.trunc(array))
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), wrong.shape)
        raise ForgoError(f"{to.name}: {to.datatype} does not hold {array[at].item()!r}{_row(at)}")
    return made


def _row(at: Sequence[Any]) -> str:
    """For messages: the row of an element, if it is in one."""
    return f" (row {at[0]})" if at else ""


def _example(array: Array) -> str:
    """For messages: an element that is no number, or the first, and its row."""
    at: tuple[int, ...] = ()
    value: Any = []
    for place, element in islice(np.ndenumerate(array), 1000):
        v: Any = element.item() if isinstance(element, np.generic) else element
        odd = v is not None and (isinstance(v, bool) or not isinstance(v, int | float))
        if odd or not at:
            at, value = place, v
        if odd:
            break
    text = repr(value)
    return (text if len(text) <= 100 else text[:100] + "…") + _row(at)


def _to_bfloat16(array: Array) -> Array:
    """The upper halves of float32, rounded to nearest, ties to even, as uint16."""
    bits = array.astype("<f4").view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype("<u2")


def pack(array: Array, datatype: str) -> bytes:
    """The bytes of a tensor: little-endian, BYTES as four bytes of length and the element."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array).tobytes()
    parts = []
    for element in array.ravel():
        data = element.encode() if isinstance(element, str) else bytes(element)
        parts += [struct.pack("<I", len(data)), data]
    return b"".join(parts)


def unpack(data: memoryview, datatype: str, shape: list[int]) -> Array:
    """The array of a tensor's bytes: BF16 as float32, BYTES as objects, str if they are UTF-8."""
    if datatype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if datatype != "BYTES":
        return np.frombuffer(data, _TYPES[datatype]).reshape(shape).copy()
    elements: list[str | bytes] = []
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        raw = bytes(data[at + 4 : at + 4 + size])
        try:
            elements.append(raw.decode())
        except UnicodeDecodeError:
            elements.append(raw)
        at += 4 + size
    made = np.empty(len(elements), object)
    made[:] = elements
    return made.reshape(shape)


def request(inputs: dict[str, tuple[str, Array]], outputs: list[str] | None) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an inference request, with every tensor in binary, both ways."""
    listed, tensors = [], []
    for name, (datatype, array) in inputs.items():
        data = pack(array, datatype)
        tensors.append(data)
        listed.append(
            {"name": name, "datatype": datatype, "shape": list(array.shape), "parameters": {"binary_data_size": len(data)}}
        )  # fmt: skip
    head: dict[str, Any] = {"inputs": listed, "parameters": {"binary_data_output": True}}
    if outputs is not None:
        head["outputs"] = [{"name": n} for n in outputs]
    start = json.dumps(head).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(start)),
    }
    return b"".join([start, *tensors]), headers


def response(body: bytes, head_size: int) -> dict[str, Array]:
    """The outputs of an inference answer, by name in the model's order."""
    head = json.loads(body[:head_size])
    data = memoryview(body)
    outputs, at = {}, head_size
    for o in head["outputs"]:
        size = o["parameters"]["binary_data_size"]
        outputs[o["name"]] = unpack(data[at : at + size], o["datatype"], o["shape"])
        at += size
    return outputs
