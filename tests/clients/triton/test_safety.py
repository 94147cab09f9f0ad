"""Keys and certificates, by the options that Triton's clients have for them."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gevent.ssl
import numpy as np
import pytest
import trustme
from tritonclient.utils import InferenceServerException

from tests.clients.servers import COMMAND, Server, bundle_of, running
from tests.clients.triton.conftest import KINDS, Client, Form

ROW = {"input": np.zeros((1, 4), np.float32)}


@dataclass(frozen=True)
class Safe:
    """A server that asks for certificates and keys, what its clients need, and a key for each right."""

    server: Server
    authority: Path
    client: Path  # a certificate and its key, in one file
    keys: dict[str, str]

    def options(self, kind: str, certificate: bool = True) -> dict[str, Any]:
        """What a client is made with."""
        own = str(self.client) if certificate else None
        if kind.startswith("grpc"):
            return {
                "ssl": True,
                "root_certificates": str(self.authority),
                "private_key": own,
                "certificate_chain": own,
            }

        def context(make: Any) -> Any:
            made = make.create_default_context(cafile=str(self.authority))
            if own:
                made.load_cert_chain(own)
            return made

        if kind == "http":
            return {"ssl": True, "ssl_context_factory": partial(context, gevent.ssl)}
        return {"ssl": True, "ssl_context": context(ssl)}


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Safe]:
    folder = tmp_path_factory.mktemp("safe")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1")
    for i, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "server.pem", append=i > 0)
    certificate.private_key_pem.write_to_path(folder / "server.key")
    authority.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    keys = {}
    with (folder / "keys.txt").open("w") as lines:
        for right in ("predict", "admin"):
            made = subprocess.run(
                [COMMAND, "key", right, "--rights", right, "--json"], capture_output=True, check=True
            )
            key = json.loads(made.stdout)
            keys[right] = key["key"]
            lines.write(key["line"] + "\n")
    (folder / "keys.txt").chmod(0o600)
    bundle = bundle_of("iris", folder)
    with running(
        bundle,
        *("--keys", folder / "keys.txt"),
        *("--tls-cert", folder / "server.pem", "--tls-key", folder / "server.key"),
        *("--tls-client-ca", folder / "authority.pem"),
    ) as places:
        yield Safe(Server("iris", bundle, **places), folder / "authority.pem", folder / "client.pem", keys)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_keys_over_mutual_tls(safe: Safe, kind: str, header: str) -> None:
    with asyncio.Runner() as runner:
        client = Client(Form(kind), safe.server, runner.run, **safe.options(kind))

        def sent(key: str) -> dict[str, str]:
            return {header: f"Bearer {key}" if header == "authorization" else key}

        assert client.call("is_server_ready") is True
        right = client.infer(ROW, headers=sent(safe.keys["predict"]))
        assert right.as_numpy("logits").shape == (1, 3)
        for headers, code in (
            ({}, ("401", "StatusCode.UNAUTHENTICATED")),
            (sent("wrong"), ("401", "StatusCode.UNAUTHENTICATED")),
            (sent(safe.keys["admin"]), ("403", "StatusCode.PERMISSION_DENIED")),
        ):
            with pytest.raises(InferenceServerException) as refused:
                client.infer(ROW, headers=headers)
            assert refused.value.status() == code[not client.form.is_http]
        client.close()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_client_without_a_certificate_is_not_answered(safe: Safe, kind: str) -> None:
    with asyncio.Runner() as runner:
        client = Client(Form(kind), safe.server, runner.run, **safe.options(kind, certificate=False))
        with pytest.raises(Exception, match=r"(?i)certificate|handshake|unavailable|reset|closed|connect"):
            client.infer(ROW, headers={"x-api-key": safe.keys["predict"]})
        client.close()
