"""The peers: other ways to serve the same model, each as its documentation advises, each in an environment of its own."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import _cases, _servers
from bench._cases import Case, Request, WrongAnswerError, verify, write_requests
from bench._results import Result, Turn, turn
from bench._servers import (
    CORES,
    HERE,
    ROOT,
    MissingError,
    Server,
    python_environment,
    python_versions,
    run,
    say,
)

PEERS = ROOT / "bench" / "peers"
MODEL = {"MODEL": str(HERE / "digits.forgo"), "OMP_NUM_THREADS": "1"}


def _python(name: str, *packages: str) -> tuple[Path, str]:
    """The bin folder of a peer's environment, and its versions."""
    here = python_environment(f"peer-{name}", PEERS / name / "requirements.txt")
    return here, python_versions(here, *packages)


@cache
def fastapi(workers: int) -> Server:
    """FastAPI in uvicorn, with uvloop and httptools."""
    here, versions = _python("fastapi", "fastapi", "uvicorn", "orjson", "onnxruntime")
    command = [str(here / "uvicorn"), "app:app", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--workers", str(workers), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return Server(f"fastapi-{workers}", command, versions, PEERS / "fastapi", MODEL)


@cache
def flask() -> Server:
    """Flask and Keras in gunicorn, a worker a core."""
    here, versions = _python("flask", "Flask", "gunicorn", "keras", "tensorflow-cpu")
    command = [str(here / "gunicorn"), "--workers", str(CORES), "--bind", "127.0.0.1:{port}", "app:app"]
    return Server("flask-keras", command, versions, PEERS / "flask", MODEL)


def _program(name: str, *packages: str, **environment: str) -> Server:
    here, versions = _python(name, *packages)
    command = [str(here / "python"), "app.py", "{port}", str(CORES)]
    return Server(name, command, versions, PEERS / name, MODEL | environment)


@cache
def litserve() -> Server:
    """LitServe, a worker a core."""
    return _program("litserve", "litserve", "onnxruntime")


@cache
def mlserver() -> Server:
    """MLServer, the model in its own process."""
    return _program("mlserver", "mlserver", "onnxruntime")


@cache
def ray() -> Server:
    """Ray Serve, a replica a core."""
    return _program("ray", "ray", "onnxruntime", RAY_USAGE_STATS_ENABLED="0", RAY_TMPDIR=str(HERE / "ray"))


@cache
def bentoml() -> Server:
    """BentoML, a worker a core."""
    here, versions = _python("bentoml", "bentoml", "onnxruntime")
    command = [str(here / "bentoml"), "serve", "app:Digits", "--host", "127.0.0.1", "--port", "{port}"]
    return Server("bentoml", command, versions, PEERS / "bentoml", MODEL | {"BENTOML_DO_NOT_TRACK": "True"})


@cache
def by_hand() -> Server:
    """A Go server without forgo: net/http and ONNX Runtime's cgo binding."""
    binary = HERE / "gohand"
    run("go", "build", "-o", binary, ".", folder=PEERS / "gohand", environment={"CGO_ENABLED": "1"})
    library = json.loads(run(Path(sys.executable).with_name("forgo"), "doctor", "--json"))["onnxruntime"][
        "path"
    ]
    version = run("go", "env", "GOVERSION").removeprefix("go")
    return Server(
        "gohand", [str(binary), "127.0.0.1:{port}"], f"Go {version}", ROOT, MODEL | {"ONNXRUNTIME": library}
    )


def _rows(path: str, answer: Callable[[Any], Any]) -> list[Request]:
    """A row a request, as JSON: ``{"rows": [[64 numbers]]}``."""

    def request(row: np.ndarray, want: np.ndarray) -> Request:
        def check(body: bytes, _: http.client.HTTPMessage) -> None:
            _cases.same(np.ravel(answer(json.loads(body))), want)

        body = json.dumps({"rows": [row.tolist()]}).encode()
        return Request("POST", path, check, (("Content-Type", "application/json"),), body)

    return [request(*pair) for pair in zip(*_cases.answers(), strict=True)]


def _answers(body: Any) -> Any:
    return body["answers"]


def _bare(body: Any) -> Any:
    return body


_predict = partial(_rows, "/predict", _answers)

CASES = [
    Case("flask-predict", "Flask + keras.predict", "peer", flask, _predict),
    Case("flask-call", "Flask + model(x)", "peer", flask, partial(_rows, "/call", _answers)),
    Case("fastapi-1", "FastAPI + ONNX Runtime, 1 worker", "peer", partial(fastapi, 1), _predict),
    Case("fastapi-2", "FastAPI + ONNX Runtime, 2 workers", "peer", partial(fastapi, 2), _predict),
    Case("litserve", "LitServe", "peer", litserve, _predict),
    Case("bentoml", "BentoML", "peer", bentoml, partial(_rows, "/predict", _bare)),
    Case("mlserver", "MLServer", "peer", mlserver, _cases.forgo_json),
    Case("ray", "Ray Serve", "peer", ray, _predict),
    Case("gohand", "Go by hand, cgo binding", "peer", by_hand, _predict),
    Case("peers-json", "forgo, JSON", "prediction", _servers.forgo, _cases.forgo_json),
    Case("peers-binary", "forgo, binary tensor", "prediction", _servers.forgo, _cases.forgo_binary),
]

MARK = "BENCH_SERVER"


@dataclass
class PeerResult(Result):
    """The turns of one case, each of a server started for it."""

    starts: list[float] = field(default_factory=list)  # seconds until the first right answer
    memory: list[float] = field(default_factory=list)  # MiB before the load
    disk: float = 0  # MiB


def measure(
    cases: list[Case], missing: dict[str, str], wrk: str, seconds: int, rounds: int
) -> list[PeerResult]:
    """Load every server in turns. Each is started for its turn: some keep a core busy while they are idle."""
    results = [PeerResult(case, case.server().versions, disk=installed(case)) for case in cases]
    for number in range(rounds):
        for result in list(results if number % 2 else reversed(results)):
            case = result.case
            files = write_requests(case, HERE / "requests" / case.name)
            try:
                got = _turn(result, wrk, seconds, files)
            except MissingError as e:
                say(f"{case.title}: NOT MEASURED: {e}")
                missing[case.title] = str(e)
                results.remove(result)
                continue
            say(
                f"{f'round {number + 1} of {rounds}':<13} {case.title:<34} {got.rate:>9,.0f} /s, first answer after {result.starts[-1]:.2f} s"
            )
            result.turns.append(got)
    return results


@contextmanager
def answering(
    case: Case, server: Server, patience: float, pause: float = 0.002
) -> Iterator[tuple[int, float]]:
    """Start a server for a case; gives its port, and the seconds from its start to its first right answer."""
    request = case.requests()[0]
    once = replace(case, requests=lambda: [request])
    start = time.monotonic()
    with _servers.starting(server) as (process, port):
        while True:
            try:
                verify(once, port)
                break
            except WrongAnswerError as e:
                if process.poll() is not None or time.monotonic() > start + patience:
                    raise MissingError(f"{e}; its log is {_servers.log(server)}") from None
                time.sleep(pause)
        yield port, time.monotonic() - start


def _turn(result: PeerResult, wrk: str, seconds: int, files: list[Path], patience: float = 90) -> Turn:
    case = result.case
    mark = f"{os.getpid()}-{case.name}"
    server = case.server()
    server = replace(server, environment=server.environment | {MARK: mark})
    with answering(case, server, patience) as (port, took):
        result.starts.append(took)
        verify(case, port)
        result.memory.append(memory(mark))
        turn(wrk, case, port, seconds, files)  # for caches and JIT compilers, and not counted
        got = turn(wrk, case, port, seconds, files)
        verify(case, port)
        return got


def memory(mark: str) -> float:
    """MiB of all processes that were started with a mark in their environment."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def installed(case: Case) -> float:
    """MiB on disk of what a server needs: its environment, or its binary and ONNX Runtime's library."""
    server = case.server()
    if case.server in (_servers.forgo, by_hand):
        doctor = json.loads(run(Path(sys.executable).with_name("forgo"), "doctor", "--json"))
        binary = ROOT / "src/forgo/bin/forgo" if case.server is _servers.forgo else HERE / "gohand"
        files = [binary, Path(doctor["onnxruntime"]["path"])]
    else:
        files = [f for f in Path(server.command[0]).parent.parent.rglob("*") if not f.is_symlink()]
    return sum(f.stat().st_size for f in files if f.is_file()) / 2**20
