"""What the tests of all clients share: one server for each model that they ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from tests.clients.servers import Server, serving

# These run in the client's own environment: see test_environments.py.
collect_ignore = [
    folder for folder, client in (("triton", "tritonclient"), ("kserve", "kserve")) if not find_spec(client)
]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Serve a model by its name, once for the whole session."""
    servers: dict[str, Server] = {}
    with contextlib.ExitStack() as running:

        def of(model: str) -> Server:
            if model not in servers:
                servers[model] = running.enter_context(serving(model, tmp_path_factory.mktemp("bundle")))
            return servers[model]

        yield of
