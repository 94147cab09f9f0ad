"""What is measured: which server, what it is sent, and what it must answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench import _models, _servers
from bench._servers import HERE, Server

TOLERANCE = 1e-4  # of a probability
CONNECTIONS = 32
UPLOADS = 8  # connections that send pictures


class WrongAnswerError(Exception):
    """A server does not answer as it must."""


@dataclass(frozen=True)
class Request:
    """One request, and ``check``, which raises where a body is not its answer.

    It returns the largest difference from the answer of the training framework, where it compares numbers.
    """

    method: str
    path: str
    check: Callable[[bytes, http.client.HTTPMessage], float | None]
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        """The request as it is sent."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    kind: str  # hello, echo or prediction
    server: Callable[[], Server]
    requests: Callable[[], list[Request]]
    model: str = "digits"
    connections: int = CONNECTIONS


def verify(case: Case, port: int) -> float:
    """Send each request of a case once and hold the server to the right answers; returns the largest difference."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    most = 0.0
    try:
        for request in case.requests():
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
            try:
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}")
                most = max(most, request.check(body, answer.headers) or 0)
            except (ValueError, KeyError, TypeError) as e:
                raise WrongAnswerError(
                    f"{case.name}: {request.method} {request.path}: {e}: {body[:200]!r}"
                ) from e
    except (OSError, http.client.HTTPException) as e:
        raise WrongAnswerError(f"{case.name}: it does not answer: {e!r}") from e
    finally:
        connection.close()
    return most


def hello() -> list[Request]:
    """Hello, World!"""

    def check(body: bytes, _: http.client.HTTPMessage) -> None:
        if body != b"Hello, World!":
            raise ValueError("another text")

    return [Request("GET", "/", check)]


def echo() -> list[Request]:
    """The JSON body that forgo receives, whose bytes are counted."""

    def counted(request: Request) -> Request:
        def check(body: bytes, _: http.client.HTTPMessage) -> None:
            if json.loads(body) != {"bytes": len(request.body)}:
                raise ValueError("another count")

        return Request("POST", "/", check, request.headers, request.body)

    return [counted(request) for request in forgo_json()]


INFER = "/v2/models/digits/infer"
JSON = (("Content-Type", "application/json"),)


@cache
def answers(model: str = "digits") -> tuple[np.ndarray, np.ndarray]:
    """Rows, and the training framework's answers to them."""
    with np.load(HERE / f"{model}.npz") as file:
        return file["rows"], file["answers"]


@cache
def manifest(model: str) -> dict[str, Any]:
    """What a model's bundle says of itself."""
    told: dict[str, Any] = json.loads((HERE / f"{model}.forgo" / "forgo.json").read_text())
    return told


def same(got: object, want: np.ndarray) -> float:
    """Hold probabilities to the training framework's; returns the largest difference."""
    probabilities = np.asarray(got, dtype=np.float64)
    if probabilities.shape != want.shape or not np.abs(probabilities - want).max() <= TOLERANCE:
        raise ValueError("not what the training framework answers")
    return float(np.abs(probabilities - want).max())


def forgo_json(model: str = "digits", output: str = "probabilities") -> list[Request]:
    """The Open Inference Protocol in JSON, both ways."""
    name = manifest(model)["inputs"][0]["name"]

    def request(row: np.ndarray, want: np.ndarray) -> Request:
        def check(body: bytes, _: http.client.HTTPMessage) -> float:
            return same(json.loads(body)["outputs"][0]["data"], want)

        tensor = {"name": name, "shape": [1, len(row)], "datatype": "FP32", "data": row.tolist()}
        body = json.dumps({"inputs": [tensor], "outputs": [{"name": output}]}).encode()
        return Request("POST", f"/v2/models/{model}/infer", check, JSON, body)

    return [request(*pair) for pair in zip(*answers(model), strict=True)]


def forgo_binary() -> list[Request]:
    """The same with binary tensors, both ways."""
    length = "Inference-Header-Content-Length"
    tensor = {"name": "input", "shape": [1, 64], "datatype": "FP32", "parameters": {"binary_data_size": 256}}
    output = {"name": "probabilities", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    headers = (("Content-Type", "application/octet-stream"), (length, str(len(head))))

    def request(row: np.ndarray, want: np.ndarray) -> Request:
        def check(body: bytes, headers: http.client.HTTPMessage) -> float:
            return same(np.frombuffer(body[int(headers[length]) :], "<f4"), want)

        return Request("POST", INFER, check, headers, head + row.astype("<f4").tobytes())

    return [request(*pair) for pair in zip(*answers(), strict=True)]


def uploads(model: str, path: str, tolerance: float = TOLERANCE) -> list[Request]:
    """The photographs as JPEGs, for the five best classes: ``{"classes": [{"label": …, "score": …}]}``."""
    with np.load(HERE / f"{model}.npz") as file:
        wanted = file["answers"]
    place = {label: i for i, label in enumerate(manifest(model)["labels"])}

    def request(photograph: bytes, want: np.ndarray) -> Request:
        def check(body: bytes, _: http.client.HTTPMessage) -> float:
            classes = json.loads(body)["classes"]
            if len(classes) != min(5, len(want)):
                raise ValueError("not the five best classes")
            at = [place[c["label"]] for c in classes]
            scores = np.array([c["score"] for c in classes], np.float64)
            # Classes whose scores are as close as the tolerance may change places.
            most = max(np.abs(scores - want[at]).max(), np.abs(scores - np.sort(want)[::-1][: len(at)]).max())
            if not most <= tolerance:
                raise ValueError(f"{most:.2g} from what the training framework answers")
            return float(most)

        return Request("POST", path, check, (("Content-Type", "image/jpeg"),), photograph)

    photographs = [p.read_bytes() for p in _models.photographs()]
    return [request(*pair) for pair in zip(photographs, wanted, strict=True)]


CASES = [
    Case("flask-development", "Flask, development server", "hello", _servers.flask_development, hello),
    Case("flask", "Flask, gunicorn with gevent", "hello", _servers.flask, hello),
    Case("twisted", "Twisted", "hello", _servers.twisted, hello),
    Case("twisted-pypy", "Twisted on PyPy", "hello", _servers.twisted_pypy, hello),
    Case("express", "Node + Express", "hello", _servers.express, hello),
    Case("chi", "Go + chi", "hello", _servers.chi, hello),
    Case("echo", "Go + chi, reads a POST", "echo", _servers.chi, echo),
    Case("forgo-json", "forgo, JSON", "prediction", _servers.forgo, forgo_json),
    Case("forgo-binary", "forgo, binary tensor", "prediction", _servers.forgo, forgo_binary),
]


def adds_up(body: bytes, _: http.client.HTTPMessage) -> None:
    """Check the native answer of a classifier whose weights are at random."""
    (probabilities,) = json.loads(body)["outputs"].values()
    if not abs(sum(probabilities) - 1) < TOLERANCE:
        raise ValueError("the probabilities do not add up to 1")


def write_requests(case: Case, folder: Path) -> list[Path]:
    """Write each request of a case to a file, for the load generator."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for i, request in enumerate(case.requests()):
        files.append(folder / str(i))
        files[-1].write_bytes(request.raw())
    return files
