"""Trees that split by categories: HistGradientBoosting, XGBoost and LightGBM, from frames and from arrays of codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import forgo

pytestmark = pytest.mark.slow

_RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": np.where(np.arange(400) % 6 == 0, np.nan, _RNG.normal(40, 9, 400).round(1)),
        "city": pd.Categorical(_RNG.choice(["Bergen", "Lima", "Oslo", "Rome", "Tromsø"], 400)),
        "zip": pd.Categorical(_RNG.integers(7, 12, 400) * 100),
        "member": _RNG.random(400) > 0.5,
    }
)
CODES = np.c_[FRAME["age"], FRAME["city"].cat.codes, FRAME["zip"].cat.codes * 3]
CODES[::11, 1] = np.nan
TARGET = (FRAME["city"].isin(["Bergen", "Rome"]).to_numpy() + 0.4 * _RNG.normal(size=400) > 0.7) ^ FRAME[
    "zip"
].isin([800, 1100]).to_numpy()
SETS: dict[str, Any] = {"n_estimators": 10, "enable_categorical": True, "max_cat_to_onehot": 1}
FEW: dict[str, Any] = {"n_estimators": 10, "min_child_samples": 5, "verbose": -1}
MODELS: dict[str, Any] = {
    "HistGradientBoosting": (HistGradientBoostingClassifier(max_iter=10), {"categorical_features": [1, 2]}),
    "XGBoost": (xgb.XGBClassifier(**SETS), {"feature_types": ["q", "c", "c"]}),
    "XGBoost, one against the others": (
        xgb.XGBClassifier(**{**SETS, "max_cat_to_onehot": 99}),
        {"feature_types": ["q", "c", "c"]},
    ),
    "LightGBM": (lgb.LGBMClassifier(**FEW), None),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", ["frame", "codes"])
def test_both_engines_answer_as_the_library_on_all_rows(name: str, form: str, tmp_path: Path) -> None:
    model, more = MODELS[name]
    rows: Any = FRAME if form == "frame" else CODES
    if form == "codes" and more:
        model = type(model)(**{**model.get_params(), **more})
    kind = {"categorical_feature": [1, 2]} if form == "codes" and more is None else {}
    model.fit(rows, TARGET.astype(int), **kind)
    forgo.export(model, tmp_path / "m.forgo", examples=rows)
    for engine in ("pure", "onnx"):
        with forgo.load(tmp_path / "m.forgo", engine=engine) as loaded:
            got = loaded.predict(rows)
        np.testing.assert_allclose(got, model.predict_proba(rows), rtol=0, atol=1e-6)


def test_a_category_that_training_had_not_is_the_librarys_missing_one(tmp_path: Path) -> None:
    """A column of strings takes any; of categories, those of the examples alone."""
    known = FRAME.assign(city=FRAME["city"].astype(str))
    model = HistGradientBoostingRegressor(max_iter=10, categorical_features=["city", "zip"])
    model.fit(known, FRAME["age"].fillna(0) + 20 * TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=known)
    new = known[:50].assign(city="Paris", zip=pd.Categorical([4711] * 50))
    want = model.predict(new)
    assert np.abs(want - model.predict(known[:50])).max() > 1
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(new)[:, 0], want, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_categories_in_another_order_than_in_training(name: str, tmp_path: Path) -> None:
    """The library numbers them as in training, and so does the graph."""
    plain = FRAME["city"].cat.rename_categories({"Tromsø": "Vardo"})  # XGBoost tells only ASCII apart
    frame = FRAME.assign(city=plain)
    model = MODELS[name][0].fit(frame, TARGET.astype(int))
    other = frame.assign(city=plain.cat.set_categories(["Vardo", "Rome", "Oslo", "Lima", "Bergen"]))
    want = model.predict_proba(other)
    np.testing.assert_allclose(want, model.predict_proba(frame), rtol=0, atol=1e-6)
    forgo.export(model, tmp_path / "m.forgo", examples=other)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(other), want, rtol=0, atol=1e-6)
