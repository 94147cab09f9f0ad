"""forgo verify --url: forgo's own server, and MLServer with the same models as a foreign one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.clients.servers import serving
from tests.conftest import BUNDLES, ROOT, forgo
from tests.environments import environment

pytestmark = pytest.mark.slow

HERE = ROOT / "tests" / "mlserver"


def replay(bundle: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and what is printed as JSON."""
    done = forgo("verify", "--json", *arguments, bundle)
    return done.code, json.loads(done.out)


@pytest.mark.parametrize("model", ["shapes", "iris", "halves"])
def test_this_server_in_every_protocol(model: str, tmp_path: Path) -> None:
    with serving([model], tmp_path) as servers:
        server = servers[model]
        urls = ["--url", server.url, "--url", f"grpc://{server.grpc}"]
        for batch in ("1", "8"):
            code, report = replay(server.bundle, *urls, "--batch", batch)
            assert code == 0, report
            assert {p["protocol"] for p in report["protocols"]} == {
                "oip",
                "oip-grpc",
                "tensorflow",
                "tensorflow-grpc",
                "native",
            }
            for protocol in report["protocols"]:
                assert protocol["ok"]
                assert protocol["largest_difference"] < 1e-5
                assert protocol["top1_agreement"] == 1
                assert protocol["rows"] >= 32


SKEWS = {"right": "", "transposed": "transposed", "shifted": "mean shifted", "swapped": "outputs swapped", "mixed": "rows mixed up"}  # fmt: skip


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on: MLServer takes no port 0."""
    with_ports = [socket.socket() for _ in range(n)]
    for s in with_ports:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in with_ports]
    for s in with_ports:
        s.close()
    return ports


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """MLServer with every committed bundle's graph, right and with each skew; its URLs."""
    folder = tmp_path_factory.mktemp("mlserver")
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    models = 0
    for graph in sorted(BUNDLES.glob("*.forgo/model.onnx")):
        bundle = graph.parent
        manifest = json.loads((bundle / "forgo.json").read_text())
        for name, skew in SKEWS.items():
            path = folder / f"{manifest['name']}-{name}"
            path.mkdir()
            (path / "model-settings.json").write_text(
                json.dumps(
                    {
                        "name": path.name,
                        "implementation": "runtime.OnnxRuntime",
                        "parameters": {"uri": str(graph), "extra": {"skew": skew}},
                        "inputs": ends(manifest["inputs"]),
                        "outputs": ends(manifest["outputs"]),
                    }
                )
            )
            models += 1
    command: list[str | Path] = [environment(HERE).with_name("mlserver"), "start", folder]
    variables = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said: list[str] = []
            running = {"Uvicorn running on http": 2, "gRPC server running on": 1, "Loaded model": models}
            while any(sum(word in line for line in said) < n for word, n in running.items()):
                line = process.stdout.readline()
                assert line, "".join(said)
                said.append(line)
            log = Thread(target=process.stdout.read, daemon=True)
            log.start()
            yield ["--url", f"http://127.0.0.1:{http}", "--url", f"grpc://127.0.0.1:{grpc}"]
        finally:
            process.terminate()
            process.wait(timeout=60)


def ends(described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A manifest's inputs or outputs in the protocol's words."""
    return [
        {"name": e["name"], "datatype": "FP32", "shape": [-1 if d is None else d for d in e["shape"]]}
        for e in described
    ]


@pytest.mark.parametrize("model", ["shapes", "iris"])
def test_a_foreign_server_that_is_right(model: str, mlserver: list[str]) -> None:
    code, report = replay(BUNDLES / f"{model}.forgo", *mlserver, "--model", f"{model}-right")
    assert code == 0, report
    assert [(p["protocol"], p["forms"]) for p in report["protocols"]] == [
        ("oip", ["json"]),
        ("oip-grpc", ["contents", "raw"]),
    ]
    for protocol in report["protocols"]:
        assert protocol["server"].startswith("mlserver 1.7")
        assert protocol["largest_difference"] < 1e-5
        assert protocol["top1_agreement"] == 1


@pytest.mark.parametrize(
    ("model", "batch"),
    [("shapes-transposed", 1), ("shapes-shifted", 1), ("iris-shifted", 1), ("iris-swapped", 1), ("shapes-mixed", 8)],
)  # fmt: skip
def test_a_skew_in_a_foreign_server_is_found(model: str, batch: int, mlserver: list[str]) -> None:
    code, report = replay(BUNDLES / f"{model.split('-')[0]}.forgo", *mlserver, "--model", model)
    assert code == 1, report
    assert (report["stage"], report["protocol"], report["form"], report["batch"]) == (
        "serve",
        "oip",
        "json",
        batch,
    )
    assert report["difference"] > report["tolerance"] == 1e-4
    assert report["case"] in report["error"]
    assert len(report["protocols"]) == 2
    for protocol in report["protocols"]:
        assert not protocol["ok"]
        assert protocol["largest_difference"] > 1e-4
