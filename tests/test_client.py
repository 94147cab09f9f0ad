"""forgo.Client and forgo.AsyncClient against a running server."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forgo
from forgo import _binary
from forgo._wire import Input, convert, pack, unpack
from mutants._serve_skews import Server, serving
from tests.conftest import BUNDLES, ROOT

ROWS = np.array([[5.9, 3.2, 4.8, 1.8], [5.1, 3.5, 1.4, 0.2]])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Two models behind keys, and a key."""
    folder = tmp_path_factory.mktemp("keys")
    made = json.loads(
        subprocess.run(
            [_binary.path(), "key", "tester", "--json"], capture_output=True, text=True, check=True
        ).stdout
    )
    (folder / "keys").write_text(made["line"] + "\n")
    models = folder / "models"
    for name in ("iris", "shapes"):
        (models / name).mkdir(parents=True)
        (models / name / "1").symlink_to(BUNDLES / f"{name}.forgo")
    with serving(_binary.path(), models, "--engine", "onnx", "--keys", str(folder / "keys")) as server:
        yield server, made["key"]


def test_the_three_calls(served: tuple[Server, str]) -> None:
    server, key = served
    with (
        forgo.Client(server.http, model="iris", key=key) as client,
        forgo.load(BUNDLES / "iris.forgo", engine="onnx") as local,
    ):
        assert client.predict(ROWS).tobytes() == local.predict(ROWS).tobytes()
        assert client.run(ROWS).keys() == local.run(ROWS).keys()
        assert client.classify(ROWS, top=2) == local.classify(ROWS, top=2)
    with forgo.Client(server.http, model="iris", version=1, key=key) as client:
        assert client.predict(ROWS).shape == (2, 3)


def test_async(served: tuple[Server, str]) -> None:
    server, key = served

    async def ask() -> list[Any]:
        async with forgo.AsyncClient(server.http + "/", model="iris", key=key) as client:
            parts = await asyncio.gather(*(client.predict(r[None]) for r in ROWS))
            return [*parts, await client.run(ROWS), await client.classify(ROWS)]

    *parts, outputs, classes = asyncio.run(ask())
    np.testing.assert_allclose(np.concatenate(parts), outputs["probabilities"], atol=1e-6)
    assert [c["classes"][0]["label"] for c in classes] == ["virginica", "setosa"]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"model": "iris"}, 401, "key"),
        ({"model": "iris", "key": "nonsense"}, 401, "key"),
        ({"model": "iirs"}, 404, "iirs"),
        ({"model": "iris", "version": 7}, 404, "7"),
        ({"model": "../../admin"}, 404, "admin"),
    ],
)
def test_what_a_server_refuses(
    served: tuple[Server, str], options: dict[str, Any], status: int, message: str
) -> None:
    server, key = served
    if status == 404:
        options = options | {"key": key}
    with (
        forgo.Client(server.http, **options) as client,
        pytest.raises(forgo.RequestError, match=message) as refused,
    ):
        client.predict(ROWS)
    assert refused.value.status == status


def test_which_of_several_models_answers(served: tuple[Server, str]) -> None:
    server, key = served
    with (
        forgo.Client(server.http, key=key) as client,
        pytest.raises(forgo.ForgoError, match="the server has 2 models: give model=, one of iris, shapes"),
    ):
        client.predict(ROWS)


def test_a_server_that_is_not_there() -> None:
    with (
        forgo.Client("http://127.0.0.1:9", model="iris") as client,
        pytest.raises(forgo.RequestError) as refused,
    ):
        client.predict(ROWS)
    assert refused.value.status is None
    assert "http://127.0.0.1:9" in str(refused.value)
    with pytest.raises(forgo.ForgoError, match="url='iris'"):
        forgo.Client("iris")
    for key in ("forgo_…", "a\r\nX-Other: b"):
        with pytest.raises(forgo.ForgoError, match="key: must be printable ASCII text"):
            forgo.Client("http://127.0.0.1:9", key=key)


class Rude(BaseHTTPRequestHandler):
    """A server whose reasons are megabytes, and act on terminals."""

    def do_GET(self) -> None:
        body = json.dumps({"error": "\r\x1b[2Kparity proven" + "x" * 1_000_000}).encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def test_the_reason_of_a_server_is_short_and_text() -> None:
    with HTTPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            forgo.Client(f"http://127.0.0.1:{server.server_port}") as client,
            pytest.raises(forgo.RequestError) as e,
        ):
            client.predict([[1.0]])
        server.shutdown()
    assert str(e.value).startswith(r"\r\u001b[2Kparity proven")
    assert len(str(e.value)) < 3000


def test_both_clients_have_the_same_calls() -> None:
    for name in ("__init__", "predict", "run", "classify", "close"):
        sync, other = (inspect.signature(getattr(c, name)) for c in (forgo.Client, forgo.AsyncClient))
        assert sync == other, name


@pytest.mark.parametrize(
    "datatype", ["INT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BOOL", "BF16", "BYTES"]
)
def test_tensors_there_and_back(datatype: str) -> None:
    examples: dict[str, list[Any]] = {
        "INT8": [-128, 127], "INT64": [-(2**63), 2**63 - 1], "UINT64": [0, 2**64 - 1], "BOOL": [True, False],
        "BYTES": ["é", b"\xff\x00"],
    }  # fmt: skip
    values = examples.get(datatype, [1.5, -0.25, float("inf"), float("nan")])
    made = convert(values, Input("x", datatype, (-1,)))
    back = unpack(memoryview(pack(made, datatype)), datatype, [len(values)])
    np.testing.assert_array_equal(back, np.array(values, object if datatype == "BYTES" else None))


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("INT64", 2.0**63), ("INT64", 1.5), ("INT8", 128), ("INT8", -129.0), ("UINT8", -1), ("INT32", float("nan")),
        ("UINT64", 2.0**64), ("INT64", np.uint64(2**63)), ("FP16", 1e5), ("FP32", "1.0"), ("BOOL", 1), ("INT8", True), ("BYTES", None),
    ],
)  # fmt: skip
def test_values_that_a_type_does_not_hold(datatype: str, value: Any) -> None:
    with pytest.raises(
        forgo.ForgoError, match=rf"x: (must be ({datatype}|strings), not|{datatype} does not hold) "
    ):
        convert([value], Input("x", datatype, (-1,)))


def test_floats_are_rounded_once_and_bfloat16_to_even() -> None:
    x = Input("x", "BF16", (-1,))
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    np.testing.assert_array_equal(
        unpack(memoryview(pack(convert(values, x), "BF16")), "BF16", [3]), [1, 1 + 2**-6, 1 + 2**-7]
    )
    assert convert([None, 1], Input("x", "FP32", (-1,))).tolist()[1] == 1


def test_the_page_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, _ = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL
    )
    bundle = shutil.copytree(BUNDLES / "shapes.forgo", tmp_path / "digits.forgo")
    for name, golden in zip(("one", "seven"), sorted((bundle / "golden").glob("*.jpg")), strict=False):
        shutil.copy(golden, tmp_path / f"{name}.png")  # recognized by content
    monkeypatch.chdir(tmp_path)
    with serving(_binary.path(), bundle) as server:
        exec(program.replace("https://models.example.com", server.http), {})
