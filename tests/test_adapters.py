"""Adapters: one is a file and a line, and nothing but adapters knows a framework's name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial

import forgo
from forgo.exporting import _adapters
from tests.adapters import polynomial
from tests.conftest import ROOT
from tests.conftest import forgo as run_forgo

ROWS = np.linspace(-2, 2, 21)
FRAMEWORKS = (
    "keras",
    "tensorflow",
    "sklearn",
    "skl2onnx",
    "xgboost",
    "lightgbm",
    "catboost",
    "torch",
    "pandas",
)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_adapters, "ADAPTERS", (*_adapters.ADAPTERS, polynomial.ADAPTER))


@pytest.mark.parametrize("form", ["memory", "file"])
def test_an_adapter_is_one_file(form: str, added: None, tmp_path: Path) -> None:
    model: Any = Polynomial([0.5, -1.0, 2.0])
    if form == "file":
        model = polynomial.save(model, tmp_path)
    result = forgo.export(model, tmp_path / "curve.forgo", examples=ROWS, task="regression")
    assert result.parity["mode"] == "full"
    (tmp_path / "row.json").write_text("1.5")
    done = run_forgo("predict", "--json", tmp_path / "curve.forgo", tmp_path / "row.json")
    assert "3.5" in done.out, done.err


def test_an_engine_that_an_adapter_does_not_have(added: None, tmp_path: Path) -> None:
    with pytest.raises(forgo.ExportError, match="runs only on onnxruntime, not on the engine tensorflow"):
        forgo.export(Polynomial([1.0, 2.0]), tmp_path / "m.forgo", examples=ROWS, engine="tensorflow")


def test_what_no_adapter_takes_is_told_what_they_take(added: None, tmp_path: Path) -> None:
    with pytest.raises(
        forgo.ExportError, match=r"builtins\.int cannot be exported: give .*polynomial of NumPy, or"
    ):
        forgo.export(3, tmp_path / "m.forgo", examples=ROWS)
    (tmp_path / "m.txt").touch()
    with pytest.raises(forgo.ExportError, match=r"must be .*\.keras.* or a \.polynomial file"):
        forgo.export(tmp_path / "m.txt", tmp_path / "m.forgo", examples=ROWS)


def test_architecture_shows_the_whole_example() -> None:
    source = (ROOT / "tests" / "adapters" / "polynomial.py").read_text()
    body = source[source.index("class Evaluated") :]
    assert body.strip() in (ROOT / "ARCHITECTURE.md").read_text()


def test_importing_forgo_and_listing_adapters_imports_no_framework() -> None:
    code = (
        "import sys, forgo; from forgo.exporting import _adapters; forgo.export; "
        f"print([m for m in {FRAMEWORKS} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_else_of_the_export_tells_frameworks_apart() -> None:
    """TensorFlow is the exception: it is an engine, too, and its SavedModels hold what TensorFlow traced."""
    shared = (
        "__init__",
        "_adapter",
        "_pipeline",
        "_arguments",
        "_request",
        "_inputs",
        "_parity",
        "_manifest",
        "_process",
        "_golden",
        "_examples",
        "_rows",
        "_tasks",
        "_graph",
    )
    for name in shared:
        source = (ROOT / "src/forgo/exporting" / f"{name}.py").read_text()
        code = re.sub(r'""".*?"""|#[^\n]*', "", source, flags=re.DOTALL)
        found = re.findall(rf"\b(?:{'|'.join(f for f in FRAMEWORKS if f != 'tensorflow')})\b", code)
        assert not found, (name, found)
