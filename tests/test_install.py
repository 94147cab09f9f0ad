"""What pip and uv install of the clone: TensorFlow with the extra keras, whoever asks."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

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


FRAMEWORKS = {
    "catboost", "keras", "lightgbm", "scikit-learn", "tensorflow", "tensorflow-cpu", "tf-keras", "torch", "xgboost", "xgboost-cpu"
}  # fmt: skip


@pytest.mark.parametrize(
    ("extras", "brings"),
    [
        ([], set()),
        (["sklearn"], {"scikit-learn"}),
        (["xgboost"], {"xgboost"}),
        (["lightgbm"], {"lightgbm"}),
        (["catboost"], {"catboost"}),
        (["mlflow"], set()),
        (["torch"], {"torch"}),
        (["keras"], {"keras", "tensorflow"}),
    ],
)
def test_an_extra_brings_its_own_framework_alone(extras: list[str], brings: set[str]) -> None:
    """``pip install '.[sklearn]'`` installs neither TensorFlow nor PyTorch, and so on."""
    named = [argument for extra in extras for argument in ("--extra", extra)]
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    options = ["--frozen", "--offline", "--no-dev", "--no-hashes", "--no-annotate", "--no-emit-project"]
    done = subprocess.run(
        [uv, "export", "--quiet", *options, *named], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    packages = {line.partition("==")[0].lower() for line in done.stdout.splitlines() if "==" in line}
    assert {"numpy", "onnxruntime"} <= packages
    assert packages & FRAMEWORKS == brings


def test_no_message_advises_a_package_that_is_not_published() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.go", "*.md", "*.sh", "*.html"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()  # fmt: skip
    for name in files:
        if Path(name) != Path(__file__).relative_to(ROOT):
            assert not re.search(r"pip install '?forgo\b", (ROOT / name).read_text()), name
