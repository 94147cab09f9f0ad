"""Clients that crash and clients that are half dead: they end in the middle of what they send, or stop to read or to write."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from stress import _holding

ROW = b"[5.1,3.5,1.4,0.2]"
PATIENCE = 8.0
"""Seconds that one stays who does nothing any more, at most: longer than the server lets it."""


@dataclass(frozen=True)
class Place:
    """A port of the server, or its Unix socket."""

    name: str
    address: tuple[str, int] | str
    tls: ssl.SSLContext | None
    grpc: bool

    def plain(self) -> socket.socket:
        """Open a connection, without TLS."""
        if isinstance(self.address, tuple):
            return socket.create_connection(self.address, timeout=20)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.address)
        return s

    def connect(self) -> socket.socket:
        """Open a connection, after TLS's handshake where there is one."""
        s = self.plain()
        if self.tls is None:
            return s
        try:
            return self.tls.wrap_socket(s, server_hostname="localhost")
        except BaseException:
            s.close()
            raise


def _message() -> bytes:
    """A request over gRPC for the model's scores: a row, as protobuf."""
    row = struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)
    shape = b"\x1a\x02\x01\x04"
    contents = b"\x2a\x12" + b"\x32\x10" + row
    tensor = b"\x0a\x05input" + b"\x12\x04FP32" + shape + contents
    return b"\x0a\x06irises" + b"\x2a" + bytes([len(tensor)]) + tensor


def _request(path: Place, rows: int) -> bytes:
    """A whole request, of many rows over HTTP."""
    if path.grpc:
        message = _message()
        return _holding.call(b"\0" + struct.pack(">I", len(message)) + message)
    body = b"[" + b",".join([ROW] * rows) + b"]"
    head = f"POST /models/irises HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def crash(s: socket.socket, path: Place, chance: random.Random, _: threading.Event) -> None:
    """Reset the connection in the middle of a request, or of its answer."""
    whole = _request(path, 50)
    s.sendall(whole[: chance.randint(0, len(whole))])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def leave(s: socket.socket, path: Place, chance: random.Random, _: threading.Event) -> None:
    """Close the connection in the middle of a request, without TLS's or HTTP/2's goodbye."""
    whole = _request(path, 50)
    s.sendall(whole[: chance.randint(0, len(whole) - 1)])


def stop_writing(s: socket.socket, path: Place, chance: random.Random, over: threading.Event) -> None:
    """Stay, and say no more."""
    whole = _request(path, 50)
    s.sendall(whole[: chance.randint(0, len(whole) - 1)])
    over.wait(PATIENCE * chance.random())


def stop_reading(s: socket.socket, path: Place, chance: random.Random, over: threading.Event) -> None:
    """Ask as long as the server takes it, and read no answer."""
    whole, until = _request(path, 2000), time.monotonic() + PATIENCE * chance.random()
    s.settimeout(0.2)
    s.sendall(whole)
    while not path.grpc and not over.is_set() and time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            s.sendall(whole)
    over.wait(max(0, until - time.monotonic()))


def half_a_handshake(path: Place, chance: random.Random, over: threading.Event) -> None:
    """Begin TLS, or HTTP/2, and stay or go."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
    begin = hello if path.tls else b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    with path.plain() as s:
        s.sendall(begin[: chance.randint(1, len(begin) - 1)])
        if chance.random() < 0.5:
            over.wait(PATIENCE * chance.random())


Way = Callable[[socket.socket, Place, random.Random, threading.Event], None]
WAYS: dict[str, Way] = {
    "crashed": crash,
    "left": leave,
    "stopped writing": stop_writing,
    "stopped reading": stop_reading,
}
HANDSHAKE = "half a handshake"


@dataclass
class Crowd:
    """Rude clients, each a thread, until it is over."""

    places: list[Place]
    clients: int
    over: threading.Event
    done: Counter[str] = field(default_factory=Counter)
    """Connections by what became of them and by place."""
    faults: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin."""
        for number in range(self.clients):
            self.threads.append(threading.Thread(target=self._client, args=(random.Random(number),)))
            self.threads[-1].start()

    def join(self) -> None:
        """Wait for all of them, once it is over."""
        for t in self.threads:
            t.join()

    def _client(self, chance: random.Random) -> None:
        try:
            while not self.over.wait(0.2 * chance.random()):
                self._one(chance)
        except Exception as e:
            self.faults.append(f"a rude client: {e!r}")

    def _one(self, chance: random.Random) -> None:
        path, way = chance.choice(self.places), chance.choice([*WAYS, HANDSHAKE])
        # The server may hang up first: that is its right.
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            if way == HANDSHAKE:
                half_a_handshake(path, chance, self.over)
            else:
                with path.connect() as s:
                    WAYS[way](s, path, chance, self.over)
        with self.lock:
            self.done[f"{path.name}, {way}"] += 1

    def by(self, index: int) -> dict[str, int]:
        """Connections by place (0), or by what they did (1)."""
        counts: Counter[str] = Counter()
        for key, n in self.done.items():
            counts[key.split(", ")[index]] += n
        return dict(counts)


def in_flight(metrics: str) -> float:
    """Requests under way, by the metrics."""
    lines = [line for line in metrics.splitlines() if line.startswith("forgo_requests_in_flight{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def answers(path: Place) -> bool:
    """Whether the request that the rude ones begin is a good one: else it would be refused before they could be rude."""
    heard = b""
    with contextlib.suppress(OSError), path.connect() as s:
        s.sendall(_request(path, 1))
        while not _whole(path, heard) and (more := s.recv(1 << 16)):
            heard += more
    return _whole(path, heard)


def _whole(path: Place, heard: bytes) -> bool:
    """Whether what was heard is an answer with scores."""
    if path.grpc:
        return b"irises" in heard
    head, _, body = heard.partition(b"\r\n\r\n")
    with contextlib.suppress(ValueError):
        return head.startswith(b"HTTP/1.1 200") and bool(json.loads(body))
    return False
