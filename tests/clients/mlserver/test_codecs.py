"""What MLServer's codecs make of Python's values, over REST and over gRPC as its own clients send it.

It runs in the environment of tests/mlserver, which has MLServer itself.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pandas as pd
import pytest
from mlserver.codecs import (
    Base64Codec,
    DatetimeCodec,
    NumpyCodec,
    NumpyRequestCodec,
    PandasCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, RequestInput, RequestOutput

from tests.clients.servers import Server

Ask = Callable[[str, InferenceRequest], InferenceResponse]
SIGNALS = np.arange(10, dtype=np.float32).reshape(2, 5)
SENSORS = np.arange(8, dtype=np.int64).reshape(2, 2, 2)


class RefusedError(Exception):
    """The server's own words."""


def over_rest(server: Server, request: InferenceRequest) -> InferenceResponse:
    message = Request(
        f"{server.url}/v2/models/{server.model}/infer",
        request.model_dump_json(exclude_none=True).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urlopen(message, timeout=60) as answer:
            return InferenceResponse.model_validate_json(answer.read())
    except HTTPError as e:
        with e:
            if e.code == 400:
                raise RefusedError(json.load(e)["error"]) from None
        raise


def over_grpc(server: Server, request: InferenceRequest, raw: bool) -> InferenceResponse:
    request = request.model_copy(deep=True)  # whose data the converter takes out to send it raw
    message = ModelInferRequestConverter.from_types(request, server.model, None, use_raw=raw)
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=60)
        except grpc.RpcError as e:
            if e.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise RefusedError(e.details()) from None
            raise
    return ModelInferResponseConverter.to_types(answer)


@pytest.fixture(params=["rest", "grpc", "grpc-raw"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ask(form: str, serve: Callable[[str], Server]) -> Ask:
    """Send a request to a model."""
    if form == "rest":
        return lambda model, request: over_rest(serve(model), request)
    return lambda model, request: over_grpc(serve(model), request, raw=form == "grpc-raw")


def single(codec: Any, name: str, payload: Any, **options: Any) -> InferenceRequest:
    return InferenceRequest(inputs=[codec.encode_input(name, payload, **options)])


def tagged(tag: RequestInput) -> InferenceRequest:
    """A request for the graph that gives back a string, [-1], and numbers beside it."""
    others = [NumpyCodec.encode_input("signal", SIGNALS), NumpyCodec.encode_input("sensor", SENSORS)]
    return InferenceRequest(inputs=[tag, *others])


@pytest.mark.parametrize("shape", [(2,), (2, 1)], ids=str)
def test_numpy(ask: Ask, shape: tuple[int, ...]) -> None:
    """The codec sends [2,1] of [2]; the input is [-1]."""
    rows = np.array([1, 2], np.float32).reshape(shape)
    answer = ask("regression:half-plus-three", single(NumpyCodec, "x", rows))
    assert NumpyCodec.decode_output(answer.outputs[0]).tolist() == [3.5, 4.0]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint64", "int64", "float32", "float64"])
def test_numpy_of_every_width(ask: Ask, dtype: str) -> None:
    largest = {"b": 1, "f": 0.5}.get(np.dtype(dtype).kind) or np.iinfo(dtype).max
    rows = np.array([[0, largest], [1, 0]], dtype)
    answer = ask(f"same-{dtype}", single(NumpyCodec, "x", rows))
    assert NumpyCodec.decode_output(answer.outputs[0]).tolist() == rows.tolist()


def test_numpy_nan(ask: Ask, form: str) -> None:
    """The codec makes null of it, which JSON carries and gRPC's messages cannot."""
    request = single(NumpyCodec, "x", np.array([[np.nan, 1]], np.float32))
    if form != "rest":
        with pytest.raises((TypeError, struct.error)):  # in MLServer's converter: nothing is sent
            ask("same-float32", request)
        return
    result = NumpyCodec.decode_output(ask("same-float32", request).outputs[0])
    assert np.isnan(result[0, 0])
    assert result[0, 1] == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.array([1.0, 2.0]), "got FP64[2 1], want FP32[-1]"),
        (np.zeros((1, 2), np.float32), "got FP32[1 2], want FP32[-1]"),
        (np.zeros((1, 1, 2), np.float32), "got FP32[1 1 2], want FP32[-1]"),
    ],
    ids=["float64", "2", "1,2"],
)
def test_numpy_refused(ask: Ask, rows: np.ndarray[Any, Any], words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        ask("regression:half-plus-three", single(NumpyCodec, "x", rows))
    assert words in str(refused.value)


def test_numpy_request(ask: Ask) -> None:
    """The codec calls the input input-1: whoever sends it gives it the model's name."""
    request = NumpyRequestCodec.encode_request(np.array([1, 2], np.float32))
    with pytest.raises(RefusedError, match='the model has no input "input-1"; it takes "x"'):
        ask("regression:half-plus-three", request)
    request.inputs[0].name = "x"
    answer = ask("regression:half-plus-three", request)
    assert NumpyRequestCodec.decode_response(answer).tolist() == [3.5, 4.0]


def test_a_numpy_request_of_rows(ask: Ask, serve: Callable[[str], Server]) -> None:
    server = serve("iris")
    rows, labels = zip(*server.rows(), strict=True)
    request = NumpyRequestCodec.encode_request(np.array(rows, np.float32))
    request.inputs[0].name = server.manifest["inputs"][0]["name"]
    request.outputs = [RequestOutput(name="probabilities")]  # the codec reads an answer of one output
    best = NumpyRequestCodec.decode_response(ask("iris", request)).argmax(axis=1)
    assert [server.manifest["labels"][i] for i in best] == list(labels)


def test_strings(ask: Ask, form: str) -> None:
    """The codec sends [2,1]; the input is [-1]."""
    texts = ["Grüße, 世界", "aGVsbG8="]
    answer = ask("sensors", tagged(StringCodec.encode_input("tag", texts, use_bytes=form != "rest")))
    assert StringCodec.decode_output(answer.outputs[0]) == texts
    assert NumpyCodec.decode_output(answer.outputs[1]).tolist() == SIGNALS.tolist()
    assert NumpyCodec.decode_output(answer.outputs[2]).tolist() == SENSORS.tolist()


def test_strings_refused(ask: Ask) -> None:
    with pytest.raises(RefusedError, match=r"got BYTES\[2 1\], want BYTES\[-1 2\]"):
        ask("same-string", single(StringCodec, "x", ["a", "b"]))
    with pytest.raises(RefusedError, match="got BYTES"):
        ask("regression:half-plus-three", single(StringCodec, "x", ["1", "2"]))


def test_string_request(ask: Ask, form: str, serve: Callable[[str], Server]) -> None:
    """Pictures as strings in base64, where they come in JSON; MLServer names the input input-1."""
    server = serve("shapes")
    pictures, labels = zip(*server.pictures(), strict=True)
    texts = [base64.b64encode(picture).decode() for picture in pictures]
    request = StringRequestCodec.encode_request(texts, use_bytes=form != "rest")
    with pytest.raises(RefusedError, match='the model has no input "input-1"; it takes "image"'):
        ask("shapes", request)
    request.inputs[0].name = "image"
    if form != "rest":
        with pytest.raises(RefusedError, match="image"):  # as they are, base64 is no picture
            ask("shapes", request)
        return
    best = NumpyCodec.decode_output(ask("shapes", request).outputs[0]).argmax(axis=1)
    assert [server.manifest["labels"][i] for i in best] == list(labels)


def test_base64(ask: Ask) -> None:
    """A text input gets the bytes, not their base64."""
    texts = ["Grüße, 世界", ""]
    request = tagged(Base64Codec.encode_input("tag", [text.encode() for text in texts]))
    assert StringCodec.decode_output(ask("sensors", request).outputs[0]) == texts


def test_base64_pictures(ask: Ask, serve: Callable[[str], Server]) -> None:
    server = serve("shapes")
    pictures, labels = zip(*server.pictures(), strict=True)
    answer = ask("shapes", single(Base64Codec, "image", list(pictures)))
    best = NumpyCodec.decode_output(answer.outputs[0]).argmax(axis=1)
    assert [server.manifest["labels"][i] for i in best] == list(labels)


def test_base64_refused(ask: Ask) -> None:
    """Strings that are said to be base64 and are not; MLServer itself takes them as they are."""
    tag = StringCodec.encode_input("tag", ["aGVsbG8=", "no base64"])
    tag.parameters = Parameters(content_type=Base64Codec.ContentType)
    with pytest.raises(RefusedError, match="element 1 is not base64, which content_type announces"):
        ask("sensors", tagged(tag))


def test_pandas(ask: Ask) -> None:
    """A column is an input, which goes as [2,1]."""
    frame = pd.DataFrame({"x": np.array([1, 2], np.float32)})
    answer = ask("regression:half-plus-three", PandasCodec.encode_request(frame))
    assert PandasCodec.decode_response(answer)["y"].tolist() == [3.5, 4.0]


def test_pandas_refused(ask: Ask) -> None:
    """Columns are no rows of a matrix, and elements encoded as JSON are no strings."""
    columns = pd.DataFrame({"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)})
    with pytest.raises(RefusedError, match=r"got FP32\[2 1\], want FP32\[-1 2\]"):
        ask("two", PandasCodec.encode_request(columns))
    with pytest.raises(RefusedError, match='the model has no input "a"; it takes "input"'):
        ask("iris", PandasCodec.encode_request(columns))
    mixed = PandasCodec.encode_request(pd.DataFrame({"tag": ["a", 1]}))
    assert mixed.inputs[0].parameters.content_type == "pd_json"
    with pytest.raises(RefusedError, match='elements encoded as JSON \\("pd_json"\\) are not supported'):
        ask("sensors", tagged(mixed.inputs[0]))


def test_pandas_strings(ask: Ask) -> None:
    frame = pd.DataFrame({"tag": pd.Series(["a", "ü"], dtype=object)})
    request = tagged(PandasCodec.encode_request(frame).inputs[0])
    assert StringCodec.decode_output(ask("sensors", request).outputs[0]) == ["a", "ü"]


def test_datetimes(ask: Ask) -> None:
    """They are strings to the model."""
    times = [datetime(2026, 1, 2, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999)]
    request = tagged(DatetimeCodec.encode_input("tag", times))
    assert DatetimeCodec.decode_output(ask("sensors", request).outputs[0]) == times
    with pytest.raises(RefusedError, match="got BYTES"):
        ask("regression:half-plus-three", single(DatetimeCodec, "x", times))
