"""A model that is swapped every second, under load (``make soak``).

Each second one of three networks becomes the model's next version; every tenth is broken in one
way or another, and must change nothing. Clients ask all the time, by three protocols, half of them over
TLS, while others crash, or stop to read or to write (``_rude``), over HTTP and gRPC, with TLS and without. No request
may fail or stay away, every answer must be that of the last version or of one that came since the
request was sent, the one it names where its protocol names it, and memory may not grow.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stress import _page, _rude
from stress._server import HERE, ROOT, Server, certificate, serving

NETWORKS = HERE / "versions"
MODELS = HERE / "models"
SOCKET = HERE / "socket"
LABELS = ["setosa", "versicolor", "virginica"]
CLIENTS, RATE = 8, 200  # requests a second of all clients
RUDE = 12  # clients that misbehave
CLIENT_TIMEOUT = "5s"  # the server's patience with them
TOLERANCE = 1e-4  # the bundles' own; the networks differ by far more
BROKEN = 10  # every so many versions
ENOUGH = 0.95  # of the requests that the rate comes to must have been answered
WITHIN = 0.10  # of the memory after the first minute is all of it later
SLOPE = 0.01  # of the memory after the first minute: what it may rise by in the second half
JUDGED = 300  # seconds from which on memory is judged: the server's collector has come round some times
TEXT = """
For {} s the server swaps a small network every second for the next version of its model, one of three networks. Every
tenth version is broken: a bit is changed, or a file is truncated or missing. Meanwhile clients send requests over REST, in
the Open Inference Protocol, TensorFlow Serving's API and forgo's own; half of them use TLS. Another {} clients misbehave, over
HTTP and gRPC, with TLS and without: they close connections in the middle of a message, or keep them open and stop writing
or reading. Every answer must be Keras's answer for the version that it names. If the protocol names none, it must be that of
a version loaded since the request was sent, or of the one before. At least 95% of the intended requests must be answered.
Memory must stay within 10% of its value after the first minute, and a line fitted to the second half may rise by at most 1%.
`make soak` measures this.
"""


def shorten(path: Path) -> None:
    """Cut a file as a copy that ended early does."""
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


WAYS: list[Callable[[Path], None]] = [
    lambda bundle: flip(bundle / "model.onnx"),
    lambda bundle: shorten(bundle / "model.onnx"),
    lambda bundle: flip(bundle / "forgo.json"),
    lambda bundle: (bundle / "forgo.json").unlink(),
    lambda bundle: next(bundle.glob("golden/*.safetensors")).unlink(),
]


@dataclass(frozen=True)
class Protocol:
    """One way to ask: where, with what, and what an answer says: its version, if it does, and probabilities."""

    path: str
    request: Callable[[list[list[float]]], object]
    answer: Callable[[Any], tuple[int | None, list[float]]]


def flat(rows: list[list[float]]) -> list[float]:
    """All of them in one list."""
    return [x for row in rows for x in row]


def tensor(rows: list[list[float]]) -> dict[str, object]:
    """Rows as the Open Inference Protocol has them."""
    return {"name": "input", "datatype": "FP32", "shape": [len(rows), 4], "data": rows}


def scores(answers: list[dict[str, Any]]) -> list[float]:
    """The probabilities of answers that come best first, in the labels' order."""
    by_label = [{c["label"]: c["score"] for c in answer["classes"]} for answer in answers]
    return [scored[label] for scored in by_label for label in LABELS]


PROTOCOLS = {
    "Open Inference Protocol": Protocol(
        "/v2/models/irises/infer",
        lambda rows: {"inputs": [tensor(rows)]},
        lambda said: (int(said["model_version"]), said["outputs"][0]["data"]),
    ),
    "TensorFlow Serving": Protocol(
        "/v1/models/irises:predict",
        lambda rows: {"instances": rows},
        lambda said: (None, flat(said["predictions"])),
    ),
    "native": Protocol("/models/irises", lambda rows: rows, lambda said: (None, scores(said))),
}


@dataclass
class State:
    """What the clients and the one who swaps share."""

    rows: list[list[float]]
    answers: list[list[list[float]]]  # of each network to each row
    last: int = 1  # the last version that is known to answer
    put: int = 1  # the last one that was put there whole
    broken: set[int] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)  # what was answered rightly, by protocol
    seen: set[int] = field(default_factory=set)  # versions that answers named
    faults: list[str] = field(default_factory=list)

    def network(self, version: int) -> int:
        """Which network a version is."""
        return version % len(self.answers)

    @contextmanager
    def told(self, who: str) -> Iterator[None]:
        """Report whatever goes wrong as a fault; a thread's exception would go unseen."""
        try:
            yield
        except Exception as e:
            self.faults.append(f"{who}: {e!r}")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m stress.soak", description=__doc__)
    seconds = os.environ.get("SOAK_SECONDS", "600")
    parser.add_argument("--seconds", type=int, default=seconds, help="of load (SOAK_SECONDS)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", metavar="FOLDER")
    return parser.parse_args()


def post(connection: http.client.HTTPConnection, path: str, body: object = None) -> tuple[int, bytes]:
    """One request."""
    connection.request("POST", path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, answer.read()


class UnixConnection(http.client.HTTPConnection):
    """One to a Unix socket."""

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(SOCKET))


def connect(url: str, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    """A connection that is kept."""
    if tls:
        return http.client.HTTPSConnection(urlsplit(url).netloc, timeout=60, context=tls)
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)


def ask(server: Server, state: State, number: int, tls: ssl.SSLContext) -> None:
    """One client: requests at a constant rate, each checked; every second one asks without TLS, on the Unix socket."""
    chance = random.Random(number)
    asked = connect(server.http, tls) if number % 2 else UnixConnection("localhost")
    with state.told(f"client {number}"), closing(asked) as connection:
        keep_asking(connection, chance, state)


def crowd(server: Server, over: threading.Event, cert: Path) -> _rude.Crowd:
    """Those who misbehave, wherever the server listens. The admin port takes gRPC without TLS."""

    def path(name: str, url: str | None, protocol: str | None) -> _rude.Place:
        host, _, port = str(url).rpartition("/")[2].rpartition(":")
        tls = None
        if protocol:
            tls = ssl.create_default_context(cafile=str(cert))
            tls.set_alpn_protocols([protocol])
        return _rude.Place(name, (host, int(port)), tls, name.startswith("gRPC"))

    places = [path("HTTP with TLS", server.http, "http/1.1"), path("gRPC with TLS", server.grpc, "h2")]
    places += [_rude.Place("HTTP", str(SOCKET), None, False), path("gRPC", server.admin, None)]
    return _rude.Crowd(places, RUDE, over)


def settled(server: Server) -> str | None:
    """What is still under way after all clients have stopped and the server's patience is over."""
    for _ in range(60):
        with closing(connect(server.admin)) as connection:
            connection.request("GET", "/metrics")
            left = _rude.in_flight(connection.getresponse().read().decode())
        if not left:
            return None
        time.sleep(0.5)
    return f"{left:g} requests of clients that misbehaved are under way half a minute after they had gone"


def keep_asking(connection: http.client.HTTPConnection, chance: random.Random, state: State) -> None:
    """Its requests, until it is over."""
    due = time.monotonic() + chance.random() * CLIENTS / RATE
    while not state.over.wait(max(0, due - time.monotonic())):
        due += CLIENTS / RATE
        name, protocol = chance.choice(list(PROTOCOLS.items()))
        chosen = [chance.randrange(len(state.rows)) for _ in range(chance.randint(1, 4))]
        before = state.last
        status, body = post(connection, protocol.path, protocol.request([state.rows[i] for i in chosen]))
        if status != 200:
            state.faults.append(f"{name}: status {status}: {body.decode()}")
            continue
        version, got = protocol.answer(json.loads(body))
        fault = judge_answer(state, version, got, chosen, before, state.put)
        if fault:
            state.faults.append(f"{name}: {fault}")
            continue
        state.asked[name] += 1
        if version is not None:
            state.seen.add(version)


def judge_answer(
    state: State, version: int | None, got: list[float], chosen: list[int], before: int, put: int
) -> str | None:
    """What is wrong with an answer that was asked for after version ``before`` answered and came before ``put`` was over."""
    may = [v for v in range(before, put + 1) if v not in state.broken]
    if version is not None and version not in may:
        return f"version {version} answers after {before} did; {put} is the last"
    for v in may if version is None else [version]:
        want = flat([state.answers[state.network(v)][i] for i in chosen])
        if len(got) == len(want) and all(abs(x - y) <= TOLERANCE for x, y in zip(got, want, strict=True)):
            return None
    return f"version {version or f'{before} to {put}'} answers {got}, which is not Keras's"


def swap(server: Server, state: State, version: int) -> None:
    """Put the next version there, and ask for it."""
    path = MODELS / "irises" / str(version)
    broken = version % BROKEN == 0
    if broken:
        state.broken.add(version)
        copy = MODELS / ".broken"
        shutil.copytree(NETWORKS / f"{state.network(version)}.forgo", copy)
        WAYS[version // BROKEN % len(WAYS)](copy)
        copy.rename(path)
    else:
        state.put = version
        shutil.copytree(NETWORKS / f"{state.network(version)}.forgo", path)  # seen while it is copied
    with closing(connect(server.admin)) as connection:
        status, body = post(connection, "/v2/repository/models/irises/load")
    if status != (409 if broken else 200):
        state.faults.append(
            f"load of {'broken ' * broken}version {version}: status {status}: {body.decode()}"
        )
    if broken:
        shutil.rmtree(path)
        return
    state.last = version
    for old in MODELS.glob("irises/*"):
        if int(old.name) < version:
            shutil.rmtree(old)


@dataclass(frozen=True)
class Figures:
    """What was found, memory in MiB."""

    seconds: int
    requests: int
    requests_by_protocol: dict[str, int]
    versions: int
    of_them_broken: int
    versions_that_answered: int
    misbehaved: dict[str, int]  # connections, by what became of them
    misbehaved_by_port: dict[str, int]
    memory_after_a_minute: float
    memory_at_the_end: float
    memory_most: float  # after the first minute
    memory_least: float
    memory_grown: float  # in the second half, along the line through it

    @staticmethod
    def by(counts: dict[str, int]) -> str:
        """How many of each."""
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())

    def rows(self) -> dict[str, str]:
        """The figures in words."""
        by = self.by(self.requests_by_protocol)
        judged = "" if self.seconds >= JUDGED else "; not judged in so short a time"
        return {
            "requests": f"{self.requests:,}, {CLIENTS} clients, {RATE} a second: {by}",
            "versions": f"{self.versions}, of which {self.of_them_broken} were broken; {self.versions_that_answered} answered",
            "connections that misbehaved": self.by(self.misbehaved) + "; " + self.by(self.misbehaved_by_port),
            "failed requests, wrong answers, answers of a stale or broken version": "0",
            "memory": f"{self.memory_after_a_minute:.1f} MiB after the first minute, from then on {self.memory_least:.1f} to {self.memory_most:.1f} MiB, {self.memory_at_the_end:.1f} MiB at the end",
            "its slope": f"{self.memory_grown:+.2f} MiB in the second half{judged}",
        }

    def faults(self) -> list[str]:
        """What is not as it should be."""
        first, due = self.memory_after_a_minute, RATE * self.seconds
        bars = {
            f"{self.requests} requests were answered of {due}, fewer than {ENOUGH:.0%}": self.requests
            >= ENOUGH * due
        }
        if self.seconds >= JUDGED:
            most = f"memory is {self.memory_least:.1f} to {self.memory_most:.1f} MiB, not within {WITHIN:.0%} of the {first:.1f} MiB after the first minute"
            bars[most] = (1 - WITHIN) * first <= self.memory_least and self.memory_most <= (
                1 + WITHIN
            ) * first
            bars[f"memory grows: by {self.memory_grown:.1f} MiB in the second half"] = (
                self.memory_grown <= SLOPE * first
            )
        return [fault for fault, right in bars.items() if not right]


def growth(memory: list[tuple[float, int]], seconds: int) -> dict[str, float]:
    """What became of the memory, in MiB, from the end of the first minute on.

    The line is that of the second half: a leak goes on until the end, while a heap that finds its
    size does not.
    """
    begin = memory[0][0]
    warm = min(60, seconds / 3)
    samples = [(at - begin, size / 2**20) for at, size in memory if at - begin >= warm]
    around, end = warm / 3, samples[-1][0]
    sizes = [size for _, size in samples]
    second = [(at, size) for at, size in samples if at >= end / 2]
    line = statistics.linear_regression(*zip(*second, strict=True))
    return {
        "memory_after_a_minute": statistics.median(size for at, size in samples if at < warm + around),
        "memory_at_the_end": statistics.median(size for at, size in samples if at > end - around),
        "memory_most": max(sizes),
        "memory_least": min(sizes),
        "memory_grown": line.slope * (second[-1][0] - second[0][0]),
    }


def train() -> None:
    """Make the networks where they are not there."""
    if not (NETWORKS / "answers.json").exists():
        shutil.rmtree(NETWORKS, ignore_errors=True)
        NETWORKS.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "stress._versions", NETWORKS], check=True, cwd=ROOT)


def main() -> int:
    """Soak, say, and judge."""
    a = arguments()
    train()
    state = State(**json.loads((NETWORKS / "answers.json").read_text()))
    for one, other in itertools.combinations(state.answers, 2):
        for x, y in zip(one, other, strict=True):
            assert max(abs(p - q) for p, q in zip(x, y, strict=True)) > 100 * TOLERANCE, "the networks agree"
    shutil.rmtree(MODELS, ignore_errors=True)
    shutil.copytree(NETWORKS / f"{state.network(1)}.forgo", MODELS / "irises" / "1")
    cert, key, tls = certificate(HERE)
    options: list[str | Path] = ["--tls-cert", cert, "--tls-key", key, "--admin-plain", "--socket", SOCKET]
    # Long requests that misbehave take no place from the good ones: that is what overload measures.
    options += ["--client-timeout", CLIENT_TIMEOUT, "--max-queue-rows", "65536"]
    with serving(MODELS, *options, log=HERE / "soak.log", grpc=True) as server:
        clients = [threading.Thread(target=ask, args=(server, state, i, tls)) for i in range(CLIENTS)]
        rude = crowd(server, state.over, cert)
        state.faults += [
            f"{p.name}: the request that they begin is refused" for p in rude.places if not _rude.answers(p)
        ]
        for client in clients:
            client.start()
        rude.start()
        started = time.monotonic()
        version = 1
        while (now := time.monotonic() - started) < a.seconds and not state.faults:
            time.sleep(max(0, version - now))
            version += 1
            with state.told(f"load of version {version}"):
                swap(server, state, version)
        state.over.set()
        for client in clients:
            client.join()
        rude.join()
        state.faults += rude.faults
        if not state.faults and (left := settled(server)):
            state.faults.append(left)
    if not state.faults:
        report(a.out, a.seconds, version, server, state, rude)
    for fault in state.faults[:10]:
        print(f"soak: {fault}", file=sys.stderr)
    return 1 if state.faults else 0


def report(out: Path, seconds: int, versions: int, server: Server, state: State, rude: _rude.Crowd) -> None:
    """Judge the whole, and write what was found."""
    figures = Figures(
        seconds=seconds,
        requests=state.asked.total(),
        requests_by_protocol={name: state.asked[name] for name in PROTOCOLS},
        versions=versions,
        of_them_broken=len(state.broken),
        versions_that_answered=len(state.seen),
        misbehaved=rude.by(1),
        misbehaved_by_port=rude.by(0),
        **growth(server.memory, seconds),
    )
    state.faults += figures.faults()
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(figures).items()}
    _page.write(out / "soak", "Soak", TEXT.format(seconds, RUDE), rounded, figures.rows(), state.faults)
    print((out / "soak.md").read_text())


if __name__ == "__main__":
    sys.exit(main())
