"""Servers for clients to talk to. It needs no package: every client's environment imports it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tests.conftest import BUNDLES, FORGO, ROOT

GRAPHS = ROOT / "conformance" / "graphs"
COLOURS = ("red", "green", "blue")  # the labels of a graph that is served as a classifier
COMMAND = FORGO if FORGO.exists() else ROOT / ".venv/bin/forgo"  # a client's environment has none


@dataclass(frozen=True)
class Server:
    """A running server, by its HOST:PORTs, and one of its models."""

    model: str
    bundle: Path
    http: str
    grpc: str
    admin: str

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.bundle / "forgo.json").read_text())
        return manifest

    def pictures(self) -> list[tuple[bytes, str]]:
        """The bundle's golden pictures, each with the label that the training framework gave it."""
        cases = self.manifest["golden"]["cases"]
        return [((self.bundle / case["input"]).read_bytes(), case["label"]) for case in cases]

    def rows(self) -> list[tuple[list[float], str]]:
        """The same for a bundle of rows."""
        return [(json.loads(raw), label) for raw, label in self.pictures()]


def bundle_of(model: str, folder: Path) -> Path:
    """A committed bundle, or one around a graph of the conformance suite; TASK:GRAPH says its task."""
    if (BUNDLES / f"{model}.forgo").exists():
        return BUNDLES / f"{model}.forgo"
    task, _, graph = model.rpartition(":")
    described = subprocess.run(
        [COMMAND, "inspect", "--json", GRAPHS / f"{graph}.onnx"], capture_output=True, text=True, check=True
    )
    ends = json.loads(described.stdout)
    place = folder / f"{graph}.forgo"
    place.mkdir()
    shutil.copy(GRAPHS / f"{graph}.onnx", place / "model.onnx")
    data = (place / "model.onnx").read_bytes()

    def described_as(end: dict[str, Any]) -> dict[str, Any]:
        shape = [None if size < 0 else size for size in end["shape"]]
        return {"name": end["name"], "graph_name": end["name"], "dtype": end["dtype"], "shape": shape}

    labels = {"labels": list(COLOURS)} if task == "classification" else {}
    manifest = json.dumps(
        {
            **labels,
            "format": 1,
            "name": graph,
            "task": task or "tensors",
            "engine": "onnxruntime",
            "graph": {"path": "model.onnx"},
            "inputs": [described_as(end) for end in ends["inputs"]],
            "outputs": [described_as(end) for end in ends["outputs"]],
            "tolerance": {"decode": 0, "preprocess": 0, "model": 0},
            "golden": {"cases": [], "none": "a graph of the conformance suite"},
            "provenance": {},
            "files": {"model.onnx": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}},
        }
    )
    (place / "forgo.json").write_text(manifest)
    (place / "forgo.sha256").write_text(f"{hashlib.sha256(manifest.encode()).hexdigest()}  forgo.json\n")
    return place


@contextlib.contextmanager
def running(*arguments: str | Path) -> Iterator[dict[str, str]]:
    """Run forgo serve on free ports until the block ends: the HOST:PORTs of http, grpc and admin."""
    command: list[str | Path] = [COMMAND, "serve", *arguments]
    for place in ("http", "grpc", "admin"):
        command += [f"--{place}", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        log = Thread(target=process.stderr.read, daemon=True)
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                places = dict(re.findall(r"\b(http|grpc|admin)\W+(127\.0\.0\.1:\d+)", line))
                if len(places) == 3:
                    break
            else:
                raise AssertionError("".join(said))
            log.start()
            yield places
        finally:
            process.terminate()
            code = process.wait(timeout=60)
        log.join()
        assert code == 0, f"the server ended with {code}"


@contextlib.contextmanager
def serving(models: list[str], folder: Path) -> Iterator[dict[str, Server]]:
    """Serve models until the block ends."""
    bundles = {model: bundle_of(model, folder) for model in models}
    with running(*bundles.values()) as places:
        yield {model: Server(bundle.stem, bundle, **places) for model, bundle in bundles.items()}
