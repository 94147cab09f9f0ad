"""A model that is swapped every second, under load (``make soak``).

Each second one of three networks becomes the model's next version; every tenth is broken in one
way or another, and must change nothing. Clients ask all the time. No request may fail, every
answer must be that of the version it names, which is the last one or one that came since the
request was sent, and memory may not grow.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stress import _page
from stress._server import HERE, ROOT, Server, serving

NETWORKS = HERE / "versions"
MODELS = HERE / "models"
CLIENTS, RATE = 8, 200  # requests a second of all clients
TOLERANCE = 1e-4  # the bundles' own; the networks differ by far more
BROKEN = 10  # every so many versions
TEXT = """
For {} s a small network is swapped every second for another of three, as its model's next version, while
clients ask all the time; every tenth version is broken: a changed bit, a file cut short or missing. Every
answer is compared with Keras's for the version that it names, which must be the last one that was loaded or
one that came since the request was sent. `make soak` does it.
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


@dataclass
class State:
    """What the clients and the one who swaps share."""

    rows: list[list[float]]
    answers: list[list[list[float]]]  # of each network to each row
    last: int = 1  # the last version that is known to answer
    put: int = 1  # the last one that was put there whole
    broken: set[int] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    seen: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def network(self, version: int) -> int:
        """Which network a version is."""
        return version % len(self.answers)


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


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that is kept."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)


def ask(server: Server, state: State, number: int) -> None:
    """One client: requests at a constant rate, each checked."""
    chance = random.Random(number)
    with closing(connect(server.http)) as connection:
        keep_asking(connection, chance, state)


def keep_asking(connection: http.client.HTTPConnection, chance: random.Random, state: State) -> None:
    """Its requests, until it is over."""
    due = time.monotonic() + chance.random() * CLIENTS / RATE
    while not state.over.wait(max(0, due - time.monotonic())):
        due += CLIENTS / RATE
        count = chance.randint(1, 4)
        chosen = [chance.randrange(len(state.rows)) for _ in range(count)]
        tensor = {"name": "input", "datatype": "FP32", "shape": [count, 4]}
        request = {"inputs": [tensor | {"data": [state.rows[i] for i in chosen]}]}
        before = state.last
        status, body = post(connection, "/v2/models/irises/infer", request)
        if status != 200:
            state.faults.append(f"status {status}: {body.decode()}")
            continue
        answer = json.loads(body)
        version = int(answer["model_version"])
        state.seen[version] += 1
        got = answer["outputs"][0]["data"]
        want = [x for i in chosen for x in state.answers[state.network(version)][i]]
        if len(got) != len(want) or any(abs(x - y) > TOLERANCE for x, y in zip(got, want, strict=False)):
            state.faults.append(f"version {version} answers {got}, not {want}")
        if not before <= version <= state.put or version in state.broken:
            state.faults.append(f"version {version} answers after {before} did; {state.put} is the last")


def swap(server: Server, state: State, version: int) -> None:
    """Put the next version there, and ask for it."""
    place = MODELS / "irises" / str(version)
    broken = version % BROKEN == 0
    if broken:
        state.broken.add(version)
        copy = MODELS / ".broken"
        shutil.copytree(NETWORKS / f"{state.network(version)}.forgo", copy)
        WAYS[version // BROKEN % len(WAYS)](copy)
        copy.rename(place)
    else:
        state.put = version
        shutil.copytree(NETWORKS / f"{state.network(version)}.forgo", place)  # seen while it is copied
    with closing(connect(server.admin)) as connection:
        status, body = post(connection, "/v2/repository/models/irises/load")
    if status != (409 if broken else 200):
        state.faults.append(
            f"load of {'broken ' * broken}version {version}: status {status}: {body.decode()}"
        )
    if broken:
        shutil.rmtree(place)
        return
    state.last = version
    for old in MODELS.glob("irises/*"):
        if int(old.name) < version:
            shutil.rmtree(old)


def growth(memory: list[tuple[float, int]], seconds: int) -> dict[str, float]:
    """What became of the memory, in MiB, from the end of the first minute on."""
    begin = memory[0][0]
    warm = min(60, seconds / 3)
    samples = [(at - begin, size / 2**20) for at, size in memory if at - begin >= warm]
    around = warm / 3
    first = statistics.median(size for at, size in samples if at < warm + around)
    last = statistics.median(size for at, size in samples if at > samples[-1][0] - around)
    slope = statistics.linear_regression([at for at, _ in samples], [size for _, size in samples]).slope
    return {
        "memory_after_a_minute": first,
        "memory_at_the_end": last,
        "memory_most": max(size for _, size in samples),
        "memory_grown": slope * (samples[-1][0] - samples[0][0]),
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
    with serving(MODELS, log=HERE / "soak.log") as server:
        clients = [threading.Thread(target=ask, args=(server, state, i)) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        started = time.monotonic()
        version = 1
        while (now := time.monotonic() - started) < a.seconds and not state.faults:
            time.sleep(max(0, version - now))
            version += 1
            swap(server, state, version)
        state.over.set()
        for client in clients:
            client.join()
    if not state.faults:
        report(a.out, a.seconds, version, server, state)
    for fault in state.faults[:10]:
        print(f"soak: {fault}", file=sys.stderr)
    return 1 if state.faults else 0


def report(out: Path, seconds: int, versions: int, server: Server, state: State) -> None:
    """Judge the memory, and write what was found."""
    memory = growth(server.memory, seconds)
    first, last = memory["memory_after_a_minute"], memory["memory_at_the_end"]
    if seconds >= 300:  # so long that the server's collector has come round some times
        if last > 1.1 * first:
            state.faults.append("memory at the end is more than 10% above that after the first minute")
        if memory["memory_grown"] > 0.05 * first:
            state.faults.append("memory grows: by more than 5% along the line through it")
    figures = {
        "seconds": seconds,
        "requests": state.seen.total(),
        "versions": versions,
        "of_them_broken": len(state.broken),
        "versions_that_answered": len(state.seen),
        **{name: round(value, 2) for name, value in memory.items()},
    }
    rows = {
        "requests": f"{state.seen.total():,}, {CLIENTS} clients, {RATE} a second",
        "versions": f"{versions}, of which {len(state.broken)} were broken; {len(state.seen)} answered",
        "failed requests, wrong answers, answers of a stale or broken version": "0",
        "memory": f"{first:.0f} MiB after the first minute, {last:.0f} MiB at the end, {memory['memory_most']:.0f} MiB at most",
    }
    _page.write(out / "soak", "Soak", TEXT.format(seconds), figures, rows, state.faults)
    print((out / "soak.md").read_text())


if __name__ == "__main__":
    sys.exit(main())
