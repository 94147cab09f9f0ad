"""Scalers before models that compare: a last digit that differs would send a row to the other side of a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import forgo

pytestmark = pytest.mark.slow

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    RobustScaler(),
    RobustScaler(with_centering=False, unit_variance=True),
    MinMaxScaler((-1, 2)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
]


def fitted(scaler: Any, model: Any, kind: str) -> tuple[Any, Any]:
    rows = np.random.default_rng(1).normal(size=(120, 3)).astype(kind)
    return make_pipeline(scaler, model).fit(rows, (rows[:, 0] + rows[:, 1] > 0).astype(int)), rows


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_float32_is_scaled_as_fitted(scaler: Any, tmp_path: Path) -> None:
    model, rows = fitted(scaler, xgb.XGBClassifier(n_estimators=5), "float32")
    forgo.export(model, tmp_path / "m.forgo", examples=rows)
    with forgo.load(tmp_path / "m.forgo") as go:
        assert np.abs(go.predict(rows) - model.predict_proba(rows)).max() < 1e-6


@pytest.mark.filterwarnings("error")
def test_a_scaler_that_was_fitted_on_a_frame(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(120, 2)).astype("float32")
    frame = pd.DataFrame(rows, columns=["age", "income"])
    scaler = StandardScaler().set_output(transform="pandas")
    model = make_pipeline(scaler, xgb.XGBRegressor(n_estimators=5)).fit(frame, frame["age"])
    forgo.export(model, tmp_path / "m.forgo", examples=frame)


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler()], ids=repr
)
@pytest.mark.parametrize(
    "booster",
    [
        xgb.XGBClassifier(n_estimators=5),
        lgb.LGBMClassifier(n_estimators=5, verbose=-1),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda m: type(m).__name__,
)
def test_float64_is_proven_with_its_precision(scaler: Any, booster: Any, tmp_path: Path) -> None:
    model, rows = fitted(scaler, booster, "float64")
    forgo.export(model, tmp_path / "m.forgo", examples=rows, precision="float64")
    with forgo.load(tmp_path / "m.forgo") as go:
        assert np.abs(go.predict(rows) - model.predict_proba(rows)).max() < 1e-6
