"""PyTorch's tests, in an environment of their own: its packages for Linux bring CUDA's libraries, 4 GB of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.environments import environment

HERE = ROOT / "tests" / "pytorch"

pytestmark = pytest.mark.slow


@pytest.mark.timeout(1800)  # the first run downloads the packages
@pytest.mark.parametrize("file", sorted(HERE.glob("test_*.py")), ids=lambda f: f.stem)
def test_pytorch(file: Path) -> None:
    done = subprocess.run(
        [environment(HERE, forgo=True), "-m", "pytest", "-q", "--durations=5", file],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" not in done.stdout
