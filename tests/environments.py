"""Environments of their own, for what cannot share this project's packages.

A folder's environment is made from its requirements.txt with uv, and kept in build/environments
until that file changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, only_one


def environment(folder: Path) -> Path:
    """The Python of a folder's environment, which is made unless it is there."""
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / "build" / "environments" / f"{folder.name}-{digest}"
    with only_one("environments"):
        if not (place / "ready").exists():
            _make(place, requirements)
    return place / "bin" / "python"


def _make(place: Path, requirements: Path) -> None:
    python = place / "bin" / "python"
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    commands: list[list[str | Path]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place],
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "--requirements", requirements],
    ]
    for command in commands:
        subprocess.run(command, env=variables, check=True)
    (place / "ready").touch()
