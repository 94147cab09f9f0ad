"""Triton's perf_analyzer, which asks a model's configuration before it measures anything."""

from __future__ import annotations

import base64
import json
import platform
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.servers import Server
from tests.environments import environment

NEEDS = "2.38"


def _older() -> str:
    """Why it cannot run here; empty where it can."""
    library, version = platform.libc_ver()
    if library == "glibc" and tuple(map(int, version.split("."))) >= tuple(map(int, NEEDS.split("."))):
        return ""
    return f"perf_analyzer's wheel needs glibc {NEEDS}, this machine has {library} {version}"


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(_older()), reason=_older())]


def measured(server: Server, protocol: str, *options: str | Path) -> float:
    """How many rows a second it says that the server answers, at two requests at once."""
    command = environment(Path(__file__).parent / "perf_analyzer").with_name("perf_analyzer")
    address = server.http if protocol == "http" else server.grpc
    load = ["--concurrency-range", "2", "--request-count", "100"]
    done = subprocess.run(
        [command, "-m", server.model, "-i", protocol, "-u", address, *load, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r"throughput: ([\d.]+) infer/sec", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("batch", [1, 8])
def test_rows(serve: Callable[[str], Server], protocol: str, batch: int) -> None:
    assert measured(serve("iris"), protocol, "-b", str(batch)) > 0


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_pictures(serve: Callable[[str], Server], protocol: str, tmp_path: Path) -> None:
    server = serve("shapes")
    prefixed = [struct.pack("<I", len(picture)) + picture for picture, _ in server.pictures()]
    rows = [{"image": {"b64": base64.b64encode(picture).decode()}} for picture in prefixed]
    (tmp_path / "pictures.json").write_text(json.dumps({"data": rows}))
    assert measured(server, protocol, "--input-data", tmp_path / "pictures.json", "-b", "4") > 0
