"""What the tests of all clients share: a server of all the models that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from tests.clients.servers import GRAPHS, Server, serving

# These run in the client's own environment: see test_environments.py.
collect_ignore = [
    folder
    for folder, client in (
        ("triton", "tritonclient"),
        ("kserve", "kserve"),
        ("tfserving", "tensorflow_serving"),
        ("mlserver", "mlserver"),
    )
    if not find_spec(client)
]


# All that the tests ask but slow, which has a server of its own.
MODELS = [
    "iris",
    "shapes",
    "halves",
    "two",
    "sensors",
    "regression:half-plus-two",
    "regression:half-plus-three",
    "classification:planes",
]
MODELS += sorted(graph.stem for graph in GRAPHS.glob("same-*.onnx"))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One server of all models, by their names."""
    with serving(MODELS, tmp_path_factory.mktemp("bundles")) as models:
        yield models


@pytest.fixture
def serve(servers: dict[str, Server]) -> Callable[[str], Server]:
    """The server, for one of its models."""
    return servers.__getitem__
