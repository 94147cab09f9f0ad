"""A wheel built, installed into a new environment outside the checkout, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import BUNDLES, ROOT

pytestmark = pytest.mark.slow


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_wheel(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    version = (ROOT / "VERSION").read_text().strip()
    assert wheel.name.startswith(f"forgo-{version}-py3-none-")
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as z:
        assert z.getinfo("forgo/bin/forgo").external_attr >> 16 & 0o111
        assert json.loads(z.read("forgo/manifest.schema.json"))["properties"]["format"] == {"const": 1}

    environment = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "FORGO_BINARY")
    }
    home = tmp_path / "elsewhere"
    run(sys.executable, "-m", "venv", home)
    run(
        home / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        wheel,
        env=environment,
    )
    command = home / "bin" / "forgo"
    assert run(command, "--version", cwd=tmp_path, env=environment) == f"forgo {version}\n"
    bundle = BUNDLES / "shapes.forgo"
    answer = json.loads(
        run(
            command, "predict", "--json", bundle, bundle / "golden" / "000.jpg", cwd=tmp_path, env=environment
        )
    )
    cases = json.loads((bundle / "forgo.json").read_text())["golden"]["cases"]
    assert answer["classes"][0]["label"] == cases[0]["label"]
    found = json.loads(run(command, "doctor", "--json", cwd=tmp_path, env=environment))
    assert found["onnxruntime"]["path"].startswith(str(home))
    assert found["binary"].startswith(str(home))
