"""What adapters of tables refuse: one line that says what to do, and no bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression

import forgo

pytestmark = pytest.mark.slow

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
TARGET = (FRAME["a"] > 0).astype(int)
MODELS: dict[str, Any] = {
    "scikit-learn": LogisticRegression,
    "XGBoost": lambda: xgboost.XGBClassifier(n_estimators=3),
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=3, verbose=-1),
    "CatBoost": lambda: catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False),
}
BAD: dict[str, tuple[bool, Any, str]] = {
    "not fitted": (False, FRAME, "not fitted: call fit"),
    "no examples": (True, None, "give examples"),
    "no rows": (True, FRAME[:0], "there are no rows"),
    "a column missing": (True, FRAME[["a", "b"]], "fitted on"),
    "another column": (True, FRAME.rename(columns={"c": "d"}), "'c' is missing"),
    "columns in another order": (True, FRAME[["b", "a", "c"]], "the order differs"),
    "a matrix too narrow": (True, FRAME.to_numpy()[:, :2], "fitted on 3 columns, the examples have 2"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("library", MODELS)
def test_it_is_refused_in_one_line(library: str, bad: str, tmp_path: Path) -> None:
    fitted, examples, says = BAD[bad]
    model = MODELS[library]()
    if fitted:
        model.fit(FRAME, TARGET)
    with pytest.raises(forgo.ExportError) as refused:
        forgo.export(model, tmp_path / "m.forgo", examples=examples)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
