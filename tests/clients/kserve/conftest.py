"""KServe's two clients, over REST and gRPC, behind one face."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from tests.clients.servers import Server


@dataclass(frozen=True)
class Form:
    """REST or gRPC, and whether tensors travel as bytes or as lists."""

    kind: str
    binary_in: bool
    binary_out: bool

    def __str__(self) -> str:
        words = ("lists", "binary")
        return f"{self.kind}-{words[self.binary_in]}-{words[self.binary_out]}"


FORMS = [Form(kind, i, o) for kind in ("rest", "grpc") for i in (False, True) for o in (False, True)]


class Client:
    """One of the two, for the server of one model."""

    def __init__(self, form: Form, server: Server, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.form, self.server, self.run = form, server, run

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.run(self._call(method, *arguments, **options))

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self.form.kind == "grpc":
            async with InferenceGRPCClient(self.server.grpc) as client:
                return await getattr(client, method)(*arguments, **options)
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        try:
            return await getattr(client, method)(self.server.url, *arguments, **options)
        finally:
            await client.close()

    def request(self, inputs: dict[str, Any], **options: Any) -> InferRequest:
        tensors = []
        for name, value in inputs.items():
            array = np.asarray(value)
            tensor = InferInput(name, list(array.shape), from_np_dtype(array.dtype))
            if self.form.binary_in or self.form.kind == "rest":
                tensor.set_data_from_numpy(array, binary_data=self.form.binary_in)
            else:
                tensor.data = array.flatten().tolist()
            tensors.append(tensor)
        outputs = [
            RequestedOutput(output["name"], {"binary_data": self.form.binary_out})
            for output in self.server.manifest["outputs"]
        ]
        return InferRequest(self.server.model, tensors, request_outputs=outputs, **options)

    def infer(self, inputs: dict[str, Any], **options: Any) -> Any:
        model = {"model_name": self.server.model} if self.form.kind == "rest" else {}
        return self.call("infer", self.request(inputs, **options), **model)


@pytest.fixture
def connect(serve: Callable[[str], Server]) -> Iterator[Callable[[Form, str], Client]]:
    """Make a client of some form for the server of a model."""
    with asyncio.Runner() as runner:
        yield lambda form, model: Client(form, serve(model), runner.run)
