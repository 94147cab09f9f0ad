"""Floods of a server that runs with little memory: what each takes, and whether it comes back.

Every flood runs against ``forgo serve`` on loopback with ``--max-memory``, while a good caller asks
ten times a second. The table has the peak resident memory, the good caller's worst wait, and the
memory after the flood: ``make floods`` writes it to ``docs/benchmarks/floods.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forgo import _binary

ROOT = Path(__file__).parent.parent
BUNDLES = ROOT / "conformance" / "bundles"
MEMORY = 256 << 20
BODY = (32 << 20) - 4096
MARGIN = 64
"""MB that the peak may lie above the start and the limit."""


@dataclass(frozen=True)
class Flood:
    """Callers that send one thing at once."""

    name: str
    callers: int
    path: str
    body: Callable[[], bytes]
    content_type: str = "application/json"
    read: bool = True
    """Whether the answer is read."""


def _oip(datatype: str, data: bytes, elements: int) -> bytes:
    head = f'{{"inputs":[{{"name":"input","datatype":"{datatype}","shape":[1,{elements}],"data":['
    return head.encode() + data + b"]}]}"


def _parts() -> bytes:
    part = b"--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n\r\n"
    return part * (BODY // len(part)) + b"--b--\r\n"


def _png() -> bytes:
    """A picture of as many pixels as there may be, in 11 KB."""
    width, height = 9459, 9459

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


INFER, IRIS, SHAPES = "/v2/models/iris/infer", "/models/iris", "/models/shapes"
FLOODS = [
    Flood("numbers of a shape that cannot be", 32, INFER, lambda: _oip("FP64", b"0" + b",0" * 15_900_000, 16_000_000)),
    Flood("spaces for strings", 32, INFER, lambda: _oip("BYTES", b" " * (BODY - 200), 16_000_000)),
    Flood("empty parts of a form", 16, IRIS, _parts, "multipart/form-data; boundary=b"),
    Flood("millions of rows", 10, IRIS, lambda: b"[" + b"[0,0,0,0]," * (BODY // 10 - 1) + b"[0,0,0,0]]"),
    Flood("answers that are not read", 4, IRIS, lambda: b"[" + b"[0,0,0,0]," * (BODY // 10 - 1) + b"[0,0,0,0]]", read=False),
    Flood("a long number", 4, IRIS, lambda: b"[" + b"1" * BODY + b"]"),
    Flood("a wide table", 16, IRIS, lambda: b"," * BODY, "text/csv"),
    Flood("pictures of 89 million pixels", 8, SHAPES, _png, "image/png"),
]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What a flood took."""

    name: str
    before: int
    peak: int
    after: int
    worst: float
    answers: dict[str, int]

    @property
    def held(self) -> bool:
        """Whether the memory stayed within the limit and came back, and the good caller was answered."""
        most = self.before + (MEMORY >> 20) + MARGIN
        return self.peak <= most and self.after <= self.before + MARGIN and self.worst <= 1


def resident(pid: int) -> int:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """A server of the committed bundles: its port and its process."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    options = ["--http", f"127.0.0.1:{port}", "--grpc", "off", "--admin", "off", "--max-memory", str(MEMORY)]
    with subprocess.Popen(
        [_binary.path(), "serve", BUNDLES / "iris.forgo", BUNDLES / "shapes.forgo", *options],
        env=_binary.environment(), stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            for _ in range(300):
                with (
                    contextlib.suppress(OSError),
                    contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as c,
                ):
                    c.request("GET", "/v2/health/ready")
                    if c.getresponse().status == 200:
                        break
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(timeout=60)


def _ask(port: int, flood: Flood, packed: bytes, answers: dict[str, int], lock: threading.Lock) -> None:
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request(
            "POST", flood.path, packed, {"Content-Type": flood.content_type, "Content-Encoding": "gzip"}
        )
        if not flood.read:
            time.sleep(30)
            c.close()
            said = "not read"
        else:
            response = c.getresponse()
            while response.read(1 << 20):
                pass
            said = str(response.status)
    except OSError as e:
        said = type(e).__name__
    with lock:
        answers[said] = answers.get(said, 0) + 1


def measure(flood: Flood, port: int, pid: int) -> Measured:
    """Run one flood."""
    packed = gzip.compress(flood.body())
    before, peak, worst = resident(pid), 0, 0.0
    answers: dict[str, int] = {}
    lock = threading.Lock()
    threads = [
        threading.Thread(target=_ask, args=(port, flood, packed, answers, lock)) for _ in range(flood.callers)
    ]
    for t in threads:
        t.start()
    end = time.monotonic() + 120
    while any(t.is_alive() for t in threads) and time.monotonic() < end:
        peak = max(peak, resident(pid))
        start = time.monotonic()
        with (
            contextlib.suppress(OSError),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as c,
        ):
            c.request("GET", "/v2/models/iris")
            c.getresponse().read()
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.1)
    time.sleep(5)
    return Measured(flood.name, before, peak, resident(pid), worst, answers)


def main() -> int:
    """Run them all and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="the table's file (default: standard output)")
    parser.add_argument("words", nargs="*", help="floods with one of these words in their names")
    arguments = parser.parse_args()
    lines = [
        "# Floods",
        "",
        f"`make floods`: many callers at once send what is small on the wire and large once it is unpacked, to a\n"
        f"server with `--max-memory {MEMORY}` ({MEMORY >> 20} MB), while a good caller asks ten times a second.",
        "",
        "| flood | callers | resident before | peak | after 5 s | good caller at worst | answers | held |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    held = True
    with serving() as (port, pid):
        for flood in FLOODS:
            if arguments.words and not any(w in flood.name for w in arguments.words):
                continue
            m = measure(flood, port, pid)
            held = held and m.held
            said = ", ".join(f"{n} × {code}" for code, n in sorted(m.answers.items()))
            lines.append(
                f"| {m.name} | {flood.callers} | {m.before} MB | {m.peak} MB | {m.after} MB | {m.worst:.2f} s | {said} | {'yes' if m.held else 'NO'} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
