"""The warm-up records of a bundle's SavedModel, read by TensorFlow Serving's own messages.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

from tests.clients.servers import COMMAND, running
from tests.conftest import BUNDLES

NAMES = {"my_rows": "my rows", "scores_softmax": "scores/softmax", "pixels": "pixels", "text": "text", "probabilities": "probabilities", "logits": "logits"}  # fmt: skip


def pictures(folder: Path) -> list[str | Path]:
    """A Keras classifier, whose SavedModel forgo writes."""
    keras.utils.set_random_seed(3)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(pixels, x).save(folder / "model.keras")
    return [folder / "model.keras", "--examples", BUNDLES / "shapes.forgo" / "golden"]


def rows(folder: Path) -> list[str | Path]:
    """A SavedModel of TensorFlow 1, whose signature has names of its own and one output more."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4])
        logits = tf.matmul(x, v1.get_variable("kernel", [4, 3]))
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def(
            {"my rows": x}, {"scores/softmax": tf.nn.softmax(logits), "class": tf.argmax(logits, 1)}
        )
        builder = v1.saved_model.Builder(str(folder / "old"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"answer": signature})
        builder.save()
    np.save(folder / "rows.npy", np.random.default_rng(5).normal(size=(9, 4)).astype(np.float32))
    return [folder / "old", "--examples", folder / "rows.npy", "--output", "scores/softmax"]


def texts(folder: Path) -> list[str | Path]:
    """A Keras classifier of texts, with a table of words."""
    keras.utils.set_random_seed(4)
    words = [
        "red wine and white",
        "the iris of a flower",
        "wine",
        "a flower is red",
        "Grüße",
        "of the white iris",
    ]
    vectorize = keras.layers.TextVectorization(max_tokens=20, output_mode="count")
    vectorize.adapt(words)
    text = keras.Input((), dtype="string", name="text")
    scores = keras.layers.Dense(3, activation="softmax")(vectorize(text))
    keras.Model(text, scores).save(folder / "model.keras")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, words)))
    return [folder / "model.keras", "--examples", folder / "rows.jsonl"]


def golden_of(file: Path) -> dict[str, npt.NDArray[Any]]:
    """A golden case's tensors; strings are kept as bytes and lengths."""
    stored = load_file(file)
    tensors = {}
    for name, array in stored.items():
        lengths = stored.get(f"{name}:lengths")
        if lengths is not None:
            ends = np.cumsum(lengths)
            joined = array.tobytes()
            array = np.array([joined[e - n : e] for e, n in zip(ends, lengths, strict=True)], object)
        if not name.endswith(":lengths"):
            tensors[name] = array
    return tensors


def arrays(tensors: Any) -> dict[str, npt.NDArray[Any]]:
    return {name: tf.make_ndarray(tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("make", "signature"), [(pictures, "serving_default"), (texts, "serving_default"), (rows, "answer")]
)
def test_records(tmp_path: Path, make: Callable[[Path], list[str | Path]], signature: str) -> None:
    bundle = tmp_path / "m.forgo"
    export = [COMMAND, "export", *make(tmp_path), "-o", bundle, "--engine", "tensorflow"]
    subprocess.run(export, check=True, timeout=300)
    manifest = json.loads((bundle / "forgo.json").read_text())
    file = "saved_model/assets.extra/tf_serving_warmup_requests"
    assert file in manifest["files"]

    # TFRecordDataset, and not a loop over the file, because it checks every record's sums.
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(bundle / file))]
    logs = [prediction_log_pb2.PredictionLog.FromString(r).predict_log for r in records]
    assert len(logs) == len(manifest["golden"]["cases"]) >= 4
    answer = tf.saved_model.load(str(bundle / "saved_model"), tags=["serve"]).signatures[signature]
    for case, log in zip(manifest["golden"]["cases"], logs, strict=True):
        golden = golden_of(bundle / case["tensors"])
        for kind, recorded in (("input", log.request.inputs), ("output", log.response.outputs)):
            want = {NAMES[k.partition(".")[2]]: v for k, v in golden.items() if k.startswith(f"{kind}.")}
            np.testing.assert_equal(arrays(recorded), want)
        for spec in (log.request.model_spec, log.response.model_spec):
            assert (spec.name, spec.signature_name) == ("m", signature)
        assert set(log.request.output_filter) == set(log.response.outputs)
        said = answer(**{name: tf.constant(a) for name, a in arrays(log.request.inputs).items()})
        for name, recorded in arrays(log.response.outputs).items():
            np.testing.assert_allclose(said[name].numpy(), recorded, rtol=1e-4, atol=1e-4)

    if make is rows:  # forgo's own clients see my_rows
        return
    with running(bundle) as places, grpc.insecure_channel(places["grpc"]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for log in logs:
            got = arrays(stub.Predict(log.request, timeout=60).outputs)
            for name, recorded in arrays(log.response.outputs).items():
                np.testing.assert_allclose(got[name], recorded, rtol=1e-4, atol=1e-4)
