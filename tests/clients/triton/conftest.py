"""Triton's four Python clients, behind one face: a scenario is written once and run with each."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import np_to_triton_dtype

from tests.clients.servers import Server

KINDS = {
    "http": tritonclient.http,
    "http.aio": tritonclient.http.aio,
    "grpc": tritonclient.grpc,
    "grpc.aio": tritonclient.grpc.aio,
}


@dataclass(frozen=True)
class Form:
    """How tensors travel: by which client and, over HTTP, whether in JSON or as binary data."""

    kind: str
    binary_in: bool = True
    binary_out: bool = True

    @property
    def is_http(self) -> bool:
        return self.kind.startswith("http")

    def __str__(self) -> str:
        words = ("json", "binary")
        return f"{self.kind}-{words[self.binary_in]}-{words[self.binary_out]}" if self.is_http else self.kind


FORMS = [
    *(Form(kind, i, o) for kind in ("http", "http.aio") for i in (False, True) for o in (False, True)),
    Form("grpc"),
    Form("grpc.aio"),
]


class Client:
    """One of the four, connected to a server."""

    def __init__(self, form: Form, server: Server, run: Callable[[Any], Any], **options: Any) -> None:
        self.form, self.server, self.library, self.run = form, server, KINDS[form.kind], run
        address = server.http if form.is_http else server.grpc
        self.raw: Any = run(self._connect(address, options))

    async def _connect(self, address: str, options: dict[str, Any]) -> Any:
        return self.library.InferenceServerClient(address, **options)  # the aio ones need a running loop

    def close(self) -> None:
        self.call("close")

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client, to its end."""
        result = getattr(self.raw, method)(*arguments, **options)
        return self.run(result) if inspect.isawaitable(result) else result

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method whose answer is a dictionary, or a list of them."""
        if not self.form.is_http:
            options["as_json"] = True
        return self.call(method, *arguments, **options)

    def input(self, name: str, value: Any, datatype: str = "") -> Any:
        array = np.asarray(value)
        tensor = self.library.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
        how = {"binary_data": self.form.binary_in} if self.form.is_http else {}
        tensor.set_data_from_numpy(array, **how)
        return tensor

    def output(self, name: str, **options: Any) -> Any:
        how = {"binary_data": self.form.binary_out} if self.form.is_http else {}
        return self.library.InferRequestedOutput(name, **how, **options)

    def infer(self, inputs: dict[str, Any], outputs: list[str] | None = None, **options: Any) -> Any:
        """Infer with the server's model; the outputs come in the client's form."""
        if outputs is None and not self.form.binary_out:
            outputs = [tensor["name"] for tensor in self.server.manifest["outputs"]]
        return self.call(
            "infer",
            self.server.model,
            [self.input(name, value) for name, value in inputs.items()],
            outputs=None if outputs is None else [self.output(name) for name in outputs],
            **options,
        )


@pytest.fixture
def connect(serve: Callable[[str], Server]) -> Iterator[Callable[[Form, str], Client]]:
    """Connect a client of some form to the server of a model."""
    clients: list[Client] = []
    with asyncio.Runner() as runner:

        def to(form: Form, model: str) -> Client:
            clients.append(Client(form, serve(model), lambda wanted: runner.run(wanted)))
            return clients[-1]

        yield to
        for client in clients:
            client.close()
