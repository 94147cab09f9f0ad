"""A ``forgo serve`` to be loaded, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
HERE = ROOT / "build" / "stress"


@dataclass
class Server:
    """A running server, and the memory that it has used: (seconds since its start, bytes)."""

    process: subprocess.Popen[bytes]
    http: str
    admin: str
    memory: list[tuple[float, int]] = field(default_factory=list)

    def resident(self) -> int:
        """The memory that it uses now, in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def on(cores: set[int]) -> list[str | Path]:
    """What a command starts with that may use these cores alone."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]


@contextmanager
def serving(
    *arguments: str | Path, log: Path, every: float = 0.2, cores: set[int] | None = None
) -> Iterator[Server]:
    """Start a server, on these cores, sample its memory, and in the end stop it; its log goes to a file."""
    tied = on(cores) if cores else []
    command = [*tied, Path(sys.executable).with_name("forgo"), "serve", *arguments, "--log-format", "json"]
    places = ["--http", "127.0.0.1:0", "--grpc", "off", "--admin", "127.0.0.1:0"]
    with log.open("w") as out:
        process = subprocess.Popen([*command, *places], stderr=out)
    over = threading.Event()
    started = time.monotonic()
    said = None
    while said is None:
        if process.poll() is not None:
            raise SystemExit(f"forgo serve did not start; its log is {log}")
        time.sleep(0.05)
        whole = log.read_text().rpartition("\n")[0].splitlines()
        said = next((line for line in map(json.loads, whole) if line["msg"] == "serving"), None)
    server = Server(process, said["url"], "http://" + said["admin"])

    def watch() -> None:
        while not over.wait(every):
            server.memory.append((time.monotonic() - started, server.resident()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield server
    finally:
        over.set()
        watcher.join()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
    if code != 0:
        raise SystemExit(f"forgo serve ended with exit code {code}; its log is {log}")
