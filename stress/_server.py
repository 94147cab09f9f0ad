"""A ``forgo serve`` to be loaded, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import ssl
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
    grpc: str | None = None
    memory: list[tuple[float, int]] = field(default_factory=list)

    def resident(self) -> int:
        """The memory that it uses now, in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def certificate(folder: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1 and its key; return their files, and what trusts it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command: list[str | Path] = ["openssl", "req", "-x509", *kind, *subject, "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key, ssl.create_default_context(cafile=str(cert))


def on(cores: set[int]) -> list[str | Path]:
    """What a command starts with that may use these cores alone."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]


@contextmanager
def serving(
    *arguments: str | Path, log: Path, every: float = 0.2, cores: set[int] | None = None, grpc: bool = False
) -> Iterator[Server]:
    """Start a server, on these cores, sample its memory, and in the end stop it; its log goes to a file."""
    tied = on(cores) if cores else []
    command = [*tied, Path(sys.executable).with_name("forgo"), "serve", *arguments, "--log-format", "json"]
    places = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0" if grpc else "off", "--admin", "127.0.0.1:0"]
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
    server = Server(process, said["url"], "http://" + said["admin"], said.get("grpc"))

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
