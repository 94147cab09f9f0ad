"""Models that Triton's clients load and unload, on the admin port of a server of a folder of models."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.clients.servers import Server, bundle_of, running
from tests.clients.triton.conftest import KINDS, Client, Form
from tests.clients.triton.test_models import plain

ROW = {"input": np.zeros((1, 4), np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(bundle_of("iris", tmp_path), folder / "iris" / "1")
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with running(folder, "--watch", "0") as places:
        yield Server("iris", folder / "iris" / "1", **places)


@pytest.mark.parametrize("kind", list(KINDS))
def test_load_and_unload(folder: Path, server: Server, kind: str) -> None:
    with asyncio.Runner() as runner:
        client = Client(Form(kind), server, runner.run)
        at_admin = Server("iris", server.bundle, server.admin, server.admin, server.admin)
        operator = Client(Form(kind), at_admin, runner.run)

        def states() -> dict[int, str]:
            index = plain(operator.ask("get_model_repository_index"))
            models = index if isinstance(index, list) else index["models"]
            return {model["version"]: model["state"] for model in models}

        assert states() == {1: "READY"}
        operator.call("unload_model", "iris")
        assert states() == {1: "UNAVAILABLE"}
        assert client.call("is_model_ready", "iris") is False
        assert client.call("is_server_live") is True
        with pytest.raises(InferenceServerException, match="iris"):
            client.infer(ROW)

        shutil.copytree(server.bundle, folder / "iris" / "2")
        operator.call("load_model", "iris")
        assert client.call("is_model_ready", "iris") is True
        assert client.call("is_model_ready", "iris", "2") is True
        assert plain(client.ask("get_model_metadata", "iris"))["versions"] == [2]
        assert client.infer(ROW, outputs=["logits"]).as_numpy("logits").shape == (1, 3)

        for model, options in (
            ("other", {}),
            ("../iris", {}),
            ("iris", {"config": "{}"}),
            ("iris", {"config": "{}", "files": {"file:1/model.onnx": b"x"}}),
        ):
            with pytest.raises(InferenceServerException):
                operator.call("load_model", model, **options)
            assert client.call("is_model_ready", "iris") is True
        client.close()
        operator.close()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_bad_version_leaves_the_old_one_answering(folder: Path, server: Server, kind: str) -> None:
    shutil.copytree(server.bundle, folder / "iris" / "2")
    (folder / "iris" / "2" / "model.onnx").write_bytes(b"another file")
    with asyncio.Runner() as runner:
        client = Client(Form(kind), server, runner.run)
        at_admin = Server("iris", server.bundle, server.admin, server.admin, server.admin)
        operator = Client(Form(kind), at_admin, runner.run)
        with pytest.raises(InferenceServerException, match=r"model\.onnx") as refused:
            operator.call("load_model", "iris")
        assert refused.value.status() == ("409" if client.form.is_http else "StatusCode.FAILED_PRECONDITION")
        assert plain(client.ask("get_model_metadata", "iris"))["versions"] == [1]
        assert client.infer(ROW, outputs=["logits"]).as_numpy("logits").shape == (1, 3)
        client.close()
        operator.close()
