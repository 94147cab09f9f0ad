"""The server beside the bare engine, gRPC beside its own hello world, trees beside XGBoost, and one static program."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import _cases, _models
from bench._cases import CONNECTIONS, UPLOADS, Case, verify, write_requests
from bench._results import turn
from bench._servers import HERE, ROOT, MissingError, Server, run, running, say
from bench._turns import answering

FORGO = Path(sys.executable).with_name("forgo")
STARTS = 15  # of the static program


@dataclass
class Ratio:
    """One line: what is compared with what, in rounds of one run, and what is to be reached."""

    name: str
    what: str
    least: float | None = None
    aim: float | None = None
    unit: str = ""  # more is better for a ratio, which has none; less is better for a figure with a unit
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


def retried(ask: Callable[[], object], patience: float = 30) -> None:
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
    got = Ratio(
        "grpc", "gRPC predictions, 64 floats, 32 connections, relative to grpc-go's hello world", 0.70, 0.85
    )
    with running(servers["hello"]) as a, running(servers["forgo"]) as b:

        def rate(side: str, port: int) -> float:
            method, file = what[side]
            printed = run(program, "load", f"127.0.0.1:{port}", method, file, str(seconds), str(CONNECTIONS))
            done = json.loads(printed)
            return float(done["requests"] / done["seconds"])

        retried(lambda: rate("forgo", b))
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

    bundle = _models.need("trees")
    booster = xgboost.Booster(model_file=HERE / "trees.ubj")
    booster.set_param({"nthread": 1})
    rows, answers = _cases.answers("trees")
    row = rows[:1]
    beside_python = Ratio("trees-python", "trees (100 × depth 6), one row, library call, relative to XGBoost's inplace_predict in Python", 20, 50)  # fmt: skip
    beside_onnx = Ratio("trees-onnx", "the same, relative to ONNX Runtime from Go", 4, 6)

    def python() -> float:
        _cases.same(booster.inplace_predict(rows), answers[:, 1])
        begun, n = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
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


def leaves(rounds: int, seconds: int) -> Ratio:
    """As many trees by LightGBM, beside a Go library for them."""
    bundle = _models.need("lightgbm")
    program = HERE / "leaves"
    run("go", "build", "-o", program, ".", folder=ROOT / "bench" / "leaves")
    rows, answers = _cases.answers("lightgbm")
    known, text = HERE / "lightgbm.json", HERE / "lightgbm-v3.txt"
    known.write_text(json.dumps({"rows": rows.tolist(), "answers": answers[:, 1].tolist()}))
    # It reads versions 2 and 3. What version 4 added, these trees lack; their answers are checked.
    text.write_text((HERE / "lightgbm.txt").read_text().replace("version=v4", "version=v3", 1))
    got = Ratio(
        "trees-leaves", "LightGBM's trees (100 × depth 6), one row, library call, relative to leaves in Go"
    )
    for _ in range(rounds):
        theirs = float(run(program, text, known, str(seconds)))
        ours = library(bundle, "pure", 1, "ready", seconds)
        got.add(ours / theirs, forgo_us=1e6 / ours, leaves_us=1e6 / theirs)
    return got


def uploads(name: str, title: str, least: float, aim: float, wrk: str, rounds: int, seconds: int) -> Ratio:
    """JPEG uploads to a server, beside the bare engine on ready tensors."""
    bundle = _models.need(name)
    got = Ratio(
        name,
        f"{title} by JPEG upload (640×427), {UPLOADS} connections, relative to the bare engine",
        least,
        aim,
    )
    off = ["--grpc", "off", "--admin", "off"]
    server = Server(f"forgo-{name}", [str(FORGO), "serve", str(bundle), "--engine", "onnx", "--http", "127.0.0.1:{port}", *off], "", ready="/v2/health/ready")  # fmt: skip
    case = Case(
        name,
        title,
        "prediction",
        lambda: server,
        partial(_cases.uploads, name, f"/models/{name}?top=5"),
        name,
        UPLOADS,
    )
    files = write_requests(case, HERE / "requests" / name)

    def served() -> float:
        with running(server) as port:
            verify(case, port)
            rate = turn(wrk, case, port, max(5, 2 * seconds), files).rate
            verify(case, port)
            return rate

    for _ in range(rounds):
        bare = max(library(bundle, "onnx", callers, "ready", max(5, 2 * seconds)) for callers in (1, UPLOADS))
        got.add((rate := served()) / bare, forgo_a_second=rate, engine_a_second=bare)
    return got


def static() -> list[Ratio]:
    """The digits as one static program: its start to the first right answer, and its size."""
    binary, app = HERE / "forgo-static", HERE / "digits-static"
    run(
        ROOT / "scripts" / "go.sh", "build", "-o", binary, "./cmd/forgo",
        environment={"CGO_ENABLED": "0", "FORGO_GO_TAGS": "static"},
    )  # fmt: skip
    run(binary, "pack", "--force", "-o", app, HERE / "digits.forgo")
    start = Ratio(
        "cold-start",
        "cold start of the static digits server: from exec to the first answer, replay included",
        60,
        30,
        "ms",
    )
    size = Ratio("static-disk", "size of the static digits server, bundle included", 30, 20, "MB")
    size.add(app.stat().st_size / 1e6)
    places = ["--http", "127.0.0.1:{port}", "--grpc", "off", "--admin", "off"]
    server = Server("digits-static", [str(app), *places], "")
    case = Case("cold-start", start.what, "prediction", lambda: server, _cases.forgo_json)
    for number in range(STARTS + 1):
        with answering(case, server, patience=30, pause=0.0005) as (_, took):
            pass
        if number:  # the first reads the file from disk
            start.add(1e3 * took)
    return [start, size]


def measure(wrk: str, seconds: int, rounds: int, missing: dict[str, str]) -> list[Ratio]:
    """All of them, one after another."""
    found: list[Ratio] = []
    parts: dict[str, Callable[[], Ratio | list[Ratio]]] = {
        "gRPC": lambda: grpc(rounds, seconds),
        "trees": lambda: trees(rounds, seconds),
        "leaves": lambda: leaves(rounds, seconds),
        "ResNet50": lambda: uploads("resnet50", "ResNet50", 0.95, 0.97, wrk, min(3, rounds), seconds),
        "EfficientNet-Lite0": lambda: uploads(
            _models.LITE0, "EfficientNet-Lite0", 0.80, 0.87, wrk, min(3, rounds), seconds
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
