"""What pip and uv install of the clone: TensorFlow with the extra keras, whoever asks."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from tests.conftest import ROOT


def test_the_project_hides_nothing_from_uv() -> None:
    """uv obeys the settings of the folder that it installs from: an override there is the user's, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "uv" not in project.get("tool", {})
    assert not (ROOT / "uv.toml").exists()
    assert any(r.startswith("tensorflow>=") for r in project["project"]["optional-dependencies"]["keras"])


def test_the_lock_has_both_of_one_version() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    assert "overrides" not in lock.get("manifest", {})
    versions = {p["name"]: p["version"] for p in lock["package"] if p["name"].startswith("tensorflow")}
    assert versions["tensorflow"] == versions["tensorflow-cpu"]
    setup = (ROOT / "scripts/setup.sh").read_text()
    assert "--no-install-package tensorflow" in setup


def test_no_message_advises_a_package_that_is_not_published() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.go", "*.md", "*.sh", "*.html"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()  # fmt: skip
    for name in files:
        if Path(name) != Path(__file__).relative_to(ROOT):
            assert not re.search(r"pip install '?forgo\b", (ROOT / name).read_text()), name
