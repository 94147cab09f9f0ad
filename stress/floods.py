"""Floods of a server that runs with little memory: what each takes, and whether it comes back.

Every flood runs against ``forgo serve`` on loopback with ``--max-memory``, while a good caller asks
for a prediction ten times a second. The table has the peak resident memory, the good caller's worst wait, and the
memory after the flood: ``make floods`` writes it to ``docs/benchmarks/floods.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gzip
import http.client
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from forgo import _binary
from stress._holding import HTTP, Place, Trickle, post
from stress._server import certificate

ROOT = Path(__file__).parent.parent
BUNDLES = ROOT / "conformance" / "bundles"
MEMORY = 256 << 20
BODY = (32 << 20) - 4096
MARGIN = 64
"""MiB that the peak may lie above the start and the limit."""
SETTLING = 5
"""Seconds after which the memory must have come back."""


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
    over: str = "HTTP"
    """gRPC sends the body as a message to ModelInfer."""


@dataclass(frozen=True)
class Held:
    """Callers that open connections, send something on each, and then hold them for ten seconds."""

    name: str
    callers: int
    sent: bytes | Trickle
    place: Place = "http"
    answer: bool = False
    """Whether each waits for an answer first."""


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


def _scans() -> bytes:
    """A grey progressive picture of 4 million pixels in the most scans that there may be, in 11 KB."""
    side, scans = 2000, 256

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content

    code = bytes([1, *[0] * 15])  # one of one bit
    out = [b"\xff\xd8", segment(0xDB, bytes([0, *[1] * 64]))]
    out += [segment(0xC2, struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0))]
    out += [segment(0xC4, b"\x00" + code + b"\x00"), segment(0xC4, b"\x10" + code + b"\xe0")]

    def scan(first: int, last: int, bits: int, data: int) -> None:
        out.append(segment(0xDA, bytes([1, 1, 0, first, last, bits])) + bytes(data))

    scan(0, 0, 0, -(-((side // 8) ** 2) // 8))
    for i in range(
        scans - 1
    ):  # each coefficient in fourteen steps, from its highest bit down; the rest in the last ones
        k, step = i // 14 + 1, i % 14
        steps = min(14, scans - 1 - 14 * (k - 1))
        low = steps - 1 - step
        scan(k, k if steps == 14 and k < (scans + 12) // 14 else 63, (low + 1 << 4 | low) if step else low, 2)
    return b"".join([*out, b"\xff\xd9"])


INFER, IRIS, SHAPES = "/v2/models/iris/infer", "/models/iris", "/models/shapes"
FLOODS: list[Flood | Held] = [
    Flood("numbers for an impossible shape", 32, INFER, lambda: _oip("FP64", b"0" + b",0" * 15_900_000, 16_000_000)),
    Flood("spaces for strings", 32, INFER, lambda: _oip("BYTES", b" " * (BODY - 200), 16_000_000)),
    Flood("empty parts of a form", 16, IRIS, _parts, "multipart/form-data; boundary=b"),
    Flood("millions of rows", 10, IRIS, lambda: b"[" + b"[0,0,0,0]," * (BODY // 10 - 1) + b"[0,0,0,0]]"),
    Flood("answers that nobody reads", 4, IRIS, lambda: b"[" + b"[0,0,0,0]," * (BODY // 10 - 1) + b"[0,0,0,0]]", read=False),
    Flood("a long number", 4, IRIS, lambda: b"[" + b"1" * BODY + b"]"),
    Flood("a wide table", 16, IRIS, lambda: b"," * BODY, "text/csv"),
    Flood("pictures of 89 million pixels", 8, SHAPES, _png, "image/png"),
    Flood("pictures of 256 scans", 8, SHAPES, _scans, "image/jpeg"),
    Flood("empty inputs over gRPC", 8, "", lambda: b"\x0a\x04iris" + b"\x2a\x00" * 10_000_000, over="gRPC"),
    Flood("empty parameters over gRPC", 8, "", lambda: b"\x0a\x04iris" + b"\x22\x00" * 10_000_000, over="gRPC"),
    Held("endless messages over gRPC", 100, Trickle(BODY, 8 << 20), "grpc"),
    Held("bodies that never arrive", 33, post(32 << 20)),
    Held("bodies that stop", 33, post(32 << 20) + b" " * (16 << 20)),
    Held("bodies that stop after 1 KB", 600, post(1000) + b" " * 900),
    Held("connections that stay", 8300, HTTP, answer=True),
    Held("endless headers", 4000, HTTP[:-2] + b"X: " + b"x" * 60_000),
    Held("headers on the admin port", 1000, HTTP[:-2] + b"X: " + b"x" * 60_000, "admin"),
    Held("connections to the Unix socket", 1000, HTTP, "socket", answer=True),
    Held("TLS handshakes that never end", 4000, b"\x16\x03\x01\x02\x00\x01", "tls"),
    Held("gRPC with TLS, handshakes that never end", 4000, b"\x16\x03\x01\x02\x00\x01", "grpc tls"),
]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What a flood took."""

    name: str
    before: int
    peak: int
    after: int
    recovered: float | None
    """Seconds after the flood until the memory had come back; None where it did not in time."""
    worst: float
    refused: int
    """Requests of the good caller that were not answered with 200."""
    answers: dict[str, int]

    @property
    def held(self) -> bool:
        """Whether the memory stayed within the limit and came back, and the good caller was answered."""
        most = self.before + (MEMORY >> 20) + MARGIN
        return (
            self.peak <= most and self.after <= self.before + MARGIN and self.worst <= 1 and not self.refused
        )


def resident(pid: int) -> int:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


ROW = b"[5.1,3.5,1.4,0.2]"


@dataclass(frozen=True)
class Server:
    """Where a server of the committed bundles listens, and its process."""

    addresses: dict[Place, tuple[str, int] | str]
    pid: int
    tls: ssl.SSLContext | None

    def connect(self, place: Place) -> socket.socket:
        """Open a connection, without TLS."""
        address = self.addresses[place]
        if isinstance(address, str):
            s = socket.socket(socket.AF_UNIX)
            s.connect(address)
            return s
        return socket.create_connection(address, timeout=20)

    def at(self, place: Place) -> str:
        """HOST:PORT."""
        return "{}:{}".format(*self.addresses[place])

    def good(self) -> bool:
        """Ask for a prediction on a new connection, as one who should be answered does."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            host, port = next(iter(a for a in self.addresses.values() if not isinstance(a, str)))
            c = (
                http.client.HTTPSConnection(host, port, timeout=10, context=self.tls)
                if self.tls
                else http.client.HTTPConnection(host, port, timeout=10)
            )
            with contextlib.closing(c):
                c.request("POST", IRIS, ROW)
                return c.getresponse().status == 200
        return False


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def serving(tls: bool) -> Iterator[Server]:
    """Serve the committed bundles, with a certificate of its own or without."""
    with tempfile.TemporaryDirectory() as folder:
        names: list[Place] = ["tls", "grpc tls"] if tls else ["http", "grpc", "admin"]
        addresses: dict[Place, tuple[str, int] | str] = {name: ("127.0.0.1", _port()) for name in names}
        options = []
        for flag, name in zip(("--http", "--grpc", "--admin"), names, strict=False):
            options += [flag, "{}:{}".format(*addresses[name])]
        context = None
        if tls:
            cert, key, context = certificate(Path(folder))
            options += ["--tls-cert", str(cert), "--tls-key", str(key), "--admin", "off"]
        else:
            addresses["socket"] = f"{folder}/s"
            options += ["--socket", f"{folder}/s"]
        with subprocess.Popen(
            [_binary.path(), "serve", BUNDLES / "iris.forgo", BUNDLES / "shapes.forgo", *options, "--max-memory", str(MEMORY)],
            env=_binary.environment(), stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                server = Server(addresses, process.pid, context)
                end = time.monotonic() + 60
                while not server.good() and time.monotonic() < end:
                    time.sleep(0.1)
                yield server
            finally:
                process.terminate()
                process.wait(timeout=60)


def _ask(server: Server, flood: Flood, packed: bytes) -> str:
    if flood.over == "gRPC":
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(server.at("grpc"), options) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", _same, _same)
            try:
                call(packed, timeout=60, compression=grpc.Compression.Gzip)
            except grpc.RpcError as e:
                return str(e.code().name)
            return "OK"
    c = http.client.HTTPConnection(server.at("http"), timeout=60)
    headers = {"Content-Type": flood.content_type, "Content-Encoding": "gzip"}
    c.request("POST", flood.path, packed, headers)
    if not flood.read:
        time.sleep(30)
        c.close()
        return "not read"
    response = c.getresponse()
    while response.read(1 << 20):
        pass
    return str(response.status)


def _same(message: bytes) -> bytes:
    return message


def _hold(server: Server, held: Held, until: threading.Event) -> str:
    with contextlib.closing(server.connect(held.place)) as s:
        if isinstance(held.sent, Trickle):
            held.sent(s, until)
        else:
            s.sendall(held.sent)
        if held.answer and not s.recv(4096).startswith(b"HTTP/1.1 200"):
            return "not answered"
        until.wait()
        s.setblocking(False)
        try:
            return "closed" if not s.recv(1) else "answered"
        except BlockingIOError:
            return "kept"


def measure(flood: Flood | Held, server: Server) -> Measured:
    """Run one flood."""
    held = isinstance(flood, Held)
    packed = b""
    if isinstance(flood, Flood):
        packed = flood.body() if flood.over == "gRPC" else gzip.compress(flood.body())
    before, peak, worst, refused = resident(server.pid), 0, 0.0, 0
    answers: dict[str, int] = {}
    lock, over = threading.Lock(), threading.Event()

    def one() -> None:
        try:
            said = _hold(server, flood, over) if isinstance(flood, Held) else _ask(server, flood, packed)
        except OSError as e:
            said = type(e).__name__
        with lock:
            answers[said] = answers.get(said, 0) + 1

    threading.stack_size(256 << 10)
    threads = [threading.Thread(target=one) for _ in range(flood.callers)]

    def begin() -> None:
        for t in threads:
            t.start()

    starter = threading.Thread(target=begin)
    starter.start()
    start = time.monotonic()
    while time.monotonic() < start + 120:
        if held and not starter.is_alive() and time.monotonic() > start + 15:
            over.set()
        if not starter.is_alive() and not any(t.is_alive() for t in threads):
            break
        peak = max(peak, resident(server.pid))
        asked = time.monotonic()
        refused += not server.good()
        worst = max(worst, time.monotonic() - asked)
        time.sleep(0.1)
    over.set()
    ended, recovered = time.monotonic(), None
    while (passed := time.monotonic() - ended) < SETTLING:
        if recovered is None and resident(server.pid) <= before + MARGIN:
            recovered = passed
        time.sleep(0.05)
    return Measured(flood.name, before, peak, resident(server.pid), recovered, worst, refused, answers)


def main() -> int:
    """Run them all and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="the table's file (default: standard output)")
    parser.add_argument(
        "--no-times", action="store_true", help="leave latencies out, on a machine that is busy"
    )
    parser.add_argument("words", nargs="*", help="floods with one of these words in their names")
    arguments = parser.parse_args()
    lines = [
        "# Floods",
        "",
        f"`make floods` sends a server requests that are small on the wire and large in memory, or holds its connections,\n"
        f"from many callers at once. The server runs with `--max-memory {MEMORY}` ({MEMORY >> 20} MiB). Meanwhile a good caller\n"
        f"requests a prediction ten times a second, each on a new connection. A flood is *held* if memory rises by at most\n"
        f"{MEMORY >> 20} + {MARGIN} MiB, at most {MARGIN} MiB of that is left after {SETTLING} s, and every request of the good caller is answered"
        + (".\n" if arguments.no_times else "\nwithin a second.\n")
        + f"Measured on {os.cpu_count()} cores.",
        "",
        f"| flood | callers | resident before | peak | after {SETTLING} s | recovered | slowest good answer | answers | held |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    held = True
    for tls in (False, True):
        floods = [
            f
            for f in FLOODS
            if (isinstance(f, Held) and "tls" in f.place) == tls
            and (not arguments.words or any(w in f.name for w in arguments.words))
        ]
        if not floods:
            continue
        with serving(tls) as server:
            for flood in floods:
                m = measure(flood, server)
                kept = m.held if not arguments.no_times else dataclasses.replace(m, worst=0).held
                held = held and kept
                said = ", ".join(f"{n} × {code}" for code, n in sorted(m.answers.items()))
                worst = (
                    f"{m.refused} refused"
                    if m.refused
                    else "answered"
                    if arguments.no_times
                    else f"{m.worst:.2f} s"
                )
                back = (
                    "no" if m.recovered is None else "yes" if arguments.no_times else f"{m.recovered:.1f} s"
                )
                lines.append(
                    f"| {m.name} | {flood.callers} | {m.before} MiB | {m.peak} MiB | {m.after} MiB | {back} | {worst} | {said} | {'yes' if kept else 'NO'} |"
                )
                print(lines[-1], f"({m.worst:.2f} s)", file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
