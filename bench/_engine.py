"""The server beside the bare engine, gRPC beside its own hello world, trees beside XGBoost, and one static program."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import _cases
from bench._results import CONNECTIONS, SCRIPT
from bench._servers import HERE, ROOT, MissingError, Server, run, running, say

FORGO = Path(sys.executable).with_name("forgo")
UPLOADS = 8  # connections that send pictures
STARTS = 15  # of the static program


@dataclass
class Ratio:
    """One line: what is compared with what, in rounds of one run, and what is to be reached."""

    name: str
    what: str
    least: float
    aim: float
    unit: str = ""  # "" is a ratio, of which more is better; with a unit, less is
    rounds: list[float] = field(default_factory=list)
    sides: dict[str, list[float]] = field(
        default_factory=dict
    )  # what was measured, each side's name and unit

    def add(self, ratio: float, **sides: float) -> None:
        """Take in a round."""
        self.rounds.append(ratio)
        for side, figure in sides.items():
            self.sides.setdefault(side, []).append(figure)

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        sides = {side: float(f"{median(figures):.4g}") for side, figures in self.sides.items()}
        got = float(f"{median(self.rounds):.3g}")
        spread = [float(f"{x:.3g}") for x in (min(self.rounds), max(self.rounds))]
        return {
            "name": self.name, "what": self.what, "unit": self.unit, "least": self.least, "aim": self.aim,
            "median": got, "lowest": spread[0], "highest": spread[1], **sides,
        }  # fmt: skip


def field_of(number: int, value: bytes | str) -> bytes:
    """A protobuf field of bytes, shorter than 16 KiB."""
    data = value.encode() if isinstance(value, str) else value
    length = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + length + data


def calls(path: Path, pairs: Iterator[tuple[bytes, dict[str, Any]]]) -> Path:
    """A file of calls for bench/grpc."""
    path.write_text(json.dumps([{"request": base64.b64encode(r).decode(), **answer} for r, answer in pairs]))
    return path


def infer_calls() -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The digits' rows as ModelInferRequest, with raw contents both ways."""
    for row, answer in zip(*_cases.answers(), strict=True):
        tensor = field_of(1, "input") + field_of(2, "FP32") + field_of(3, bytes([1, 64]))
        request = field_of(1, "digits") + field_of(5, tensor) + field_of(6, field_of(1, "probabilities"))
        yield request + field_of(7, row.astype("<f4").tobytes()), {"floats": answer.tolist()}


def answering(ask: Callable[[], object], patience: float = 30) -> None:
    """Ask until there is an answer: a server listens before its model is loaded."""
    end = time.monotonic() + patience
    while True:
        try:
            ask()
        except MissingError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def grpc(rounds: int, seconds: int) -> Ratio:
    """Predictions over the Open Inference Protocol beside grpc-go's hello world."""
    program = HERE / "grpc"
    run("go", "build", "-o", program, "./bench/grpc")
    hello = calls(
        HERE / "hello.json",
        iter([(field_of(1, "world"), {"answer": base64.b64encode(field_of(1, "Hello world")).decode()})]),
    )
    rows = calls(HERE / "infer.json", infer_calls())
    off = ["--http", "off", "--admin", "off"]
    servers = {
        "hello": Server("grpc-hello", [str(program), "serve", "127.0.0.1:{port}"], ""),
        "forgo": Server("grpc-forgo", [str(FORGO), "serve", "build/bench/digits.forgo", "--grpc", "127.0.0.1:{port}", *off], ""),
    }  # fmt: skip
    what = {
        "hello": ("/helloworld.Greeter/SayHello", hello),
        "forgo": ("/inference.GRPCInferenceService/ModelInfer", rows),
    }
    got = Ratio("grpc", "gRPC prediction, 64 floats, 32 connections, to grpc-go's hello world", 0.70, 0.85)
    with running(servers["hello"]) as a, running(servers["forgo"]) as b:

        def rate(side: str, port: int) -> float:
            method, file = what[side]
            printed = run(program, "load", f"127.0.0.1:{port}", method, file, str(seconds), str(CONNECTIONS))
            done = json.loads(printed)
            return float(done["requests"] / done["seconds"])

        answering(lambda: rate("forgo", b))
        for number in range(rounds + 1):
            ports = [("hello", a), ("forgo", b)]
            rates = {side: rate(side, port) for side, port in (ports if number % 2 else reversed(ports))}
            if number:  # the first is a warm-up
                got.add(rates["forgo"] / rates["hello"], hello_a_second=rates["hello"], forgo_a_second=rates["forgo"])  # fmt: skip
    return got


def library(bundle: Path, engine: str, callers: int, inputs: str, seconds: int) -> float:
    """Answers a second of a bundle in the library, by ``forgo bench``."""
    options = ["--json", "--engine", engine, "--callers", str(callers), "--time", f"{seconds}s"]
    report = json.loads(run(FORGO, "bench", *options, bundle))
    return float(next(m["per_second"] for m in report["measurements"] if m["input"] == inputs))


def trees(rounds: int, seconds: int) -> list[Ratio]:
    """100 trees of depth 6: one row, beside XGBoost's own call from Python and ONNX Runtime's from Go."""
    import xgboost
    from sklearn.datasets import make_classification

    import forgo

    bundle = HERE / "trees.forgo"
    x, y = make_classification(4000, 20, n_informative=12, random_state=0)
    x = x.astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1, random_state=0).fit(x, y)
    if not bundle.exists():
        forgo.export(model, bundle, examples=x[:500])
    booster, row = model.get_booster(), x[:1]
    booster.set_param({"nthread": 1})
    beside_python = Ratio("trees-python", "trees (100 × depth 6), one row, library call, to XGBoost's inplace_predict from Python", 20, 50)  # fmt: skip
    beside_onnx = Ratio("trees-onnx", "the same to ONNX Runtime from Go", 4, 6)

    def python() -> float:
        end, n = time.monotonic() + seconds, 0
        begun = time.monotonic()
        while time.monotonic() < end:
            for _ in range(100):
                booster.inplace_predict(row)
            n += 100
        return n / (time.monotonic() - begun)

    for _ in range(rounds):
        theirs = python()
        ours = library(bundle, "pure", 1, "ready", seconds)
        onnx = library(bundle, "onnx", 1, "ready", seconds)
        beside_python.add(ours / theirs, forgo_us=1e6 / ours, xgboost_us=1e6 / theirs)
        beside_onnx.add(ours / onnx, forgo_us=1e6 / ours, onnxruntime_us=1e6 / onnx)
    return [beside_python, beside_onnx]


def picture_bundle(name: str) -> Path:
    """A network of keras.applications with weights at random, on photographs of 640 × 427 pixels."""
    import keras

    import forgo

    bundle = HERE / f"{name}.forgo"
    photographs = HERE / "photographs"
    run(sys.executable, "-m", "stress._photos", photographs)
    if not bundle.exists():
        keras.utils.set_random_seed(0)
        known = keras.applications
        classes = len(list(photographs.iterdir()))
        options: dict[str, Any] = {"examples": photographs, "accept_accuracy": True, "force": True}
        if name == "resnet50":
            network = known.ResNet50(weights=None, classes=classes)
            options |= {"mean": [103.939, 116.779, 123.68], "channels": "BGR"}
        else:
            network = known.EfficientNetB0(weights=None, classes=classes)
        forgo.export(network, bundle, **options)
    return bundle


def uploads(name: str, title: str, least: float, aim: float, wrk: str, rounds: int, seconds: int) -> Ratio:
    """JPEG uploads to a server, beside the bare engine on ready tensors."""
    bundle = picture_bundle(name)
    got = Ratio(
        name, f"{title} by JPEG upload (640×427), {UPLOADS} connections, to the bare engine", least, aim
    )
    off = ["--grpc", "off", "--admin", "off"]
    server = Server(f"forgo-{name}", [str(FORGO), "serve", str(bundle), "--engine", "onnx", "--http", "127.0.0.1:{port}", *off], "", ready="/v2/health/ready")  # fmt: skip
    files: list[Path] = []
    for path in sorted((HERE / "photographs").glob("*/*.jpg")):
        body = path.read_bytes()
        head = f"POST /models/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        files.append(HERE / "requests" / f"{name}-{len(files)}")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_bytes(head.encode() + body)

    def served() -> float:
        with running(server) as port:
            command: list[str | Path] = [wrk, "-t1", f"-c{UPLOADS}", f"-d{max(5, 2 * seconds)}s", "-s", SCRIPT, f"http://127.0.0.1:{port}", "--"]  # fmt: skip
            done = json.loads(run(*command, *files).splitlines()[-1])
        if done["errors"] or not done["requests"]:
            raise MissingError(f"{done['errors']} of {done['requests']} uploads failed")
        return float(done["requests"] / done["seconds"])

    for _ in range(rounds):
        bare = max(library(bundle, "onnx", callers, "ready", max(5, 2 * seconds)) for callers in (1, UPLOADS))
        got.add((rate := served()) / bare, forgo_a_second=rate, engine_a_second=bare)
    return got


@contextmanager
def program(path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A packed program that serves."""
    places = ["--http", f"127.0.0.1:{port}", "--grpc", "off", "--admin", "off"]
    with (HERE / "static.log").open("wb") as log:
        process = subprocess.Popen([path, *places], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def static() -> list[Ratio]:
    """The digits as one static program: its start to the first right answer, and its size."""
    binary, app = HERE / "forgo-static", HERE / "digits-static"
    run(
        ROOT / "scripts" / "go.sh", "build", "-o", binary, "./cmd/forgo",
        environment={"CGO_ENABLED": "0", "FORGO_GO_TAGS": "static"},
    )  # fmt: skip
    run(binary, "pack", "--force", "-o", app, HERE / "digits.forgo")
    start = Ratio(
        "cold-start", "cold start, digits, one static binary, verified, to the first answer", 60, 30, "ms"
    )
    size = Ratio("static-disk", "the static digits server on disk, bundle included", 30, 20, "MB")
    size.add(app.stat().st_size / 1e6)
    request = _cases.forgo_json()[0]
    for number in range(STARTS + 1):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        begun = time.monotonic()
        with program(app, port) as process:
            while True:
                with (
                    suppress(OSError, HTTPException),
                    closing(HTTPConnection("127.0.0.1", port, timeout=5)) as c,
                ):
                    c.request(request.method, request.path, request.body, dict(request.headers))
                    answer = c.getresponse()
                    body = answer.read()
                    if answer.status == 200:
                        request.check(body, answer.headers)
                        break
                if process.poll() is not None or time.monotonic() > begun + 30:
                    raise MissingError(f"{app} does not answer")
                time.sleep(0.0005)
            took = time.monotonic() - begun
        if number:  # the first reads the file from disk
            start.add(1e3 * took)
    return [start, size]


def measure(wrk: str, seconds: int, rounds: int, missing: dict[str, str]) -> list[Ratio]:
    """All of them, one after another."""
    found: list[Ratio] = []
    parts: dict[str, Callable[[], Ratio | list[Ratio]]] = {
        "gRPC": lambda: grpc(rounds, seconds),
        "trees": lambda: trees(rounds, seconds),
        "ResNet50": lambda: uploads("resnet50", "ResNet50", 0.95, 0.97, wrk, min(3, rounds), seconds),
        "EfficientNetB0": lambda: uploads(
            "efficientnetb0", "EfficientNetB0", 0.80, 0.87, wrk, min(3, rounds), seconds
        ),
        "static": static,
    }
    for name, part in parts.items():
        say(f"measuring {name}")
        try:
            got = part()
        except MissingError as e:
            say(f"{name}: NOT MEASURED: {e}")
            missing[name] = str(e)
            continue
        for ratio in got if isinstance(got, list) else [got]:
            say(f"{ratio.what}: {median(ratio.rounds):.3g}{ratio.unit and ' ' + ratio.unit}")
            found.append(ratio)
    return found
