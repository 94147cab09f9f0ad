"""Turns of servers that are started for them: what they answer, when first, and what they take of memory and disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import _servers
from bench._cases import Case, WrongAnswerError, verify, write_requests
from bench._results import Result, Turn, turn
from bench._servers import HERE, MissingError, Server, say

MARK = "BENCH_SERVER"
PATIENCE = 90  # seconds for a server's first answer


@dataclass
class PeerResult(Result):
    """The turns of one case, each of a server started for it."""

    starts: list[float] = field(default_factory=list)  # seconds until the first right answer
    memory: list[float] = field(default_factory=list)  # MiB before the load
    disk: float = 0  # MiB
    difference: float = 0  # the largest, of any answer from the training framework's


def measure(
    cases: list[Case], missing: dict[str, str], wrk: str, seconds: int, rounds: int
) -> list[PeerResult]:
    """Load every server in turns. Each is started for its turn: some keep a core busy while they are idle."""
    results = [PeerResult(case, case.server().versions) for case in cases]
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
                f"{f'round {number + 1} of {rounds}':<13} {case.model:<18} {case.title:<34} {got.rate:>9,.0f} /s, first answer after {result.starts[-1]:.2f} s"
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


def _turn(result: PeerResult, wrk: str, seconds: int, files: list[Path]) -> Turn:
    case = result.case
    mark = f"{os.getpid()}-{case.name}"
    server = case.server()
    server = replace(server, environment=server.environment | {MARK: mark})
    with answering(case, server, PATIENCE) as (port, took):
        result.starts.append(took)
        before = verify(case, port)
        result.memory.append(memory(mark))
        result.disk = disk(server, mark)
        turn(wrk, case, port, 1, files)  # for caches, and not counted
        got = turn(wrk, case, port, seconds, files)
        result.difference = max(result.difference, before, verify(case, port))
        return got


def _marked(mark: str) -> Iterator[Path]:
    """The folders in /proc of all processes that were started with a mark in their environment."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                yield process


def memory(mark: str) -> float:
    """MiB of all processes that were started with a mark, shared pages counted once."""
    total = 0
    for process in _marked(mark):
        with suppress(OSError):
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def disk(server: Server, mark: str) -> float:
    """MiB of what a running server needs: its Python environment, or its binary and ONNX Runtime's library if it is open."""
    environment = Path(server.command[0]).parent.parent
    if environment.parent == HERE:
        files = [f for f in environment.rglob("*") if not f.is_symlink()]
    else:
        files = []
        for process in _marked(mark):
            with suppress(OSError):
                mapped = {line.split(maxsplit=5)[-1] for line in (process / "maps").read_text().splitlines()}
                files += [Path(name) for name in mapped if "/libonnxruntime" in name]
                files.append(process / "exe")  # a link, also to a file that was replaced since
    found = [f.stat() for f in files if f.is_file()]
    return sum({(f.st_dev, f.st_ino): f.st_size for f in found}.values()) / 2**20
