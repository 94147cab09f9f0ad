"""Models of scikit-learn, XGBoost and LightGBM as one static program each, in a root with nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

import forgo
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROOT is None or os.getuid() != 0:
        pytest.skip("chroot is root's")
    binary = tmp_path_factory.mktemp("static") / "forgo"
    env = {**os.environ, "CGO_ENABLED": "0", "FORGO_GO_TAGS": "static"}
    build = [str(ROOT / "scripts" / "go.sh"), "build", "-o", str(binary), "./cmd/forgo"]
    subprocess.run(build, cwd=ROOT, env=env, check=True)
    return binary


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(n_estimators=20, max_depth=6, random_state=0),
        xgb.XGBClassifier(n_estimators=20),
        lgb.LGBMClassifier(n_estimators=20, verbose=-1),
    ],
    ids=["sklearn", "xgboost", "lightgbm"],
)
def test_a_model_is_one_file(static: Path, model: Any, tmp_path: Path) -> None:
    rows, target = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32).astype(np.float64)
    forgo.export(model.fit(rows, target), tmp_path / "model.forgo", examples=rows)
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run([static, "pack", tmp_path / "model.forgo", "-o", root / "app"], check=True)
    (root / "row.json").write_text(json.dumps(rows[0].tolist()))

    def app(*args: str) -> str:
        done = subprocess.run(
            [str(CHROOT), root, "/app", *args], env={}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert {file.name for file in root.iterdir()} == {"app", "row.json"}
    assert "parity proven" in app("verify")
    answer = json.loads(app("predict", "--json", "/row.json").splitlines()[0])
    best = answer["classes"][0]
    probabilities = model.predict_proba(rows[:1])[0]
    assert best["label"] == str(model.classes_[probabilities.argmax()])
    assert best["score"] == pytest.approx(probabilities.max(), abs=1e-5)
