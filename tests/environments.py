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


def environment(folder: Path, *, forgo: bool = False) -> Path:
    """The Python of a folder's environment, which is made unless it is there.

    Args:
        folder: has requirements.txt, with forgo's own dependencies where it is installed, too.
        forgo: whether this checkout is installed in it.
    """
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    path = ROOT / "build" / "environments" / f"{folder.name}-{digest}"
    with only_one("environments"):
        if not (path / "ready").exists():
            _make(path, requirements, forgo)
    return path / "bin" / "python"


def _make(path: Path, requirements: Path, forgo: bool) -> None:
    python = path / "bin" / "python"
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python]
    for older in path.parent.glob(f"{path.name.rpartition('-')[0]}-*"):
        shutil.rmtree(older)
    commands: list[list[str | Path]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, path],
        [*install, "--requirements", requirements],
        *([[*install, "--no-build-isolation", "--editable", ROOT]] if forgo else []),
    ]
    for command in commands:
        subprocess.run(command, env=variables, check=True)
    (path / "ready").touch()
