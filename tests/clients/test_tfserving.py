"""The requests that TensorFlow Serving documents, as they are documented, and its own tests'.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests

from tests.clients.servers import Server

Serve = Callable[[str], Server]
STATUS = {
    "model_version_status": [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ],
    "ready": True,  # which KServe's V1 clients ask for
}


def post(server: Server, verb: str, body: Any) -> requests.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return requests.post(f"{server.url}/v1/models/{server.model}:{verb}", data=text, timeout=60)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("curl http://localhost:8501/v1/models/saved_model_half_plus_three", STATUS),
        (
            """curl -d '{"instances": [1.0,2.0,5.0]}' -X POST http://localhost:8501/v1/models/saved_model_half_plus_three:predict""",
            {"predictions": [3.5, 4.0, 5.5]},
        ),
        (
            """curl -d '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}' \\
                -X POST http://localhost:8501/v1/models/saved_model_half_plus_three:regress""",
            {"results": [3.5, 4.0]},
        ),
    ],
)
def test_the_documented_session(serve: Serve, command: str, answer: dict[str, Any]) -> None:
    server = serve("regression:half-plus-three")
    command = command.replace("localhost:8501", server.http)
    command = command.replace("saved_model_half_plus_three", server.model)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == answer


def test_an_unknown_model_is_404(serve: Serve) -> None:
    server = serve("regression:half-plus-three")
    answer = requests.post(
        f"{server.url}/v1/models/half:predict", data='{"instances": [1.0,5.0]}', timeout=60
    )
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert '"half"' in answer.json()["error"]


@pytest.mark.parametrize(
    ("verb", "body", "answer"),
    [
        ("predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [4.0, 4.5, 5.0]}),
        ("predict", {"inputs": {"x": [2.0, 3.0, 4.0]}}, {"outputs": [4.0, 4.5, 5.0]}),
        ("predict", {"instances": [{"x": 2.0}, {"x": 3}]}, {"predictions": [4.0, 4.5]}),
        ("predict", {"signature_name": "serving_default", "instances": [1]}, {"predictions": [3.5]}),
        ("predict", '{"instances": [1e1, -1E-1, 0]}', {"predictions": [8.0, 2.95, 3.0]}),
        ("regress", {"context": {"x": 4.0}, "examples": [{}, {}]}, {"results": [5.0, 5.0]}),
        ("regress", {"examples": [{"x": [2.0]}]}, {"results": [4.0]}),
    ],
)
@pytest.mark.parametrize("at", ["", "/versions/1", "/labels/stable"])
def test_rows_and_columns(serve: Serve, at: str, verb: str, body: Any, answer: dict[str, Any]) -> None:
    server = serve("regression:half-plus-three")
    text = body if isinstance(body, str) else json.dumps(body)
    got = requests.post(f"{server.url}/v1/models/{server.model}{at}:{verb}", data=text, timeout=60)
    assert got.status_code == 200, got.text
    assert got.json() == answer


ROWS = [
    {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
    {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
]
COLUMNS = {
    "tag": ["foo", "bar"],
    "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
    "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
}


def again(named: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_again": value for name, value in named.items()}


def test_several_named_inputs(serve: Serve) -> None:
    server = serve("sensors")
    assert post(server, "predict", {"instances": ROWS}).json() == {
        "predictions": [again(row) for row in ROWS]
    }
    assert post(server, "predict", {"inputs": COLUMNS}).json() == {"outputs": again(COLUMNS)}
    as_bytes = [{**row, "tag": {"b64": base64.b64encode(str(row["tag"]).encode()).decode()}} for row in ROWS]
    assert post(server, "predict", {"instances": as_bytes}).json() == {
        "predictions": [again(row) for row in ROWS]
    }


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("bool", [[True, False]]),
        ("string", [["Hello World!", "Grüße"]]),
        *((name, [[np.iinfo(name).min, np.iinfo(name).max]]) for name in ("int8", "int16", "int32", "int64")),
        *((name, [[0, np.iinfo(name).max]]) for name in ("uint8", "uint16", "uint32", "uint64")),
        ("float32", [[1.1, -10.0], [0, float("inf")], [float("-inf"), float("nan")]]),
        ("float64", [[1.1, -1e300], [0, float("inf")], [float("-inf"), float("nan")]]),
    ],
)
def test_every_type_of_the_mapping(serve: Serve, dtype: str, values: list[Any]) -> None:
    server = serve(f"same-{dtype}")
    for given, answered in (("instances", "predictions"), ("inputs", "outputs")):
        answer = post(
            server, "predict", {given: values}
        )  # Python writes NaN and Infinity bare, as documented
        assert answer.status_code == 200, answer.text
        np.testing.assert_array_equal(answer.json()[answered], values)


def test_whole_numbers_are_rounded_to_the_inputs_type(serve: Serve) -> None:
    answer = post(serve("same-float32"), "predict", {"instances": [[1435774380, 0]]})
    assert np.array(answer.json()["predictions"], np.float32).tolist() == [[1435774336, 0]]


def test_classify_answers_every_label_with_its_score(serve: Serve) -> None:
    server = serve("iris")
    rows, labels = zip(*server.rows(), strict=True)
    for body in (
        {"examples": [{"input": row} for row in rows]},
        {"signature_name": "tensorflow/serving/classify", "examples": [{"input": row} for row in rows]},
    ):
        results = post(server, "classify", body).json()["results"]
        assert [[label for label, _ in example] for example in results] == [server.manifest["labels"]] * len(
            rows
        )
        assert [max(example, key=lambda pair: pair[1])[0] for example in results] == list(labels)


def test_pictures_in_base64(serve: Serve) -> None:
    """As TensorFlow Serving's resnet_client.py sends them, and classify's documented example."""
    server = serve("shapes")
    for picture, label in server.pictures():
        jpeg_bytes = base64.b64encode(picture).decode("utf-8")
        predict_request = '{"instances" : [{"b64": "%s"}]}' % jpeg_bytes  # noqa: UP031
        response = post(server, "predict", predict_request)
        response.raise_for_status()
        prediction = response.json()["predictions"][0]
        assert server.manifest["labels"][np.argmax(prediction)] == label
        for body in (
            {"instances": [{"image": {"b64": jpeg_bytes}}]},
            {"inputs": {"image": [{"b64": jpeg_bytes}]}},
            {"inputs": [{"b64": jpeg_bytes}]},
        ):
            assert prediction in next(iter(post(server, "predict", body).json().values()))
        (result,) = post(server, "classify", {"examples": [{"image": {"b64": jpeg_bytes}}]}).json()["results"]
        assert [score for _, score in result] == prediction


def test_the_tutorials_client(serve: Serve) -> None:
    """Rows as JSON lists with a header of their type, to the newest version and to one by its number."""
    server = serve("iris")
    rows, labels = zip(*server.rows()[:3], strict=True)
    data = json.dumps({"signature_name": "serving_default", "instances": np.array(rows).tolist()})
    headers = {"content-type": "application/json"}
    for path in ("", "/versions/1"):
        json_response = requests.post(
            f"{server.url}/v1/models/iris{path}:predict", data=data, headers=headers, timeout=60
        )
        predictions = json.loads(json_response.text)["predictions"]
        assert [server.manifest["labels"][np.argmax(p)] for p in predictions] == list(labels)


@pytest.mark.parametrize("at", ["", "/versions/1", "/labels/stable"])
def test_status(serve: Serve, at: str) -> None:
    assert requests.get(f"{serve('iris').url}/v1/models/iris{at}", timeout=60).json() == STATUS


def test_the_quickstart(serve: Serve) -> None:
    """Numbers for a signature of [-1, 1], and the answer to the letter, in which each float has a point."""
    server = serve("regression:half-plus-two")
    url = f"{server.url}/v1/models/{server.model}:predict"
    answer = requests.post(url, data='{"instances": [1.0, 2.0, 5.0]}', timeout=60)
    assert (answer.status_code, answer.text) == (200, '{"predictions":[2.5,3.0,4.5]}')
    ignored = {"instances": [[1], [2]], "parameters": {"a": 1}}
    assert requests.post(url, json=ignored, timeout=60).json() == {"predictions": [[2.5], [3.0]]}


@pytest.mark.parametrize("at", ["/versions/9", "/labels/canary", "/versions/latest"])
def test_unknown_versions_and_labels(serve: Serve, at: str) -> None:
    url = f"{serve('iris').url}/v1/models/iris{at}"
    answers = [requests.get(f"{url}{path}", timeout=60) for path in ("", "/metadata")]
    answers.append(requests.post(f"{url}:predict", data='{"instances": [[1, 2, 3, 4]]}', timeout=60))
    for answer in answers:
        assert answer.status_code == 404
        assert list(answer.json()) == ["error"]


@pytest.mark.slow
def test_answers_are_json_of_the_documented_messages(serve: Serve) -> None:
    """Protobuf's parser refuses a field that the message has not."""
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2

    for model, inputs in (("sensors", COLUMNS), ("iris", {"input": 0}), ("shapes", {"image": 0})):
        answer = requests.get(f"{serve(model).url}/v1/models/{model}/metadata", timeout=60).json()
        assert answer["model_spec"] == {"name": model, "signature_name": "", "version": "1"}
        (signature,) = answer["metadata"]["signature_def"]["signature_def"].values()
        parsed = json_format.ParseDict(signature, meta_graph_pb2.SignatureDef())
        assert set(parsed.inputs) == set(inputs)
        assert parsed.method_name == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [
        ("predict", "{", "JSON"),
        ("predict", {}, "neither"),
        ("predict", {"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}, "both"),
        ("predict", {"instances": []}, "empty"),
        ("predict", {"instances": [[1, 2, 3]]}, "input"),
        ("predict", {"instances": [["a", "b", "c", "d"]]}, "input"),
        ("predict", {"signature_name": "classify_objects", "instances": [[1, 2, 3, 4]]}, "classify_objects"),
        ("classify", {"examples": [{"wrong": [1, 2, 3, 4]}]}, "wrong"),
        ("regress", {"examples": [{"input": [1, 2, 3, 4]}]}, "classification"),
    ],
)
def test_errors_have_the_documented_form(serve: Serve, verb: str, body: Any, words: str) -> None:
    answer = post(serve("iris"), verb, body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
