"""Clients of a running server, sync and async: rows and pictures in, arrays and labelled answers out.

The logic is written once, as steps (generators that yield requests and receive
the answers); the two clients only send the requests, through httpx.
"""

from __future__ import annotations

import base64
import io
import json
import math
import ssl
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from forgo import _inputs, _wire
from forgo._errors import ForgoError, RequestError
from forgo._wire import Array, Input

T = TypeVar("T")

_PATIENCE = 60.0
"""How long to retry while a server has no room, in seconds."""


@dataclass(frozen=True)
class _Ask:
    """A request; the step that yields it receives an httpx.Response."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    files: list[tuple[str, tuple[str, bytes, str]]] | None = None


_Steps = Generator[_Ask | float, "httpx.Response | None", T]
"""Yields requests, and seconds to wait before the next one."""


class _Model:
    """A model on a server: builds requests, and reads answers."""

    def __init__(self, model: str | None, version: str | int | None) -> None:
        self._name = model
        self._version = version
        self._inputs: list[Input] | None = None
        self._outputs: list[str] = []
        self._columns: dict[str, str] = {}

    def _path(self, kind: str) -> str:
        version = "" if self._version is None else f"/versions/{quote(str(self._version), safe='')}"
        return f"{kind}/{quote(self._name or '', safe='')}{version}"

    def _ask(self, ask: _Ask, start: int = 0) -> _Steps[httpx.Response]:
        """Send a request, again while the server has no room for it; its first row is row ``start`` of those given."""
        waited = 0.0
        while True:
            answer = yield ask
            assert answer is not None
            if answer.status_code != 429 or waited >= _PATIENCE:
                break
            pause = min(max(_seconds(answer), 0.05), 5.0)
            waited += pause
            yield pause
        if answer.is_success:
            return answer
        counted = f" (counted from row {start} of those given)" if start else ""
        raise RequestError(_reason(answer) + counted, status=answer.status_code)

    def _know(self) -> _Steps[list[Input]]:
        """The model's inputs, requested once."""
        if self._inputs is not None:
            return self._inputs
        if self._name is None:
            names = (yield from self._ask(_Ask("GET", "/v2/models"))).json()["models"]
            if len(names) != 1:
                raise ForgoError(
                    f"the server has {len(names)} models: give model=, one of {', '.join(names) or 'none'}"
                )
            self._name = names[0]
        metadata = (yield from self._ask(_Ask("GET", self._path("/v2/models")))).json()
        self._outputs = [o["name"] for o in metadata["outputs"]]
        columns = metadata.get("parameters", {}).get("columns", [])
        self._columns = {c["name"]: c["input"] for c in columns}
        self._inputs = [Input(i["name"], i["datatype"], tuple(i["shape"])) for i in metadata["inputs"]]
        return self._inputs

    def _run(self, data: Any, first: bool) -> _Steps[dict[str, Array]]:
        """Every output, or only the first."""
        inputs = yield from self._know()
        rows = _inputs.read(data, inputs, self._columns)
        answers: list[dict[str, Array]] = []
        for part in rows.parts():
            body, headers = _wire.request(
                {n: (rows.inputs[n].datatype, a) for n, a in part.items()},
                self._outputs[:1] if first else None,
            )
            ask = _Ask("POST", self._path("/v2/models") + "/infer", body, headers)
            answer = yield from self._ask(ask, sum(len(_first(a)) for a in answers))
            answers.append(
                _wire.response(answer.content, int(answer.headers["Inference-Header-Content-Length"]))
            )
        if len(answers) == 1:
            return answers[0]
        return {n: np.concatenate([a[n] for a in answers]) for n in answers[0]}

    def _classify(self, data: Any, top: int) -> _Steps[list[dict[str, Any]]]:
        """The native call's answers; rows go in the form that loses nothing."""
        if isinstance(top, bool) or not isinstance(top, int) or top < 0:
            raise ForgoError(f"top={top!r}: must be the number of classes in each answer, or 0 for all")
        inputs = yield from self._know()
        rows = _inputs.read(data, inputs, self._columns)
        if rows.size == 0:
            return []
        path = f"{self._path('/models')}?top={top}"
        answers: list[dict[str, Any]] = []
        for part in rows.parts():
            files = part.pop(_inputs.IMAGE, None) if rows.pictures is not None else None
            if files is None:
                out = io.BytesIO()
                np.savez(out, **{n: _saved(a) for n, a in part.items()})  # type: ignore[arg-type]
                ask = _Ask("POST", path, out.getvalue(), {"Content-Type": "application/x-npz"})
            elif not part:
                ask = _Ask(
                    "POST",
                    path,
                    files=[
                        ("file", (str(n), f, "application/octet-stream")) for n, f in enumerate(files[:, 0])
                    ],
                )
            else:
                listed = [
                    {n: a[k].tolist() for n, a in part.items()}
                    | {_inputs.IMAGE: {"b64": base64.b64encode(files[k, 0]).decode()}}
                    for k in range(len(files))
                ]
                ask = _Ask("POST", path, json.dumps(listed).encode(), {"Content-Type": "application/json"})
            for got in (yield from self._ask(ask, len(answers))).json():
                got.pop("file", None)
                if "classes" not in got:
                    raise ForgoError(f"{self._name} is not a classifier: use predict or run")
                answers.append(got)
        return answers


def _saved(array: Array) -> Array:
    """Strings in the type that NumPy saves without pickling."""
    return array.astype(np.str_) if array.dtype == object else array


def _seconds(answer: httpx.Response) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


_LONGEST = 2000
"""Characters of a server's reason that an error repeats."""


def _reason(answer: httpx.Response) -> str:
    from forgo._printable import printable

    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = answer.text[:200].strip() or answer.reason_phrase
    return printable(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def _first(outputs: dict[str, Array]) -> Array:
    return next(iter(outputs.values()))


class Client(_Model):
    """A client of a forgo server. It is safe for concurrent use by threads; ``with`` closes its connections.

    Long inputs are sent in several requests, and answers keep the order of the rows. A request that gets 429 because the
    server is busy is sent again for up to a minute.

    Args:
        url: the server's address, such as ``http://127.0.0.1:8080``.
        model: the model's name. Optional if the server has only one model.
        version: a version of the model; by default, the server's stable version answers.
        key: an API key, for a server that requires one.
        timeout: seconds that connecting, sending or receiving may make no progress.
        tls: verifies the server's certificate and holds the client's own; by default, certifi's authorities are trusted,
            or those of the variable ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``.

    Raises:
        ForgoError: from the constructor, if ``url`` or ``key`` is malformed; from a call, if the rows do not fit the model.
        RequestError: from a call, if the server refuses it (``status``) or cannot be reached (``status`` is None).
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(model, version)
        self._options = _options(url, key, timeout, tls)
        self._http = self._open()

    def _open(self) -> httpx.Client:
        return httpx.Client(**self._options)

    def predict(self, rows: Any) -> Array:
        """Return the model's first output for rows or pictures.

        Args:
            rows: for a model with one input, an array ``[rows, …]``; with several, a dict of arrays by the inputs' names,
                a list of dicts, or a pandas or Polars frame. For a picture model, a path, a file's bytes, a Pillow
                image, or a list of these. Numbers become the input's type: floats are rounded once; integers must be
                whole and fit the type.

        Returns:
            An array ``[rows, …]`` of the output's type; bfloat16 comes as float32, strings as an object array of ``str``,
            or of ``bytes`` that are not UTF-8. For a classifier, the probabilities ``[rows, classes]`` in the order of its
            labels.
        """
        return _first(self._drive(self._run(rows, True)))

    def run(self, rows: Any) -> dict[str, Array]:
        """Return all outputs by their names, each an array ``[rows, …]``, for rows or pictures as in :meth:`predict`."""
        return self._drive(self._run(rows, False))

    def classify(self, rows: Any, top: int = 1) -> list[dict[str, Any]]:
        """Return the best classes of each row or picture.

        Args:
            rows: rows or pictures as in :meth:`predict`.
            top: the number of classes in each answer; 0 for all.

        Returns:
            For each row ``{"classes": [{"label": …, "score": …}, …]}``, best first. A score is a probability, 0 to 1. A
            multi-label model's classes are only the labels above their thresholds, possibly none.

        Raises:
            ForgoError: the model is not a classifier.
        """
        return self._drive(self._classify(rows, top))

    def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, steps: _Steps[T]) -> T:
        answer: httpx.Response | None = None
        while True:
            try:
                ask = steps.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(ask, float):
                time.sleep(ask)
                answer = None
            else:
                answer = self._send(ask)

    def _send(self, ask: _Ask) -> httpx.Response:
        try:
            return self._http.request(ask.method, ask.path, **_parts(ask))
        except httpx.HTTPError as e:
            raise _unreached(self._http.base_url, e) from None


class AsyncClient(_Model):
    """:class:`Client` for asyncio, with the same arguments: ``await`` its methods; ``async with`` closes its connections.

    The tasks of one event loop may share it.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(model, version)
        self._http = httpx.AsyncClient(**_options(url, key, timeout, tls))

    async def predict(self, rows: Any) -> Array:
        """See :meth:`Client.predict`."""
        return _first(await self._drive(self._run(rows, True)))

    async def run(self, rows: Any) -> dict[str, Array]:
        """See :meth:`Client.run`."""
        return await self._drive(self._run(rows, False))

    async def classify(self, rows: Any, top: int = 1) -> list[dict[str, Any]]:
        """See :meth:`Client.classify`."""
        return await self._drive(self._classify(rows, top))

    async def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, steps: _Steps[T]) -> T:
        import asyncio

        answer: httpx.Response | None = None
        while True:
            try:
                ask = steps.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(ask, float):
                await asyncio.sleep(ask)
                answer = None
                continue
            try:
                answer = await self._http.request(ask.method, ask.path, **_parts(ask))
            except httpx.HTTPError as e:
                raise _unreached(self._http.base_url, e) from None


def _options(url: str, key: str | None, timeout: float, tls: ssl.SSLContext | None) -> dict[str, Any]:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ForgoError(f"url={url!r}: give the server's address, such as http://127.0.0.1:8080")
    if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable()):
        raise ForgoError("key: must be printable ASCII text, such as forgo key makes")
    return {
        "base_url": url.rstrip("/"),
        "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        "timeout": timeout,
        "verify": True if tls is None else tls,
    }


def _parts(ask: _Ask) -> dict[str, Any]:
    if ask.files is not None:
        return {"files": ask.files}
    return {"content": ask.body, "headers": dict(ask.headers)}


def _unreached(url: httpx.URL, e: httpx.HTTPError) -> RequestError:
    return RequestError(f"{url}: {str(e) or type(e).__name__}", status=None)
