"""Every model of tests/matrix*.py is proven, or refused with a reason; docs/models-matrix.md has the outcomes.

``python -m tests.test_matrix`` writes that page again.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pytest
import xgboost

import forgo
from forgo.exporting._golden import difference
from tests.conftest import ROOT
from tests.matrix import CATBOOST, LIGHTGBM, SKLEARN, XGBOOST
from tests.matrix_composed import COMPOSED
from tests.matrix_tables import TABLES

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "models-matrix.md"
HEAD = """# Tested models

`python -m tests.test_matrix` exports each of these models and writes this page; a test checks it. *Proven* means that ONNX
Runtime in Python answers every row as the library does, to within 1e-4, and up to thirteen rows that export
[makes beside them](models-sklearn.md); and that Go gives the same answers to the golden cases, which include such rows.
`forgo.load` then answers **all** rows in Go. The last column gives their number, and the largest
`|Go - library| / max(1, |library|)` over all outputs. Every label is the library's, however close two classes are; for
multi-label models, so is every set of labels above 0.5. Regressors are within 1e-5. *Proven with `precision='float64'`* means
that export refuses the model in float32 and offers float64. Export refuses the other models and leaves no bundle. *The
Titanic's passengers* are a real table: 1309 rows with strings, 263 missing ages and a missing fare.
"""
ALL = {
    "scikit-learn": {**SKLEARN, **COMPOSED, **TABLES["scikit-learn"]},
    "XGBoost": {**XGBOOST, **TABLES["XGBoost"]},
    "LightGBM": {**LIGHTGBM, **TABLES["LightGBM"]},
    "CatBoost": CATBOOST,
}


def outcome(model: Any, rows: Any, path: Path) -> tuple[str, str]:
    """What the export came to, and how far Go's answers are from the library's."""
    way: dict[str, Any] = {}
    try:
        result = forgo.export(model, path, examples=rows)
    except forgo.ForgoError as e:
        assert not path.exists()
        if "precision='float64' is proven on" not in str(e):
            return f"refused: {str(e)[:400]}", ""
        way = {"precision": "float64"}
        result = forgo.export(model, path, examples=rows, **way)
    assert result.parity["mode"] == "full"
    assert result.framework_difference is not None
    assert result.framework_difference <= 1e-4
    task = json.loads((path / "forgo.json").read_text())["task"]
    if type(model).__name__.endswith("Ranker"):
        assert task == "ranking"
    said = "proven" + "".join(f" with `{name}={value!r}`" for name, value in way.items())
    return said, f"{len(rows)}, {_in_go(model, rows, path, task):.1e}"


def _in_go(model: Any, rows: Any, path: Path, task: str) -> float:
    """The largest difference of Go's answers to all rows; labels must be the library's."""
    with forgo.load(path) as go:
        answers = go.run(rows)
    worst = 0.0
    for name, got in answers.items():
        want = _own(model, rows, name).reshape(got.shape)
        if name == "label":
            assert [_text(v) for v in got.ravel()] == [_text(v) for v in want.ravel()]
            continue
        worst = max(worst, difference(got, want.astype(np.float64)))
        if name == "probabilities":
            several = task == "multi-label"
            ours, own = (of > 0.5 if several else of.argmax(axis=1) for of in (got, want))
            assert (ours == own).all()
    assert worst <= (1e-5 if "value" in answers else 1e-4)
    return worst


def _own(model: Any, rows: Any, name: str) -> Any:
    """The library's answer for an output."""
    if name == "probabilities" and hasattr(model, "predict_proba"):
        got = model.predict_proba(rows)
        return np.stack([of[:, 1] for of in got], axis=1) if isinstance(got, list) else np.asarray(got)
    if name in ("probabilities", "value"):
        given = xgboost.DMatrix(rows) if isinstance(model, xgboost.Booster) else rows
        exponent = {"prediction_type": "Probability"} if name != "value" else {}
        got = np.asarray(model.predict(given, **(exponent if isinstance(model, catboost.CatBoost) else {})))
        return np.stack([1 - got, got], axis=1) if name == "probabilities" and got.ndim == 1 else got
    of = {"label": "predict", "scores": "decision_function", "distances": "transform", "output": "transform"}
    got = getattr(model, of[name])(rows)
    return np.asarray(got.todense() if hasattr(got, "todense") else got)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def recorded() -> dict[tuple[str, str], str]:
    found, library = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            library = line[3:]
        elif row := re.fullmatch(r"\| (.+?) \| ((?:proven|refused).*) \| .*\|", line):
            found[library, row[1]] = row[2].replace("\\|", "|")
    return found


def test_the_page_has_each_once_in_order() -> None:
    assert list(recorded()) == [(library, name) for library, of in ALL.items() for name in of]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("library", "name"), [(lib, n) for lib, of in ALL.items() for n in of])
def test_each_is_proven_or_refused_as_the_page_says(library: str, name: str, tmp_path: Path) -> None:
    got, _ = outcome(*ALL[library][name](), tmp_path / "m.forgo")
    assert "\n" not in got
    assert _words(got) == _words(recorded()[library, name])


def _words(outcome: str) -> str:
    """A refusal's words up to its first figure, which another machine may have otherwise."""
    return outcome if outcome.startswith("proven") else re.split(r"\d", outcome, maxsplit=1)[0]


def _write() -> None:
    warnings.simplefilter("ignore")
    lines = [HEAD]
    for library, of in ALL.items():
        lines += [f"\n## {library}\n", "| model | outcome | rows, difference |", "| --- | --- | --- |"]
        for name, make in of.items():
            with tempfile.TemporaryDirectory() as folder:
                said, asked = outcome(*make(), Path(folder) / "m.forgo")
            print(name, said, asked, flush=True)
            cell = said.replace("|", "\\|")
            lines.append(f"| {name} | {cell} | {asked} |")
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    _write()
