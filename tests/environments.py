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

from tests.conftest import ROOT


def environment(folder: Path) -> Path:
    """The Python of a folder's environment, which is made unless it is there."""
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / "build" / "environments" / f"{folder.name}-{digest}"
    python = place / "bin" / "python"
    if (place / "ready").exists():
        return python
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    commands: list[list[str | Path]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place],
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "--requirements", requirements],
    ]
    for command in commands:
        subprocess.run(command, env=variables, check=True)
    (place / "ready").touch()
    return python
