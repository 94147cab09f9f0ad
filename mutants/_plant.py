"""Plants a skew in the source of an adapter, and exports with it in a process of its own."""

from __future__ import annotations

import json
import subprocess
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent


def plant(file: str, old: str, new: str) -> None:
    """Run a module of the export again with other text in it."""
    module = import_module(f"forgo.exporting.{file}")
    source = Path(str(module.__file__)).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{file}.py has {old!r} {source.count(old)} times")
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), module.__dict__)


def export_apart(python: str | Path, module: str, told: list[str], folder: Path) -> tuple[str, str]:
    """Export by a module of this package, told what to plant, and say where that is refused."""
    done = subprocess.run(
        [python, "-m", f"mutants.{module}", json.dumps(told), folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return "broken", (done.stderr.strip().splitlines() or ["?"])[-1]
    stage, message = json.loads(done.stdout.splitlines()[-1])
    return stage, message
