"""The clients of Triton and KServe, each in an environment of its own.

Their packages and this project's ask for different versions of protobuf, and the two cannot be in
one process: both bring the protocol's messages. An environment is made from the folder's
requirements.txt with uv, and kept in build/clients until that file changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HERE = Path(__file__).parent


def environment(folder: Path) -> Path:
    """The Python of a folder's environment, which is made unless it is there."""
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / "build" / "clients" / f"{folder.name}-{digest}"
    python = place / "bin" / "python"
    if (place / "ready").exists():
        return python
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    commands: list[list[str | Path]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place],
        [uv, "pip", "install", "--quiet", "--python", python, "--requirements", requirements],
    ]
    for command in commands:
        subprocess.run(command, env=variables, check=True)
    (place / "ready").touch()
    return python


@pytest.mark.slow
@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_client(client: str) -> None:
    done = subprocess.run(
        [environment(HERE / client), "-m", "pytest", "-q", HERE / client],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
