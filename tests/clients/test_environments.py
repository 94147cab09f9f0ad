"""The clients of Triton, KServe, TensorFlow Serving and MLServer, each in an environment of its own.

Their packages and this project's ask for different versions of protobuf, and the two cannot be in
one process: both bring the protocol's messages.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.environments import environment

HERE = Path(__file__).parent
ENVIRONMENTS = {
    **{client: HERE / client for client in ("triton", "kserve", "tfserving")},
    "mlserver": ROOT / "tests" / "mlserver",  # whose server the tests of verify --url run, too
}


@pytest.mark.slow
@pytest.mark.parametrize("client", ENVIRONMENTS)
def test_client(client: str) -> None:
    done = subprocess.run(
        [environment(ENVIRONMENTS[client]), "-m", "pytest", "-q", HERE / client],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
