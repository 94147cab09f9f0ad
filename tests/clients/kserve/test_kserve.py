"""What KServe's clients ask: the Open Inference Protocol over REST and gRPC, and the V1 protocol's predict."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, RESTConfig

from tests.clients.kserve.conftest import FORMS, Client, Form
from tests.clients.servers import Server

Connect = Callable[[Form, str], Client]
every_form = pytest.mark.parametrize("form", FORMS, ids=str)
REST, GRPC = FORMS[0], FORMS[-1]

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
VALUES: dict[str, Any] = {
    "bool": np.array([[True, False], [False, True]]),
    "string": np.array([["", "Grüße, 世界"], ['"quoted"\n', "x" * 5000]], dtype=np.object_),
    **{name: np.array([[np.iinfo(name).min, np.iinfo(name).max], [0, 1]], dtype=name) for name in INTEGERS},
    **{name: np.array([[0.1, -1e4], [3, 0]], dtype=name) for name in ("float16", "float32", "float64")},
}


CASES = [  # lists have no half precision
    (form, dtype)
    for dtype in VALUES
    for form in FORMS
    if (form.binary_in and form.binary_out) or dtype != "float16"
]


@pytest.mark.parametrize(("form", "dtype"), CASES, ids=str)
def test_every_datatype_comes_back(connect: Connect, form: Form, dtype: str) -> None:
    result = connect(form, f"same-{dtype}").infer({"x": VALUES[dtype]}).outputs[0].as_numpy()
    if dtype == "string":
        result = np.array([s.decode() if isinstance(s, bytes) else s for s in result.flatten()]).reshape(2, 2)
    assert result.tolist() == VALUES[dtype].tolist()


@pytest.mark.parametrize(
    "form", [f for f in FORMS if (f.binary_out and f.binary_in) or f.kind == "grpc"], ids=str
)
def test_numbers_that_are_not_finite(connect: Connect, form: Form) -> None:
    """The client's JSON library has none of them: over REST they travel as binary data."""
    rows = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    result = connect(form, "same-float32").infer({"x": rows}).outputs[0].as_numpy()
    assert result.tobytes() == rows.tobytes()


@every_form
def test_an_empty_batch(connect: Connect, form: Form) -> None:
    result = connect(form, "same-float32").infer({"x": np.empty((0, 2), np.float32)})
    assert result.outputs[0].as_numpy().shape == (0, 2)


@every_form
def test_several_inputs_ids_and_parameters(connect: Connect, form: Form) -> None:
    a, b = np.array([[1, 2]], np.float32), np.array([[10, 20]], np.float32)
    answer = connect(form, "two").infer({"b": b, "a": a}, request_id="42", parameters={"trace": "abc"})
    assert (answer.id, answer.model_name) == ("42", "two")
    results = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    assert results == {"sum": (a + b).tolist(), "difference": (a - b).tolist()}


@every_form
def test_encoded_pictures(connect: Connect, form: Form) -> None:
    client = connect(form, "shapes")
    pictures, labels = zip(*client.server.pictures(), strict=True)
    as_text = form.kind == "rest" and not form.binary_in
    sent = [base64.b64encode(p) if as_text else p for p in pictures]
    answer = client.infer({"image": np.array(sent, np.object_)})
    best = answer.outputs[0].as_numpy().argmax(axis=1)
    assert [client.server.manifest["labels"][i] for i in best] == list(labels)


@pytest.mark.parametrize("form", [REST, GRPC], ids=str)
def test_health(connect: Connect, form: Form) -> None:
    client = connect(form, "iris")
    assert client.call("is_server_live") is True
    assert client.call("is_server_ready") is True
    assert client.call("is_model_ready", "iris") is True
    assert client.call("is_model_ready", "other") is False


@every_form
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"wrong": np.zeros((1, 4), np.float32)}, '"input"'),
        ({"input": np.zeros((1, 3), np.float32)}, '"input"'),
        ({"input": np.zeros((1, 4), np.float64)}, '"input"'),
    ],
)
def test_refusals_say_what_is_wrong(connect: Connect, form: Form, inputs: dict[str, Any], words: str) -> None:
    client = connect(form, "iris")
    expected = httpx.HTTPStatusError if form.kind == "rest" else grpc.RpcError
    with pytest.raises(expected) as refused:
        client.infer(inputs)
    if form.kind == "rest":
        assert refused.value.response.status_code == 400
        assert words in str(refused.value)
    else:
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in refused.value.details()


def test_unknown_models_are_not_found(connect: Connect) -> None:
    rest, rpc = connect(REST, "iris"), connect(GRPC, "iris")
    row = {"input": np.zeros((1, 4), np.float32)}
    with pytest.raises(httpx.HTTPStatusError, match=r'"other".*404'):
        rest.call("infer", rest.request(row), model_name="other")
    request = rpc.request(row)
    request.model_name = "other"
    with pytest.raises(grpc.RpcError) as refused:
        rpc.call("infer", request)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("form", [FORMS[3], GRPC], ids=str)
def test_requests_over_the_limit_are_told_so(connect: Connect, form: Form) -> None:
    client = connect(form, "same-float32")
    with pytest.raises((httpx.HTTPStatusError, grpc.RpcError), match="33554432"):
        client.infer({"x": np.zeros((16 << 20, 2), np.float32)})
    assert client.call("is_server_ready") is True


def by_v1(server: Server, ask: Callable[[InferenceRESTClient], Any]) -> Any:
    async def run() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        try:
            return await ask(client)
        finally:
            await client.close()

    return asyncio.run(run())


def test_ready_by_the_v1_protocol(serve: Callable[[str], Server]) -> None:
    server = serve("iris")
    assert by_v1(server, lambda client: client.is_model_ready(server.url, "iris")) is True
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        by_v1(server, lambda client: client.is_model_ready(server.url, "other"))


def test_nan_by_the_v1_protocol(serve: Callable[[str], Server]) -> None:
    """It sends NaN as null, which is taken. NaN comes back as a bare word, which it cannot read."""
    server = serve("same-float32")
    rows = {"instances": [[np.nan, 1.0]]}
    with pytest.raises(ValueError, match="line 1 column 18"):  # {"predictions":[[NaN,1.0]]}
        by_v1(server, lambda client: client.infer(server.url, rows, model_name="same-float32"))


def test_predict_by_the_v1_protocol(connect: Connect, serve: Callable[[str], Server]) -> None:
    """Which is TensorFlow Serving's: a model's status is in that server's form."""
    server = serve("iris")
    rows, labels = zip(*server.rows(), strict=True)

    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        try:
            return await client.infer(server.url, {"instances": rows}, model_name="iris")
        finally:
            await client.close()

    best = np.argmax(connect(REST, "iris").run(ask())["predictions"], axis=1)
    assert [server.manifest["labels"][i] for i in best] == list(labels)
