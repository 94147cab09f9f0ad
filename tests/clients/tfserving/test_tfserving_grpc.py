"""TensorFlow Serving's own stubs, called as its examples and tutorials call them.

https://github.com/tensorflow/serving/tree/master/tensorflow_serving/example
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.clients.servers import Server, bundle_of, running

Serve = Callable[[str], Server]
ROW = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)


class Client:
    """The stubs of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.channel = grpc.insecure_channel(server.grpc)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def request(self, kind: Any, **spec: Any) -> Any:
        request = kind()
        request.model_spec.name = spec.pop("name", self.server.model)
        if "version" in spec:
            request.model_spec.version.value = spec.pop("version")
        for field, value in spec.items():
            setattr(request.model_spec, field, value)
        return request

    def predict(self, inputs: dict[str, Any], *, outputs: tuple[str, ...] = (), **spec: Any) -> Any:
        request = self.request(predict_pb2.PredictRequest, **spec)
        for name, value in inputs.items():
            proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
            request.inputs[name].CopyFrom(proto)
        request.output_filter.extend(outputs)
        return self.predictions.Predict(request, timeout=60)

    def classify(self, *features: dict[str, tf.train.Feature], **spec: Any) -> Any:
        request = self.request(classification_pb2.ClassificationRequest, **spec)
        request.input.example_list.examples.extend(example(f) for f in features)
        return self.predictions.Classify(request, timeout=60)

    def status(self, **spec: Any) -> list[tuple[int, str]]:
        request = self.request(get_model_status_pb2.GetModelStatusRequest, **spec)
        versions = self.models.GetModelStatus(request, timeout=60).model_version_status
        state = get_model_status_pb2.ModelVersionStatus.State.Name
        return [(version.version, state(version.state)) for version in versions]


def example(features: dict[str, tf.train.Feature]) -> tf.train.Example:
    return tf.train.Example(features=tf.train.Features(feature=features))


def floats(*values: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


@pytest.fixture
def connect(serve: Serve) -> Iterator[Callable[[str], Client]]:
    clients: list[Client] = []

    def connected(model: str) -> Client:
        clients.append(Client(serve(model)))
        return clients[-1]

    yield connected
    for client in clients:
        client.channel.close()


Connect = Callable[[str], Client]


def test_rows_are_answered_as_the_training_framework_did(connect: Connect) -> None:
    client = connect("iris")
    rows, labels = zip(*client.server.rows(), strict=True)
    result = client.predict({"input": np.array(rows, np.float32)}, signature_name="serving_default")
    assert list(result.outputs) == ["probabilities"]
    assert len(result.outputs["probabilities"].float_val) == 3 * len(rows)
    scores = tf.make_ndarray(result.outputs["probabilities"])
    assert [client.server.manifest["labels"][i] for i in scores.argmax(1)] == list(labels)


@pytest.mark.parametrize(
    "values",
    [
        np.array([[True, False]]),
        np.array([[b"Hello World!", "Grüße".encode()]], np.object_),
        *(np.array([[np.iinfo(n).min, np.iinfo(n).max]], n) for n in ("int8", "int16", "int32", "int64")),
        *(np.array([[0, np.iinfo(n).max]], n) for n in ("uint8", "uint16", "uint32", "uint64")),
        *(np.array([[1.5, -2], [np.inf, np.nan]], n) for n in ("float16", "float32", "float64")),
        np.array([[1.5, -2], [np.inf, np.nan]], ml_dtypes.bfloat16),
    ],
    ids=lambda values: str(values.dtype),
)
def test_every_type_comes_back(connect: Connect, values: Any) -> None:
    dtype = "string" if values.dtype == np.object_ else str(values.dtype)
    client = connect(f"same-{dtype}")
    typed = client.predict({"x": tf.make_tensor_proto(values)}).outputs["y"]
    assert not typed.tensor_content  # which many clients do not read
    for answer in (typed, client.predict({"x": typed}).outputs["y"]):
        back = tf.make_ndarray(answer)
        assert back.dtype == values.dtype
        assert back.tolist() == values.tolist() or np.array_equal(
            back.astype("float64"), values.astype("float64"), equal_nan=True
        )


def test_one_value_stands_for_all(connect: Connect) -> None:
    """tf.make_tensor_proto of a number and a shape writes the number once."""
    proto = tf.make_tensor_proto(2.5, dtype=tf.float32, shape=[3, 2])
    assert len(proto.float_val) == 1
    answer = tf.make_ndarray(connect("same-float32").predict({"x": proto}).outputs["y"])
    assert answer.tolist() == [[2.5, 2.5]] * 3


def test_several_inputs_with_strings(connect: Connect) -> None:
    inputs = {
        "tag": np.array([b"foo", b"bar"], np.object_),
        "signal": np.array([[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]], np.int64),
        "sensor": np.array([[[1, 2], [3, 4]], [[4, 5], [6, 8]]], np.float64),
    }
    client = connect("sensors")
    types = {end["name"]: end["dtype"] for end in client.server.manifest["inputs"]}
    inputs = {n: v if types[n] == "string" else v.astype(types[n]) for n, v in inputs.items()}
    outputs = client.predict(inputs).outputs
    assert {n: tf.make_ndarray(v).tolist() for n, v in outputs.items()} == {
        f"{n}_again": v.tolist() for n, v in inputs.items()
    }
    assert list(client.predict(inputs, outputs=("tag_again",)).outputs) == ["tag_again"]


def test_encoded_pictures(connect: Connect) -> None:
    """As resnet_client_grpc.py sends them, and through Classify."""
    client = connect("shapes")
    labels = client.server.manifest["labels"]
    for data, label in client.server.pictures():
        result = client.predict({"image": tf.make_tensor_proto(data, shape=[1])})
        scores = result.outputs["probabilities"].float_val
        assert labels[np.argmax(scores)] == label
        picture = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
        (classified,) = client.classify({"image": picture}).result.classifications
        assert [c.label for c in classified.classes] == labels
        np.testing.assert_allclose([c.score for c in classified.classes], scores, rtol=1e-5, atol=1e-6)


def test_classify_and_regress(connect: Connect) -> None:
    iris = connect("iris")
    rows, labels = zip(*iris.server.rows(), strict=True)
    result = iris.classify(*({"input": floats(*row)} for row in rows)).result
    best = [max(c.classes, key=lambda one: one.score).label for c in result.classifications]
    assert best == list(labels)
    half = connect("regression:half-plus-three")
    request = half.request(regression_pb2.RegressionRequest, signature_name="tensorflow/serving/regress")
    shared = request.input.example_list_with_context
    shared.context.CopyFrom(example({"x": floats(4)}))
    shared.examples.extend([example({"x": floats(1)}), example({})])
    answer = half.predictions.Regress(request, timeout=60)
    assert [r.value for r in answer.result.regressions] == [3.5, 5.0]


def test_several_signatures(tmp_path: Path) -> None:
    """half_plus_two by each of its signatures, as TensorFlow Serving's own tests call it."""
    bundle = bundle_of("half_plus_two", tmp_path)
    with running(bundle) as places:
        client = Client(Server("half_plus_two", bundle, **places))
        x = np.array([[1], [2], [5]], np.float32)
        for name in ("", "serving_default"):
            outputs = client.predict({"x": x}, signature_name=name).outputs
            assert tf.make_ndarray(outputs["y"]).tolist() == [[2.5], [3.0], [4.5]]
        answer = client.predict({"inputs": x}, signature_name="regress_x2_to_y3")
        assert tf.make_ndarray(answer.outputs["outputs"]).tolist() == [[3.5], [4.0], [5.5]]
        assert answer.model_spec.signature_name == "regress_x2_to_y3"
        serialized = np.array([example({"x": floats(1)}).SerializeToString()], np.object_)
        answer = client.predict({"inputs": serialized}, signature_name="regress_x_to_y2")
        assert tf.make_ndarray(answer.outputs["outputs"]).tolist() == [[3.5]]

        request = client.request(regression_pb2.RegressionRequest, signature_name="regress_x_to_y")
        request.input.example_list.examples.extend([example({"x": floats(80)}), example({"x": floats(20)})])
        regressed = client.predictions.Regress(request, timeout=60)
        assert [r.value for r in regressed.result.regressions] == [42, 12]
        classified = client.classify(
            {"x": floats(80)}, {"x": floats(20)}, signature_name="classify_x_to_y"
        ).result
        assert [[(c.label, c.score) for c in one.classes] for one in classified.classifications] == [
            [("", 42)],
            [("", 12)],
        ]

        request = client.request(get_model_metadata_pb2.GetModelMetadataRequest)
        request.metadata_field.append("signature_def")
        described = client.predictions.GetModelMetadata(request, timeout=60)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert described.metadata["signature_def"].Unpack(signatures)
        assert {
            name: (s.method_name.split("/")[-1], list(s.inputs), list(s.outputs))
            for name, s in signatures.signature_def.items()
        } == {
            "serving_default": ("predict", ["x"], ["y"]),
            "regress_x_to_y": ("regress", ["inputs"], ["outputs"]),
            "regress_x_to_y2": ("regress", ["inputs"], ["outputs"]),
            "regress_x2_to_y3": ("regress", ["inputs"], ["outputs"]),
            "classify_x_to_y": ("classify", ["inputs"], ["scores"]),
            "classify_x2_to_y3": ("classify", ["inputs"], ["scores"]),
        }
        with pytest.raises(grpc.RpcError, match="regress_x_to_y2") as refused:
            client.predict({"x": x}, signature_name="nowhere")
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        client.channel.close()


def test_metadata(connect: Connect) -> None:
    for model, name, dtype, shape in (
        ("iris", "input", tf.float32, [None, 4]),
        ("shapes", "image", tf.string, [None]),
    ):
        client = connect(model)
        request = client.request(get_model_metadata_pb2.GetModelMetadataRequest)
        request.metadata_field.append("signature_def")
        answer = client.predictions.GetModelMetadata(request, timeout=60)
        assert (answer.model_spec.name, answer.model_spec.version.value) == (model, 1)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(signatures)
        signature = signatures.signature_def["serving_default"]
        assert list(signature.inputs) == [name]
        assert signature.inputs[name].dtype == dtype.as_datatype_enum
        assert tf.TensorShape(signature.inputs[name].tensor_shape).as_list() == shape
        assert list(signature.outputs) == ["probabilities"]
        assert signature.method_name == "tensorflow/serving/predict"


def test_versions_and_labels(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    bundle = bundle_of("iris", tmp_path)
    for number in ("1", "2"):
        shutil.copytree(bundle, folder / "iris" / number)
    config = tmp_path / "forgo.yaml"
    config.write_text(
        f"models: {{iris: {{path: {folder / 'iris'}, labels: {{stable: '1', canary: '2'}}}}}}\n"
    )
    with running("--config", config, "--watch", "0") as places:
        client = Client(Server("iris", bundle, **places))
        assert client.status() == [(2, "AVAILABLE"), (1, "AVAILABLE")]
        assert client.status(version=1) == client.status(version_label="stable") == [(1, "AVAILABLE")]
        for spec, version in (
            ({}, 1),  # the one labelled stable
            ({"version": 1}, 1),
            ({"version": 2}, 2),
            ({"version_label": "stable"}, 1),
            ({"version_label": "canary"}, 2),
        ):
            answer = client.predict({"input": ROW}, **spec)
            assert (answer.model_spec.name, answer.model_spec.version.value) == ("iris", version)
            assert answer.model_spec.signature_name == "serving_default"
        client.channel.close()


INVALID = "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("inputs", "spec", "code", "words"),
    [
        ({"input": ROW}, {"name": "other"}, "NOT_FOUND", '"other"'),
        ({"input": ROW}, {"version": 9}, "NOT_FOUND", '"9"'),
        ({"input": ROW}, {"version_label": "canary"}, INVALID, '"canary"'),
        ({"input": ROW}, {"signature_name": "train"}, "FAILED_PRECONDITION", '"train"'),
        ({"input": ROW}, {"outputs": ("wrong",)}, INVALID, '"wrong"'),
        ({}, {}, INVALID, '"input"'),
        ({"wrong": ROW}, {}, INVALID, '"wrong"'),
        ({"input": ROW.astype(np.float64)}, {}, INVALID, "DT_DOUBLE"),
        ({"input": ROW[:, :3]}, {}, INVALID, '"input"'),
        ({"input": ROW.astype(np.complex64)}, {}, INVALID, "DT_COMPLEX64"),
    ],
)
def test_refusals(connect: Connect, inputs: Any, spec: Any, code: str, words: str) -> None:
    client = connect("iris")
    with pytest.raises(grpc.RpcError) as refused:
        client.predict(inputs, **spec)
    assert refused.value.code().name == code
    assert words in refused.value.details()
    assert client.predict({"input": ROW}).outputs


def test_what_is_not_spoken_is_said(connect: Connect) -> None:
    client = connect("iris")
    for call, request, words in (
        (client.predictions.MultiInference, inference_pb2.MultiInferenceRequest(), "Classify"),
        (
            client.models.HandleReloadConfigRequest,
            model_management_pb2.ReloadConfigRequest(),
            "RepositoryModelLoad",
        ),
    ):
        with pytest.raises(grpc.RpcError, match=words) as refused:
            call(request, timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_pictures_beside_other_inputs(connect: Connect) -> None:
    """Encoded pictures under "image", the other inputs by their names, a row for a row."""
    client = connect("halves")
    cases = client.server.pictures()  # the golden cases' raw JSON rows
    rows = [json.loads(raw) for raw, _ in cases]
    inputs = {
        "image": np.array([base64.b64decode(row["image"]["b64"]) for row in rows], np.object_),
        "ink": np.array([row["ink"] for row in rows], np.float32),
    }
    scores = tf.make_ndarray(client.predict(inputs).outputs["probabilities"])
    labels = client.server.manifest["labels"]
    assert [labels[i] for i in scores.argmax(1)] == [label for _, label in cases]
    with pytest.raises(grpc.RpcError) as refused:
        client.predict({"image": inputs["image"]})
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "ink" in refused.value.details()
