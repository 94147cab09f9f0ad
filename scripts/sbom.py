"""Writes what forgo is made of, as CycloneDX: ``python scripts/sbom.py FOLDER``, or ``make sbom``.

``go.cdx.json`` has the modules in the Go binary and the C libraries linked into it, ``python.cdx.json``
the packages of the Python half with all extras.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BINARY = ROOT / "src/forgo/bin/forgo"
# Its own dependencies would outnumber the project's, so it is not in go.tool.mod.
GOMOD = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"


def go() -> dict[str, Any]:
    """What is in the binary: Go's own record of its modules, and what doctor says of C."""
    command: list[str | Path] = [
        "go",
        "run",
        GOMOD,
        "bin",
        "-json",
        "-std",
        "-version",
        (ROOT / "VERSION").read_text().strip(),
        BINARY,
    ]
    bom: dict[str, Any] = json.loads(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    )
    doctor = subprocess.run([BINARY, "doctor", "--json"], check=False, capture_output=True).stdout
    found = json.loads(doctor)
    if version := found.get("libjpeg_turbo"):
        bom["components"].append(
            {"type": "library", "name": "libjpeg-turbo", "version": version,
             "bom-ref": f"pkg:generic/libjpeg-turbo@{version}", "purl": f"pkg:generic/libjpeg-turbo@{version}"}
        )  # fmt: skip
    return bom


def python() -> dict[str, Any]:
    """What uv.lock has for users: the package and its extras, without the tools of developers."""
    uv = shutil.which("uv") or ROOT / "build/uv/bin/uv"
    command: list[str | Path] = [
        uv,
        "export",
        "--quiet",
        "--frozen",
        "--all-extras",
        "--no-dev",
        "--format",
        "cyclonedx1.5",
    ]
    exported = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "UV_PREVIEW": "1"}
    )
    bom: dict[str, Any] = json.loads(exported.stdout)
    return bom


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, bom in (("go", go()), ("python", python())):
        (folder / f"{name}.cdx.json").write_text(json.dumps(bom, indent=2) + "\n")
        print(f"sbom: {folder / name}.cdx.json: {len(bom['components'])} components", file=sys.stderr)
