from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FORGO = Path(sys.executable).with_name("forgo")
BUNDLES = ROOT / "conformance" / "bundles"


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


def forgo(*arguments: str | Path, **options: Any) -> Done:
    """Run the installed command as a user would."""
    done = subprocess.run(
        [FORGO, *arguments], capture_output=True, text=True, check=False, timeout=600, **options
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class TrainedBundle:
    """A bundle that the Makefile trains, its Keras model, and its pictures."""

    bundle: Path
    keras: Path
    pictures: Path

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.bundle / "forgo.json").read_text())
        return manifest


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process at a time into the block: tests run in several, and share what is in build/."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def trained(name: str) -> TrainedBundle:
    """Have make train it, unless it is there and newer than the code that trains."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    with only_one("trained"):
        subprocess.run(
            ["make", "-s", f"build/{name}.forgo/forgo.json"], cwd=ROOT, check=True, env=environment
        )
    return TrainedBundle(
        ROOT / f"build/{name}.forgo", ROOT / f"build/{name}.keras", ROOT / f"build/{name}/test"
    )


@pytest.fixture(scope="session")
def digits() -> TrainedBundle:
    return trained("digits")


@pytest.fixture(scope="session")
def tiles() -> TrainedBundle:
    return trained("tiles")
