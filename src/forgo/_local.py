"""A bundle for this process, run by the Go binary behind a private Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from typing import IO, Any

import httpx

from forgo import _binary
from forgo._client import Client, _Ask, _parts
from forgo._errors import ForgoError

_PREFIX = "forgo-load-"
_DRAIN = 2
"""How long requests under way have when the server stops, in seconds."""

_lifelines: weakref.WeakSet[_Lifeline] = weakref.WeakSet()


class _Lifeline:
    """The write end of the server's standard input. The server ends when its last copy is closed."""

    def __init__(self, end: IO[bytes]) -> None:
        self.end = end
        _lifelines.add(self)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.end.close()


def _drop_lifelines() -> None:
    """A forked process must not keep its parent's servers alive."""
    for line in list(_lifelines):
        line.drop()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_drop_lifelines)


class Model(Client):
    """A bundle that the Go binary runs, as in production. :func:`load` makes one.

    It has the methods of :class:`Client`. It is a context manager, and safe for concurrent use by threads and forked
    processes. Its server ends with the process that loaded it, even if that is killed.
    """

    def __init__(self, path: Path, verify: str, threads: int, engine: str) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise ForgoError(
                "load needs Unix sockets, which this Python does not have: "
                "run 'forgo serve' and connect with forgo.Client"
            )
        _clean_up()
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        log = tempfile.TemporaryFile()  # noqa: SIM115, it is open as long as the server writes
        options = ["--no-variables", "--verify", verify, "--threads", str(threads), "--engine", str(engine)]
        options += ["--watch", "0", "--drain", f"{_DRAIN}s"]
        off = [w for port in ("http", "grpc", "admin") for w in (f"--{port}", "off")]
        try:
            self._process = subprocess.Popen(
                [_binary.path(), "serve", "--socket", self._socket, "--stop-with-stdin", *off, *options, "--log-level", "error", "--", path.absolute()],
                env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            self._folder.rmdir()
            raise
        self._log = log
        assert self._process.stdin is not None
        lifeline = _Lifeline(self._process.stdin)
        self._finalizer = weakref.finalize(
            self, _end, os.getpid(), self._process, lifeline, self._folder, log
        )
        self._owner = os.getpid()  # whose child the server is
        super().__init__("http://localhost", timeout=600)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def _socket(self) -> str:
        return str(self._folder / "s")

    def _open(self) -> httpx.Client:
        self._pid = os.getpid()
        # Without verify: reading the authorities' certificates takes long, and nothing here speaks TLS.
        transport = httpx.HTTPTransport(uds=self._socket, verify=False)
        return httpx.Client(**self._options, transport=transport, trust_env=False)

    def _code(self) -> int | None:
        """The server's exit code; None while it runs, and in forked processes, which can't know."""
        return self._process.poll() if os.getpid() == self._owner else None

    def _wait(self) -> None:
        """Return once the server has replayed the golden cases."""
        pause = 0.001
        while True:
            if self._code() is not None:
                raise self._ended()
            if _listens(self._socket):
                with contextlib.suppress(httpx.HTTPError):
                    if self._http.get("/v2/health/ready").is_success:
                        return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def _send(self, ask: _Ask) -> httpx.Response:
        if not self._finalizer.alive:
            raise ForgoError("the model is closed: load it again")
        if self._pid != os.getpid():
            self._http.close()
            self._http = self._open()  # a forked process does not share its parent's connections
        if self._code() is not None:
            raise self._ended()
        try:
            return self._http.request(ask.method, ask.path, **_parts(ask))
        except httpx.HTTPError:
            if os.getpid() == self._owner:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)
            raise self._ended() from None

    def _ended(self) -> ForgoError:
        """The error for a server that has ended, or does not answer."""
        code = self._code()
        if code is None:
            return ForgoError(
                f"the Go binary (process {self._process.pid}) does not answer: load the bundle again"
            )
        if code < 0:
            return ForgoError(f"the Go binary was ended by signal {-code}: load the bundle again")
        return ForgoError(_last_error(self._log) or f"the Go binary ended with exit code {code}")

    def close(self) -> None:
        """Stop the server. Later calls raise :class:`ForgoError`."""
        self._http.close()
        self._finalizer()


def load(
    path: str | os.PathLike[str], *, verify: str = "full", threads: int = 0, engine: str = "auto"
) -> Model:
    """Load a bundle into the Go binary, which proves it and then predicts as in production.

    The binary runs beside this process and ends with it. It listens on a Unix socket that only this user can reach.

    Args:
        path: the bundle, ``NAME.forgo``.
        verify: the golden cases to replay first: ``"full"`` for all, ``"quick"`` for the four least certain.
        threads: threads that one run may use; 0 for as many as the CPU limit allows.
        engine: a value of ``forgo serve --engine``, such as ``"onnx"``. By default the bundle's own engine, unless another
            is clearly faster. The answers of two engines are within the tolerance, but not identical.

    Returns:
        A context manager with the methods ``predict``, ``run`` and ``classify`` of :class:`Client`.

    Raises:
        ForgoError: the bundle does not exist, the Go binary refuses it, or an argument is wrong.

    Example:
        >>> with forgo.load("digits.forgo") as digits:  # doctest: +SKIP
        ...     digits.classify("seven.png")
        [{'classes': [{'label': '7', 'score': 0.9998}]}]
    """
    folder = Path(path)
    if not (folder / "forgo.json").is_file():
        raise ForgoError(
            f"load {os.fspath(path)!r}: {'not a bundle: it has no forgo.json' if folder.exists() else 'no such bundle'}"
        )
    if verify not in ("full", "quick"):
        raise ForgoError(f"verify={verify!r}: give 'full' or 'quick'")
    if not isinstance(threads, int):
        raise ForgoError(f"threads={threads!r}: give a whole number, 0 for the CPU limit")
    if "\0" in engine:
        raise ForgoError(f"engine={engine!r}: no engine has this name")
    return Model(folder, verify, threads, engine)


def _environment() -> dict[str, str]:
    """The binary's environment without OpenTelemetry's settings, which are this process's own."""
    return {k: v for k, v in _binary.environment().items() if not k.startswith("OTEL_")}


def _listens(path: str) -> bool:
    """Whether a server listens on a socket. httpx leaves the sockets of failed attempts to the garbage collector."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)
        return True
    return False


def _last_error(log: IO[bytes]) -> str:
    """The last line of a server that ended, without the log's own fields."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
    lines = log.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry: dict[str, Any] = json.loads(line)
            return str(entry.get("error") or entry["msg"])
        if line.strip():
            return line.removeprefix("forgo: ")
    return ""


def _end(
    owner: int, process: subprocess.Popen[bytes], lifeline: _Lifeline, folder: Path, log: IO[bytes]
) -> None:
    lifeline.drop()
    log.close()
    if os.getpid() != owner:
        return
    try:
        process.wait(_DRAIN + 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(OSError):
        (folder / "s").unlink(missing_ok=True)
        folder.rmdir()


def _clean_up() -> None:
    """Remove the empty folders of killed processes; their servers have removed the sockets."""
    before = time.time() - 60
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
            with contextlib.suppress(OSError):
                if folder.stat(follow_symlinks=False).st_mtime < before:
                    folder.rmdir()  # fails if it holds a socket
