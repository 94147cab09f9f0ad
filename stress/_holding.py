"""What callers send who hold their connections: the beginnings of requests."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from typing import Literal

Place = Literal["http", "grpc", "admin", "socket", "tls", "grpc tls"]

HTTP = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(length: int) -> bytes:
    """The headers of a request whose body has a length."""
    return f"POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def _frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data


def _literal(name: str, value: str) -> bytes:
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


HEADERS = {
    ":method": "POST", ":scheme": "http", ":path": "/inference.GRPCInferenceService/ModelInfer", ":authority": "x",
    "content-type": "application/grpc", "te": "trailers",
}  # fmt: skip


def call(data: bytes) -> bytes:
    """A call over gRPC on a new connection, with its message whole."""
    block = b"".join(_literal(k, v) for k, v in HEADERS.items())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"")
    return preface + _frame(1, 4, 1, block) + _frame(0, 1, 1, data)


@dataclass(frozen=True)
class Trickle:
    """A call over gRPC that announces a message and sends a part of it, as fast as the server takes it."""

    announced: int
    sent: int

    def __call__(self, s: socket.socket, until: threading.Event) -> None:
        """Send it; the server's frames are read for the windows that they open."""
        block = b"".join(_literal(k, v) for k, v in HEADERS.items())
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, block))
        windows = {0: 65535, 1: 65535}
        left, data = self.sent, b"\0" + struct.pack(">I", self.announced)
        s.settimeout(0.2)
        heard = b""
        while left > 0 and not until.is_set():
            n = min(16384, left, *windows.values())
            if n > 0:
                piece = data + bytes(n - len(data))
                data = b""
                s.sendall(_frame(0, 0, 1, piece))
                left -= n
                windows = {stream: w - n for stream, w in windows.items()}
                continue
            try:
                more = s.recv(65536)
            except TimeoutError:
                continue
            if not more:
                raise ConnectionResetError
            heard += more
            while len(heard) >= 9 and len(heard) >= 9 + int.from_bytes(heard[:3], "big"):
                length, kind = int.from_bytes(heard[:3], "big"), heard[3]
                stream = int.from_bytes(heard[5:9], "big")
                if kind == 8:
                    windows[stream] = windows.get(stream, 0) + int.from_bytes(heard[9:13], "big")
                elif kind in (1, 3):
                    return  # it is refused
                elif kind == 4 and not heard[4]:
                    for i in range(9, 9 + length, 6):
                        if heard[i : i + 2] == b"\0\4":
                            windows[1] += int.from_bytes(heard[i + 2 : i + 6], "big") - 65535
                    s.sendall(_frame(4, 1, 0, b""))
                heard = heard[9 + length :]
        s.settimeout(None)
