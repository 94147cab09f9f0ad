"""Warm-up records: the golden cases as requests that TensorFlow Serving replays before it serves a SavedModel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from forgo._bundle import Staging
from forgo.exporting._model import Arrays, SavedGraph

FILE = "assets.extra/tf_serving_warmup_requests"
"""Where in a SavedModel's folder TensorFlow Serving looks. It takes at most 1,000 records."""


def write(
    stage: Staging, folder: str, model: str, graph: SavedGraph, cases: Iterable[tuple[Arrays, Arrays]]
) -> None:
    """Write one ``tensorflow.serving.PredictionLog`` for each case: the request and its response.

    Args:
        stage: the bundle.
        folder: the SavedModel's folder in it.
        model: the name that requests ask for.
        graph: how the SavedModel is called: by a signature.
        cases: inputs and outputs by logical name, each with a batch of one.
    """
    import tensorflow as tf

    path = stage.folder / folder / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for inputs, outputs in cases:
            file.write(_prediction_log(model, graph, inputs, outputs))
    stage.adopt(f"{folder}/{Path(FILE).parent}")


def _prediction_log(model: str, graph: SavedGraph, inputs: Arrays, outputs: Arrays) -> bytes:
    """Encode the message by hand: five fields do not need the package tensorflow-serving-api.

    spec/proto/tensorflow_serving.proto has the field numbers, with prediction_log.proto beside it.
    """
    spec = _field(1, model.encode()) + _field(3, (graph.signature or "").encode())
    # The response is the whole answer even if the signature has more outputs than were recorded.
    wanted = [_field(3, graph.names.get(name, name).encode()) for name in outputs]
    request = _field(1, spec) + _tensors(2, graph, inputs) + b"".join(wanted)
    response = _tensors(1, graph, outputs) + _field(2, spec)
    return _field(6, _field(1, request) + _field(2, response))


def _tensors(number: int, graph: SavedGraph, arrays: Arrays) -> bytes:
    """A map<string, TensorProto>, under the signature's own names."""
    import tensorflow as tf

    return b"".join(
        _field(
            number,
            _field(1, graph.names.get(name, name).encode())
            + _field(2, tf.make_tensor_proto(array).SerializeToString(deterministic=True)),
        )
        for name, array in arrays.items()
    )


def _field(number: int, data: bytes) -> bytes:
    """One length-delimited field of a message."""
    size, length = len(data), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + data
