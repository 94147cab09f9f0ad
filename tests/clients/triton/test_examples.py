"""What the examples of Triton's client repository do: the same calls, and the same checks of the answers.

They are not part of the published package. Their models are not either: each call goes to a model of
this project with the same kind of inputs and outputs.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.model_config_pb2 as mc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from tests.clients.servers import COLOURS
from tests.clients.triton.conftest import KINDS, Client, Form

Connect = Callable[[Form, str], Client]
every_client = pytest.mark.parametrize("kind", list(KINDS))


def configuration(client: Client, model: str) -> dict[str, Any]:
    """A model's configuration, which gRPC wraps in a message and gives integers of 64 bits as text."""
    answer = client.ask("get_model_config", model)
    config: dict[str, Any] = answer if client.form.is_http else answer["config"]
    return config


def stub(client: Client) -> Any:
    """The generated code that the examples in other languages are written with."""
    return service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(client.server.grpc))


def classes(results: Any, name: str) -> list[list[list[str]]]:
    """An output's classes as image_client reads them: value, index and label of each."""
    return [
        [(c.decode() if isinstance(c, bytes) else c).split(":") for c in row]
        for row in results.as_numpy(name)
    ]


@every_client
def test_image_client(connect: Connect, kind: str) -> None:
    """Metadata and configuration say how to prepare a picture; the answer is its best classes."""
    client = connect(Form(kind), "classification:planes")
    name = client.server.model
    metadata, config = client.ask("get_model_metadata", name), configuration(client, name)
    (tensor,), (output,), (configured,) = metadata["inputs"], metadata["outputs"], config["input"]
    assert (output["datatype"], len(output["shape"])) == ("FP32", 2)
    assert config["max_batch_size"] > 0
    assert configured["name"] == tensor["name"]
    assert configured["format"] == mc.ModelInput.Format.Name(mc.ModelInput.FORMAT_NCHW)
    channels, height, width = map(int, tensor["shape"][1:])
    assert [channels, height, width] == [int(size) for size in configured["dims"]]
    typed = triton_to_np_dtype(tensor["datatype"])
    pictures = np.zeros((2, channels, height, width), typed)
    pictures[0, 1], pictures[0, 2], pictures[1, 2] = 2, 1, 3  # more green than blue; blue
    inputs = [client.library.InferInput(tensor["name"], pictures.shape, tensor["datatype"])]
    inputs[0].set_data_from_numpy(pictures)
    for count in (1, 3):
        outputs = [client.library.InferRequestedOutput(output["name"], class_count=count)]
        results = client.call("infer", name, inputs, request_id="1", outputs=outputs)
        green, blue = classes(results, output["name"])
        assert [c[2] for c in green] == ["green", "blue", "red"][:count]
        assert blue[0] == ["3.000000", "2", "blue"]
        assert all(COLOURS[int(c[1])] == c[2] for c in green + blue)
    if kind == "grpc":  # --async
        answers: queue.Queue[Any] = queue.Queue()
        client.raw.async_infer(
            name, inputs, lambda result, error: answers.put((result, error)), outputs=outputs
        )
        result, error = answers.get(timeout=60)
        assert error is None
        assert classes(result, output["name"]) == [green, blue]
    elif kind == "http":
        waiting = client.raw.async_infer(name, inputs, outputs=outputs)
        assert classes(waiting.get_result(), output["name"]) == [green, blue]


@every_client
def test_ensemble_image_client(connect: Connect, kind: str) -> None:
    """Files of pictures go as they are, as many as the configuration lets into a batch."""
    client = connect(Form(kind), "shapes")
    metadata, config = client.ask("get_model_metadata", "shapes"), configuration(client, "shapes")
    (tensor,), (configured,) = metadata["inputs"], config["input"]
    assert (configured["data_type"], [int(size) for size in configured["dims"]]) == ("TYPE_STRING", [1])
    pictures, labels = zip(*client.server.pictures()[: config["max_batch_size"]], strict=True)
    batch = np.array([[picture] for picture in pictures], np.object_)
    inputs = [client.library.InferInput(tensor["name"], batch.shape, "BYTES")]
    inputs[0].set_data_from_numpy(batch)
    outputs = [client.output(metadata["outputs"][0]["name"], class_count=1)]
    results = client.call("infer", "shapes", inputs, outputs=outputs)
    assert [row[0][2] for row in classes(results, metadata["outputs"][0]["name"])] == list(labels)


def test_grpc_client(connect: Connect) -> None:
    """Every call of the generated code, raw contents in and out: the Go and Rust examples, too."""
    client = connect(Form("grpc"), "two")
    calls = stub(client)
    assert calls.ServerLive(service_pb2.ServerLiveRequest()).live
    assert calls.ServerReady(service_pb2.ServerReadyRequest()).ready
    assert calls.ModelReady(service_pb2.ModelReadyRequest(name="two", version="")).ready
    assert calls.ServerMetadata(service_pb2.ServerMetadataRequest()).name
    assert calls.ModelMetadata(service_pb2.ModelMetadataRequest(name="two", version="")).name == "two"
    config = calls.ModelConfig(service_pb2.ModelConfigRequest(name="two", version="")).config
    assert (config.name, config.input[1].name, config.input[1].data_type) == ("two", "b", mc.TYPE_FP32)
    request = service_pb2.ModelInferRequest(model_name="two", model_version="", id="my request id")
    rows = {"a": np.array([[1, 2]], np.float32), "b": np.array([[10, 20]], np.float32)}
    for name, row in rows.items():
        request.inputs.add(name=name, datatype="FP32", shape=[1, 2])
        request.raw_input_contents.append(row.tobytes())
    for name in ("sum", "difference"):
        request.outputs.add(name=name)
    response = calls.ModelInfer(request)
    assert response.id == "my request id"
    given = [np.frombuffer(raw, np.float32).tolist() for raw in response.raw_output_contents]
    assert given == [[11, 22], [-9, -18]]


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [
        ("int8", "int_contents", [-128, 127]),
        ("int32", "int_contents", [-1, 2**31 - 1]),
        ("int64", "int64_contents", [-1, 2**62]),
        ("uint8", "uint_contents", [0, 255]),
        ("float32", "fp32_contents", [0.5, -1]),
        ("float64", "fp64_contents", [0.1, -1]),
        ("bool", "bool_contents", [True, False]),
        ("string", "bytes_contents", [b"0", b"one"]),
    ],
)
def test_explicit_contents(connect: Connect, dtype: str, field: str, values: list[Any]) -> None:
    """Typed contents in, raw contents out: grpc_explicit_*, and the Java, Scala and JavaScript examples."""
    client = connect(Form("grpc"), f"same-{dtype}")
    calls, name = stub(client), client.server.model
    datatype = calls.ModelMetadata(service_pb2.ModelMetadataRequest(name=name)).inputs[0].datatype
    request = service_pb2.ModelInferRequest(model_name=name)
    sent = request.inputs.add(name="x", datatype=datatype, shape=[1, 2])
    getattr(sent.contents, field).extend(values)
    request.outputs.add(name="y")
    response = calls.ModelInfer(request)
    (raw,) = response.raw_output_contents
    given = deserialize_bytes_tensor(raw) if dtype == "string" else np.frombuffer(raw, dtype)
    assert given.tolist() == values
    assert list(response.outputs[0].shape) == [1, 2]
    request.raw_input_contents.append(raw)
    words = f"contents field must not be specified when using raw_input_contents for 'x' for model '{name}'"
    with pytest.raises(grpc.RpcError, match=words):
        calls.ModelInfer(request)


@every_client
def test_health_metadata(connect: Connect, kind: str) -> None:
    """Headers and, over HTTP, parameters in the address that say nothing to the server are let pass."""
    client = connect(Form(kind), "iris")
    options: dict[str, Any] = {"headers": {"test": "1", "dummy": "2"}}
    if client.form.is_http:
        options["query_params"] = {"test_1": 1, "test_2": 2}
    assert client.call("is_server_live", **options)
    assert client.ask("get_model_metadata", "iris", **options)["name"] == "iris"
    for version in ("", "1"):
        config = client.ask("get_model_config", "iris", version, **options)
        assert (config if client.form.is_http else config["config"])["name"] == "iris"


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_reuse_infer_objects(connect: Connect, kind: str) -> None:
    """The same input and output objects for one request after another, other data in them."""
    client = connect(Form(kind), "two")
    inputs = [client.library.InferInput(name, [1, 2], "FP32") for name in ("a", "b")]
    outputs = [client.library.InferRequestedOutput(name) for name in ("sum", "difference")]
    for n in range(5):
        for i, tensor in enumerate(inputs):
            tensor.set_data_from_numpy(np.full((1, 2), n + i, np.float32))
        results = client.call("infer", "two", inputs, outputs=outputs)
        assert results.as_numpy("sum").tolist() == [[2 * n + 1] * 2]
        assert results.as_numpy("difference").tolist() == [[-1] * 2]
