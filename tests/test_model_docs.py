"""The scripts in docs/models-*.md run as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.environments import environment
from tests.test_mlflow import site

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "page",
    [p for p in sorted((ROOT / "docs").glob("models-*.md")) if "```python" in p.read_text()],
    ids=lambda p: p.stem,
)
def test_the_script_runs(page: Path, tmp_path: Path) -> None:
    scripts = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert scripts
    apart = page.stem == "models-torch"
    python = environment(ROOT / "tests" / "pytorch", forgo=True) if apart else sys.executable
    more = {"PYTHONPATH": str(site())} if page.stem == "models-mlflow" else {}
    for script in scripts:
        done = subprocess.run(
            [python, "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **more},
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"\d+ golden cases", done.stdout)
    assert list(tmp_path.glob("*.forgo"))
