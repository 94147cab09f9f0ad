"""Existing ONNX files: the adapter. ONNX Runtime answers, unless the framework's own answers are given.

The file's protobuf tells its inputs and outputs. The Go half first says whether it would
open the file: it refuses operations that reach files, data outside the file and fields that onnx.proto lacks
before ONNX Runtime sees any of it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from forgo import _binary
from forgo._errors import ExportError, ForgoError, argument
from forgo.exporting import _zipmap
from forgo.exporting._adapter import Adapter
from forgo.exporting._arrays import typed
from forgo.exporting._batches import SINGLE
from forgo.exporting._model import STRING, Arrays, Trained
from forgo.exporting._onnx_file import TYPES, OnnxFile, first_line
from forgo.exporting._tasks import LABELLED

if TYPE_CHECKING:
    from forgo.exporting._request import Request

SUFFIX = ".onnx"
_MOST = (2 << 30) - 1
"""The largest protobuf message, in bytes."""
_MOST_SETS = 4096
_MOST_SET = 1 << 30
"""The largest set of ONNX's own test data, in bytes."""


def regular_bytes(file: Path, most: int, what: str) -> bytes:
    """A regular file's bytes; checks the limit before it reads any."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ExportError(f"{file}: no such file") from None
    except OSError as e:
        raise ExportError(f"{file}: {what} cannot be read: {e.strerror}") from None
    with os.fdopen(opened, "rb") as f:
        about = os.fstat(f.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ExportError(f"{file}: it is not a regular file")
        if about.st_size > most:
            raise ExportError(f"{file}: {what} is {about.st_size} bytes, more than {most}")
        data = f.read(most + 1)
    if len(data) > most:
        raise ExportError(f"{file}: {what} is more than {most} bytes")
    return data


def check(file: Path, trust: bool) -> None:
    """Ask the Go half whether it would open the file, whether or not its author is trusted.

    Raises:
        ExportError: it would not.
    """
    data = regular_bytes(file, _MOST, "the model")
    try:
        try:
            _binary.check_onnx(file)
        except ForgoError:
            if others := _tensor_outputs(data):
                _binary.check_onnx(file, others)
            elif not _sound_without_maps(file, data):
                raise
    except ForgoError as e:
        raise ExportError(e.message if str(file) in e.message else f"{file}: {e.message}") from None


def _tensor_outputs(data: bytes) -> list[str]:
    """The outputs that are tensors, if others are not; the export chooses among them, or takes ZipMap out."""
    try:
        outputs = onnx.ModelProto.FromString(data).graph.output
    except DecodeError:
        return []
    tensors = [o.name for o in outputs if o.type.HasField("tensor_type")]
    return tensors if len(tensors) < len(outputs) else []


def _sound_without_maps(file: Path, data: bytes) -> bool:
    """Check a file whose outputs are all maps as it is with ZipMap taken out; False if that changes nothing."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        return False
    made, maps = _zipmap.take_out(model, file)
    if maps:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, file.name)
            copy.write_bytes(made.SerializeToString())
            _binary.check_onnx(copy)
    return bool(maps)


def labels(file: Path, outputs: list[str] | None) -> list[str] | None:
    """The labels that ZipMap gives the first output, if it does."""
    check(file, False)
    model = onnx.ModelProto.FromString(regular_bytes(file, _MOST, "the model"))
    return OnnxFile(model, file, outputs=outputs).labels


def load(file: Path, request: Request) -> tuple[Trained, Request]:
    """Load a file that check accepted."""
    if request.tags or request.signature or request.input_operations:
        raise ExportError(f"{file}: an ONNX file has no tag, signature or inputs to choose, only outputs")
    try:
        model = onnx.ModelProto.FromString(regular_bytes(file, _MOST, "the model"))
    except DecodeError as e:
        raise ExportError(f"{file}: it is not an ONNX model: {e}") from None
    loaded = OnnxFile(model, file, outputs=request.output_operations, labels=request.labels)
    if request.pictures is not None:
        loaded.take_pictures(request.picture_name)
    else:
        loaded.settle(request.rows)
    if loaded.labels and request.task in (None, *LABELLED):
        request = _labelled(file, loaded.labels, request)
    return loaded, replace(request, missing=True)


def _labelled(file: Path, labels: list[str], request: Request) -> Request:
    """The request with ZipMap's labels, unless the user renames them.

    Raises:
        ExportError: the user gives the same labels in another order.
    """
    named = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
    if request.labels is None:
        note = f"the labels are those of ZipMap, which is taken out: {named}"
        return replace(request, labels=labels, notes=[*request.notes, note])
    if request.labels != labels and set(request.labels) == set(labels):
        raise ExportError(
            f"{file}: ZipMap has the labels in another order, {named}: leave out {argument('labels')}"
        )
    return request


def test_data(file: Path) -> tuple[Arrays, Arrays] | None:
    """Rows and answers in the ``test_data_set_N`` folders beside a file, by the graph's names.

    Raises:
        ExportError: a set cannot be read.
    """
    folders = sorted(
        (f for f in file.parent.glob("test_data_set_*") if f.is_dir() and f.name[14:].isdigit()),
        key=lambda f: int(f.name[14:]),
    )
    if not folders:
        return None
    if len(folders) > _MOST_SETS:
        raise ExportError(
            f"{file}: there are {len(folders)} sets of test data beside it, more than {_MOST_SETS}"
        )
    check(file, False)
    try:
        model = onnx.ModelProto.FromString(regular_bytes(file, _MOST, "the model"))
    except DecodeError as e:
        raise ExportError(f"{file}: it is not an ONNX model: {e}") from None
    bare = OnnxFile(model, file)
    if bare.labels:  # its answers are maps
        return None
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    left = _MOST_SET
    for folder in folders:
        for kind, infos in (("input", bare.inputs), ("output", bare.outputs)):
            for i, info in enumerate(infos):
                path = folder / f"{kind}_{i}.pb"
                data = regular_bytes(path, left, "the test data")
                left -= len(data)
                array = _array(path, data)
                parts.setdefault(info.name, []).append(array[None] if bare.batch == SINGLE else array)
    try:
        joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    except ValueError as e:
        raise ExportError(
            f"{file}: its sets of test data differ in shape: {e}; give examples in a file"
        ) from None
    return {e.name: joined[e.name] for e in bare.inputs}, {e.name: joined[e.name] for e in bare.outputs}


def _array(path: Path, data: bytes) -> npt.NDArray[Any]:
    try:
        tensor = TensorProto.FromString(data)
    except DecodeError as e:
        raise ExportError(f"{path}: it is not a tensor: {e}") from None
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ExportError(f"{path}: its data is in another file, which forgo does not read")
    if tensor.data_type not in TYPES:
        raise ExportError(f"{path}: it is a tensor of a type that bundles do not support")
    try:
        made = numpy_helper.to_array(tensor)
    except Exception as e:  # onnx raises all kinds for damaged tensors
        raise ExportError(f"{path}: it cannot be read: {first_line(e)}") from None
    return typed(made, STRING) if tensor.data_type == TensorProto.STRING else made


ADAPTER = Adapter(
    module=__name__,
    files="an .onnx file",
    engines=("onnxruntime",),
    chooses=True,
    layouts=("last", "first"),
    is_file=lambda path: path.suffix == SUFFIX and not path.is_dir(),
    check=check,
    load=load,
    labels=labels,
    test_data=test_data,
)
