"""How answers slow down as requests and servers grow: rows, connections, pictures, models, callers of the library."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPMessage
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import _cases, _turns
from bench._cases import CONNECTIONS, Case, Request, WrongAnswerError, verify, write_requests
from bench._results import rounded, turn
from bench._servers import HERE, Server, run, say

ROWS = (1, 4, 16, 64, 128)  # of a request
SENDERS = 4  # of them, whose rows fit the server's queue of 512
CLIENTS = (1, 8, 32, 128)  # that wait for their answers
SIDES = (160, 320, 640, 1280)  # of a picture, in pixels
MODELS = (1, 10, 50)  # of one server
CALLERS = (1, 2, 4, 8, 16, 32)  # of the library
PICTURES = HERE / "pictures.forgo"
FORGO = Path(sys.executable).with_name("forgo")


@dataclass
class Point:
    """One size of what grows."""

    grows: str
    size: int
    measure: Callable[[], dict[str, float]]
    rounds: list[dict[str, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the results file: medians."""
        figures = {key: rounded(median(r[key] for r in self.rounds)) for key in self.rounds[0]}
        return {"grows": self.grows, "size": self.size, **figures}


def batch(rows: int) -> list[Request]:
    """Requests of some rows, as binary tensors both ways."""
    length = "Inference-Header-Content-Length"
    tensor = {"name": "input", "shape": [rows, 64], "datatype": "FP32", "parameters": {"binary_data_size": 256 * rows}}  # fmt: skip
    output = {"name": "probabilities", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    headers = (("Content-Type", "application/octet-stream"), (length, str(len(head))))
    given, wanted = _cases.answers()

    def request(first: int) -> Request:
        taken = (first + np.arange(rows)) % len(given)

        def check(body: bytes, headers: HTTPMessage) -> None:
            _cases.same(np.frombuffer(body[int(headers[length]) :], "<f4").reshape(rows, -1), wanted[taken])

        return Request("POST", _cases.INFER, check, headers, head + given[taken].astype("<f4").tobytes())

    return [request(first) for first in range(0, len(given), 8)]


def picture_bundle() -> None:
    """Make the bundle of a small network with weights at random, on pictures of 64 × 64 pixels."""
    import keras

    import forgo

    folder = HERE / "photographs"
    run(sys.executable, "-m", "stress._photos", folder)
    if PICTURES.exists():
        return
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((64, 64, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3, strides=4, activation="relu"),
        keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(list(folder.iterdir())), activation="softmax"),
    ]  # fmt: skip
    forgo.export(keras.Sequential(layers), PICTURES, examples=folder, accept_accuracy=True)


def pictures(side: int) -> list[Request]:
    """Uploads of a photograph as a square JPEG."""
    from PIL import Image

    requests = []
    for path in sorted((HERE / "photographs").glob("*/*.jpg"))[:4]:
        data = io.BytesIO()
        Image.open(path).convert("RGB").resize((side, side)).save(data, "JPEG", quality=85)
        requests.append(Request("POST", "/models/pictures", _cases.adds_up, (("Content-Type", "image/jpeg"),), data.getvalue()))  # fmt: skip
    return requests


def models(number: int) -> tuple[Path, Callable[[], list[Request]]]:
    """A folder of copies of a model, and requests to each in turn."""
    folder = HERE / f"models-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    for i in range(number):
        shutil.copytree(HERE / "digits.forgo", folder / f"digits{i}" / "1")

    def requests() -> list[Request]:
        known = _cases.forgo_json()
        count = max(len(known), number)
        return [
            replace(known[i % len(known)], path=f"/v2/models/digits{i % number}/infer") for i in range(count)
        ]

    return folder, requests


def answered(case: Case, port: int, patience: float = 60) -> None:
    """Hold a server to the right answers, once all of its models are loaded."""
    end = time.monotonic() + patience
    while True:
        try:
            verify(case, port)
            return
        except WrongAnswerError as e:
            if "is not ready" not in str(e) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def served(
    name: str, bundle: Path, requests: Callable[[], list[Request]], clients: int, wrk: str, seconds: int
) -> dict[str, float]:
    """Load a server that is started for it."""
    mark = f"{os.getpid()}-{name}"
    command = [str(FORGO), "serve", str(bundle), "--http", "127.0.0.1:{port}", "--grpc", "off", "--admin", "off"]  # fmt: skip
    server = Server(name, command, "", environment={_turns.MARK: mark})
    case = Case(name, name, "prediction", lambda: server, requests)
    files = write_requests(case, HERE / "requests" / name)
    with _turns.answering(case, server, patience=60) as (port, took):
        answered(case, port)
        memory = _turns.memory(mark)
        got = turn(wrk, case, port, seconds, files, clients)
        verify(case, port)
    return {"a_second": got.rate, "p50_ms": got.p50, "p99_ms": got.p99, "first_answer_s": took, "memory_mib": memory}  # fmt: skip


def library(callers: int, seconds: int) -> dict[str, float]:
    """Answers of the library, whose batches have the rows of several callers, by ``forgo bench``."""
    options = ["--json", "--engine", "onnx", "--callers", str(callers), "--time", f"{seconds}s"]
    report = json.loads(run(FORGO, "bench", *options, HERE / "digits.forgo"))
    got = next(m for m in report["measurements"] if m["input"] == "ready")
    return {"a_second": got["per_second"], "p50_ms": got["p50_us"] / 1e3, "p99_ms": got["p99_us"] / 1e3}


def measure(wrk: str, seconds: int, rounds: int) -> list[Point]:
    """Every point, once a round."""
    digits = HERE / "digits.forgo"
    picture_bundle()
    points = [
        *(Point("rows", n, partial(served, f"rows-{n}", digits, partial(batch, n), SENDERS, wrk, seconds)) for n in ROWS),
        *(Point("connections", n, partial(served, f"connections-{n}", digits, _cases.forgo_json, n, wrk, seconds)) for n in CLIENTS),
        *(Point("pixels", n, partial(served, f"pixels-{n}", PICTURES, partial(pictures, n), 8, wrk, seconds)) for n in SIDES),
        *(Point("models", n, partial(served, f"models-{n}", *models(n), CONNECTIONS, wrk, seconds)) for n in MODELS),
        *(Point("callers", n, partial(library, n, seconds)) for n in CALLERS),
    ]  # fmt: skip
    for number in range(rounds):
        for point in points if number % 2 else reversed(points):
            got = point.measure()
            point.rounds.append(got)
            say(
                f"round {number + 1} of {rounds}  {point.size:>5} {point.grows:<12} {got['a_second']:>9,.0f} /s"
            )
    return points
