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

    process: subprocess.Popen[str]
    http: str
    admin: str
    memory: list[tuple[float, int]] = field(default_factory=list)

    def resident(self) -> int:
        """The memory that it uses now, in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving(*arguments: str | Path, log: Path, every: float = 0.2) -> Iterator[Server]:
    """Start a server, sample its memory, and in the end stop it; its log goes to a file."""
    command = [Path(sys.executable).with_name("forgo"), "serve", *arguments, "--log-format", "json"]
    places = ["--http", "127.0.0.1:0", "--grpc", "off", "--admin", "127.0.0.1:0"]
    process = subprocess.Popen([*command, *places], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    over = threading.Event()
    started = time.monotonic()
    with log.open("w") as out:
        for line in process.stderr:
            out.write(line)
            if (said := json.loads(line))["msg"] == "serving":
                break
        else:
            raise SystemExit(f"forgo serve did not start; its log is {log}")
        server = Server(process, said["url"], "http://" + said["admin"])

        def watch() -> None:
            while not over.wait(every):
                server.memory.append((time.monotonic() - started, server.resident()))

        def keep() -> None:
            assert process.stderr is not None
            out.writelines(process.stderr)

        threads = [threading.Thread(target=watch), threading.Thread(target=keep)]
        for thread in threads:
            thread.start()
        try:
            yield server
        finally:
            over.set()
            threads[0].join()
            process.send_signal(signal.SIGTERM)
            code = process.wait()
            threads[1].join()
            process.stderr.close()
    if code != 0:
        raise SystemExit(f"forgo serve ended with exit code {code}; its log is {log}")
