"""Every refusal reaches Triton's clients as an exception with a code, and words that say what is wrong."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.clients.servers import serving
from tests.clients.triton.conftest import FORMS, KINDS, Client, Form

Connect = Callable[[Form, str], Client]
ROW = np.zeros((1, 4), np.float32)
NOT_FOUND = ("404", "StatusCode.NOT_FOUND")
INVALID = ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    ("model", "inputs", "options", "code", "words"),
    [
        ("iris", {"input": ROW}, {"model_version": "9"}, NOT_FOUND, '"9"'),
        ("iris", {"wrong": ROW}, {}, INVALID, '"input"'),
        ("iris", {"input": ROW[0]}, {}, INVALID, '"input"'),
        ("iris", {"input": np.zeros((2, 3), np.float32)}, {}, INVALID, '"input"'),
        ("iris", {"input": ROW.astype(np.float64)}, {}, INVALID, '"input"'),
        ("iris", {"input": ROW}, {"outputs": ["wrong"]}, INVALID, '"wrong"'),
        ("iris", {"input": ROW}, {"outputs": ["logits", "logits"]}, INVALID, "twice"),
        ("iris", {"input": ROW}, {"sequence_id": 7, "sequence_start": True}, INVALID, "sequence_id"),
        ("two", {"a": np.zeros((1, 2), np.float32)}, {}, INVALID, '"b"'),
        ("two", {"a": np.zeros((1, 2), np.float32), "b": np.zeros((2, 2), np.float32)}, {}, INVALID, '"b"'),
        ("shapes", {"image": np.array([b"no picture"], np.object_)}, {}, INVALID, "element 0"),
        ("shapes", {"image": np.zeros(1, np.float32)}, {}, INVALID, "BYTES"),
    ],
)
def test_infer_refuses(
    connect: Connect,
    form: Form,
    model: str,
    inputs: dict[str, Any],
    options: dict[str, Any],
    code: tuple[str, str],
    words: str,
) -> None:
    client = connect(form, model)
    with pytest.raises(InferenceServerException) as refused:
        client.infer(inputs, **options)
    assert refused.value.status() == code[not form.is_http]
    assert words in refused.value.message()
    assert client.call("is_model_ready", model)


@pytest.mark.parametrize("kind", list(KINDS))
def test_unknown_models_are_not_found(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "iris")
    calls: dict[str, list[Any]] = {
        "infer": ["other", [client.input("input", ROW)]],
        "get_model_metadata": ["other"],
        "get_inference_statistics": ["other"],
    }
    for method, arguments in calls.items():
        with pytest.raises(InferenceServerException, match='"other"') as refused:
            client.call(method, *arguments)
        assert refused.value.status() == NOT_FOUND[not client.form.is_http]


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
@pytest.mark.parametrize("kind", list(KINDS))
def test_requests_over_the_limit_are_told_so(connect: Connect, kind: str) -> None:
    """Also a client that sends all of a request before it reads an answer; up to the limit all is well."""
    client = connect(Form(kind), "same-float32")
    mebibyte = np.ones((1 << 17, 2), np.float32)
    with pytest.raises(InferenceServerException, match="33554432") as refused:
        client.infer({"x": np.tile(mebibyte, (64, 1))})
    assert refused.value.status() == ("413" if client.form.is_http else "StatusCode.RESOURCE_EXHAUSTED")
    assert client.infer({"x": np.tile(mebibyte, (31, 1))}).as_numpy("y").shape == (31 << 17, 2)


@pytest.mark.parametrize("kind", ["http", "http.aio"])
@pytest.mark.parametrize(("binary_in", "binary_out"), [(False, True), (True, False)])
def test_json_has_no_half_precision(connect: Connect, kind: str, binary_in: bool, binary_out: bool) -> None:
    client = connect(Form(kind, binary_in, binary_out), "same-float16")
    with pytest.raises(InferenceServerException, match=r"FP16.*binary") as refused:
        client.infer({"x": np.zeros((1, 2), np.float16)})
    assert refused.value.status() == "400"


@pytest.mark.parametrize("kind", ["http", "http.aio"])
def test_bytes_that_are_no_text_come_as_binary_data_alone(connect: Connect, kind: str) -> None:
    rows = np.array([[b"\xff\xfe", b"text"]], np.object_)
    binary, text = connect(Form(kind), "same-string"), connect(Form(kind, True, False), "same-string")
    assert binary.infer({"x": rows}).as_numpy("y").tolist() == rows.tolist()
    with pytest.raises(InferenceServerException, match=r"not UTF-8.*binary_data"):
        text.infer({"x": rows})


@pytest.mark.parametrize("kind", list(KINDS))
def test_extensions_that_are_not_spoken(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "iris")
    shared = client.library.InferInput("input", [1, 4], "FP32")
    shared.set_shared_memory("region", 16)
    output = client.library.InferRequestedOutput("logits")
    output.set_shared_memory("region", 12)
    row = client.input("input", ROW)
    for words, inputs, outputs in (
        ("shared_memory", [shared], None),
        ("shared_memory", [row], [output]),
    ):
        with pytest.raises(InferenceServerException, match=words) as refused:
            client.call("infer", "iris", inputs, outputs=outputs)
        assert refused.value.status() == INVALID[not client.form.is_http]


def test_streams_are_refused(connect: Connect) -> None:
    client = connect(Form("grpc"), "iris")
    answers: queue.Queue[Any] = queue.Queue()
    client.raw.start_stream(lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=60)
    client.raw.stop_stream()
    assert result is None
    assert error.status() == "StatusCode.UNIMPLEMENTED"
    assert "ModelStreamInfer" in error.message()
    assert client.infer({"input": ROW}).as_numpy("logits").shape == (1, 3)

    aio = connect(Form("grpc.aio"), "iris")

    async def requests() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": "iris", "inputs": [aio.input("input", ROW)]}

    async def ask() -> list[Any]:
        return [answer async for answer in aio.raw.stream_infer(requests())]

    with pytest.raises(grpc.RpcError) as unknown:
        aio.run(ask())
    # INTERNAL is the client library's own, where it is still sending when the refusal comes.
    assert unknown.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)


def test_a_client_that_waits_no_longer_ends_the_run(tmp_path: Path) -> None:
    """The server of a model that comes to no end stops at once when nobody waits for it."""
    row = np.ones((1, 3), np.float32)
    with serving(["slow"], tmp_path) as servers, asyncio.Runner() as runner:
        server = servers["slow"]
        for kind in KINDS:
            client = Client(Form(kind), server, runner.run)
            with pytest.raises(InferenceServerException, match="deadline passed") as late:
                client.infer({"x": row}, timeout=100_000)  # microseconds, which the server measures
            assert late.value.status() == ("504" if client.form.is_http else "StatusCode.DEADLINE_EXCEEDED")
            inputs = [client.input("x", row)]
            if kind == "http":
                impatient = tritonclient.http.InferenceServerClient(server.http, network_timeout=0.5)
                with impatient, pytest.raises(TimeoutError):
                    impatient.infer("slow", inputs)
            elif kind == "http.aio":
                with pytest.raises(TimeoutError):
                    runner.run(asyncio.wait_for(client.raw.infer("slow", inputs), 0.5))
            else:
                with pytest.raises(InferenceServerException) as refused:
                    client.infer({"x": row}, client_timeout=0.5)
                # At the deadline Go's gRPC cancels the stream, which may come before the client's own clock.
                assert refused.value.status() in ("StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
            assert client.call("is_model_ready", "slow")
            client.close()
        cancelled: queue.Queue[Any] = queue.Queue()
        with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
            call = client.async_infer("slow", inputs, lambda result, error: cancelled.put(error))
            call.cancel()
            assert cancelled.get(timeout=60).status() == "StatusCode.CANCELLED"
