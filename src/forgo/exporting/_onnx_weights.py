"""Weights that an ONNX graph keeps in other files of its folder, as MLflow writes them: they go into one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper

from forgo._errors import ExportError
from forgo.exporting._onnx import regular_bytes

_MOST = (2 << 30) - 1
"""The largest protobuf message, in bytes."""


def joined(file: Path, find: Callable[[str], Path], folder: Callable[[], Path]) -> Path:
    """A file with all of a graph's weights: itself, or one that is written into a folder.

    Args:
        file: the graph.
        find: returns the path of a file that the graph names, or refuses it.
        folder: makes the folder where the new file goes.

    Raises:
        ExportError: the weights cannot be read, or are too large for one file.
    """
    try:
        model = onnx.ModelProto.FromString(regular_bytes(file, _MOST, "the graph"))
    except DecodeError:
        return file  # which its adapter refuses
    outside = [t for t in _tensors(model.graph) if t.data_location == TensorProto.EXTERNAL]
    if not outside:
        return file
    size = model.ByteSize()
    for tensor in outside:
        try:
            info = external_data_helper.ExternalDataInfo(tensor)
            held = find(str(info.location))
            if not held.is_file():
                raise ExportError(f"{held}: it is not a regular file")
            size += info.length if isinstance(info.length, int) else held.stat().st_size
            if size > _MOST:
                raise ExportError(
                    f"{file}: its weights are more than {_MOST} bytes, the most that one file holds"
                )
            external_data_helper.load_external_data_for_tensor(tensor, str(file.parent))
        except ExportError:
            raise
        except Exception as e:  # onnx raises all kinds for what it does not read
            raise ExportError(f"{file}: the weights {tensor.name!r} cannot be read: {e}") from None
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    made = folder() / file.name
    made.write_bytes(model.SerializeToString())
    return made


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
