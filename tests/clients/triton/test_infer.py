"""Tensors of every datatype, in every form that Triton's clients send and ask for."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.clients.triton.conftest import FORMS, Client, Form

Connect = Callable[[Form, str], Client]
every_form = pytest.mark.parametrize("form", FORMS, ids=str)

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = {
    "float16": [[np.nan, np.inf], [-np.inf, 65504], [6e-8, -0.0]],
    "bfloat16": [[np.nan, np.inf], [-np.inf, 3.3895314e38], [9.2e-41, -0.0]],
    "float32": [[np.nan, np.inf], [-np.inf, np.finfo(np.float32).max], [np.finfo(np.float32).tiny, -0.0]],
    "float64": [[np.nan, np.inf], [-np.inf, np.finfo(np.float64).max], [5e-324, 0.1]],
}
VALUES: dict[str, Any] = {
    "bool": np.array([[True, False], [False, True]]),
    "string": np.array([[b"", "Grüße, 世界".encode()], [b'"quoted"\n\x01', b"x" * 5000]], dtype=np.object_),
    **{name: np.array([[np.iinfo(name).min, np.iinfo(name).max], [0, 1]], dtype=name) for name in INTEGERS},
    **{
        name: np.array(rows, dtype=ml_dtypes.bfloat16 if name == "bfloat16" else name)
        for name, rows in FLOATS.items()
    },
}
CASES = [  # JSON has neither float16 nor bfloat16: test_errors.py
    (form, dtype)
    for dtype in VALUES
    for form in FORMS
    if (form.binary_in and form.binary_out) or dtype not in ("float16", "bfloat16")
]


def as_bytes(array: Any) -> Any:
    """JSON gives text where binary data gives bytes."""
    return np.array(
        [s.encode() if isinstance(s, str) else s for s in array.flatten()], dtype=np.object_
    ).reshape(array.shape)


@pytest.mark.parametrize(("form", "dtype"), CASES, ids=str)
def test_every_datatype_comes_back(connect: Connect, form: Form, dtype: str) -> None:
    client = connect(form, f"same-{dtype}")
    result = client.infer({"x": VALUES[dtype]}).as_numpy("y")
    if dtype == "string":
        result = as_bytes(result)
    assert result.shape == VALUES[dtype].shape
    assert result.dtype == VALUES[dtype].dtype
    if form.binary_in and form.binary_out and dtype != "string":
        assert result.tobytes() == VALUES[dtype].tobytes()  # also which NaN, and the sign of 0
    else:
        np.testing.assert_array_equal(result, VALUES[dtype])


@every_form
@pytest.mark.parametrize("dtype", ["float32", "int64", "string"])
def test_an_empty_batch(connect: Connect, form: Form, dtype: str) -> None:
    client = connect(form, f"same-{dtype}")
    result = client.infer({"x": np.empty((0, 2), VALUES[dtype].dtype)}).as_numpy("y")
    assert result.shape == (0, 2)


@every_form
def test_several_inputs_and_outputs(connect: Connect, form: Form) -> None:
    client = connect(form, "two")
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[10, 20], [30, 40]], np.float32)
    both = client.infer({"a": a, "b": b})
    swapped = client.infer({"b": b, "a": a}, outputs=["difference", "sum"])
    for result in (both, swapped):
        assert result.as_numpy("sum").tolist() == (a + b).tolist()
        assert result.as_numpy("difference").tolist() == (a - b).tolist()
    one = client.infer({"a": a, "b": b}, outputs=["sum"])
    assert one.as_numpy("sum").tolist() == (a + b).tolist()
    assert one.as_numpy("difference") is None


def test_json_and_binary_data_in_one_request(connect: Connect) -> None:
    a, b = np.ones((2, 2), np.float32), np.full((2, 2), 3, np.float32)
    binary, text = connect(Form("http", True, True), "two"), connect(Form("http", False, False), "two")
    for first, second in ((binary, text), (text, binary)):
        result = binary.call(
            "infer",
            "two",
            [first.input("a", a), second.input("b", b)],
            outputs=[second.output("sum"), first.output("difference")],
        )
        assert result.as_numpy("sum").tolist() == (a + b).tolist()
        assert result.as_numpy("difference").tolist() == (a - b).tolist()


@every_form
def test_inputs_of_several_datatypes(connect: Connect, form: Form) -> None:
    client = connect(form, "sensors")
    inputs = {
        "tag": np.array([b"foo", b"bar"], np.object_),
        "signal": np.arange(10, dtype=np.float32).reshape(2, 5),
        "sensor": np.arange(8, dtype=np.int64).reshape(2, 2, 2),
    }
    result = client.infer(inputs)
    assert as_bytes(result.as_numpy("tag_again")).tolist() == [b"foo", b"bar"]
    assert result.as_numpy("signal_again").tolist() == inputs["signal"].tolist()
    assert result.as_numpy("sensor_again").tolist() == inputs["sensor"].tolist()


@every_form
def test_encoded_pictures(connect: Connect, form: Form) -> None:
    client = connect(form, "shapes")
    pictures, labels = zip(*client.server.pictures(), strict=True)
    sent = [p if form.binary_in else base64.b64encode(p) for p in pictures]
    for shape in ([len(sent)], [len(sent), 1]):
        result = client.infer({"image": np.array(sent, np.object_).reshape(shape)})
        best = result.as_numpy("probabilities").argmax(axis=1)
        assert [client.server.manifest["labels"][i] for i in best] == list(labels)
        assert result.as_numpy("logits").argmax(axis=1).tolist() == best.tolist()


@every_form
def test_rows_are_classified_as_in_training(connect: Connect, form: Form) -> None:
    client = connect(form, "iris")
    rows, labels = zip(*client.server.rows(), strict=True)
    result = client.infer({"input": np.array(rows, np.float32)}, outputs=["probabilities"])
    best = result.as_numpy("probabilities").argmax(axis=1)
    assert [client.server.manifest["labels"][i] for i in best] == list(labels)


@every_form
def test_a_preprocessed_picture_is_taken_by_its_inputs_name(connect: Connect, form: Form) -> None:
    client = connect(form, "shapes")
    result = client.infer({"pixels": np.zeros((2, 16, 16, 3), np.float32)})
    assert result.as_numpy("probabilities").shape == (2, 3)


@every_form
def test_ids_versions_and_parameters(connect: Connect, form: Form) -> None:
    client = connect(form, "two")
    rows = np.ones((1, 2), np.float32)
    for identifier in ("42", "Grüße"):
        result = client.infer(
            {"a": rows, "b": rows},
            request_id=identifier,
            model_version="1",
            priority=1,
            parameters={"trace": "abc", "deep": True},
        )
        answer = result.get_response() if form.is_http else result.get_response(as_json=True)
        assert answer["id"] == identifier
        assert (answer["model_name"], answer["model_version"]) == ("two", "1")


PACKED = [None, "gzip", "deflate"]


@pytest.mark.parametrize("form", [form for form in FORMS if form.is_http], ids=str)
@pytest.mark.parametrize("answer", PACKED)
@pytest.mark.parametrize("sent", PACKED)
def test_compression(connect: Connect, form: Form, sent: str | None, answer: str | None) -> None:
    client = connect(form, "same-float32")
    rows = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    how: dict[str, Any] = {"request_compression_algorithm": sent, "response_compression_algorithm": answer}
    assert (client.infer({"x": rows}, **how).as_numpy("y") == rows).all()


@pytest.mark.parametrize("kind", ["grpc", "grpc.aio"])
@pytest.mark.parametrize("coding", PACKED)
def test_packed_messages(connect: Connect, kind: str, coding: str | None) -> None:
    rows = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    result = connect(Form(kind), "same-float32").infer({"x": rows}, compression_algorithm=coding)
    assert (result.as_numpy("y") == rows).all()


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_requests_under_way_at_once(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "two")

    def inputs(i: int) -> list[Any]:
        return [
            client.input("a", np.full((1, 2), i, np.float32)),
            client.input("b", np.ones((1, 2), np.float32)),
        ]

    if kind == "http":
        pending = [client.raw.async_infer("two", inputs(i), request_id=str(i)) for i in range(50)]
        results = [p.get_result() for p in pending]
        assert [r.get_response()["id"] for r in results] == [str(i) for i in range(50)]
    else:
        from queue import Queue

        answers: Queue[tuple[int, Any, Any]] = Queue()

        def done(i: int) -> Callable[[Any, Any], None]:
            return lambda result, error: answers.put((i, result, error))

        for i in range(50):
            client.raw.async_infer("two", inputs(i), done(i))
        by_number = {i: (result, error) for i, result, error in (answers.get(timeout=60) for _ in range(50))}
        assert all(error is None for _, error in by_number.values())
        results = [by_number[i][0] for i in range(50)]
    for i, result in enumerate(results):
        assert result.as_numpy("sum").tolist() == [[i + 1, i + 1]]


@every_form
def test_a_scalar_where_a_batch_belongs_is_refused(connect: Connect, form: Form) -> None:
    client = connect(form, "regression:half-plus-three")
    assert client.infer({"x": np.array([1, 2, 5], np.float32)}).as_numpy("y").tolist() == [3.5, 4, 5.5]
    with pytest.raises(InferenceServerException, match="x"):
        client.infer({"x": np.array(1, np.float32)})
