"""Models of a real table with strings and missing numbers: the Titanic's passengers, as scikit-learn's tests have them."""

from __future__ import annotations

import gzip
import io
from importlib.resources import files
from typing import Any

import lightgbm as lgb
import pandas as pd
import xgboost as xgb
from sklearn import compose, ensemble, impute, linear_model, pipeline, preprocessing

from tests.matrix import Fitted

_NUMBERS = ["pclass", "age", "sibsp", "parch", "fare"]
_STRINGS = ["sex", "embarked"]


def passengers() -> tuple[pd.DataFrame, pd.Series[int]]:
    """All 1309 (OpenML 40945): ages and a fare are missing; two ports of embarkation, too, which get a name."""
    folder = files("sklearn.datasets.tests.data.openml.id_40945")
    text = gzip.decompress((folder / "data-v1-dl-16826755.arff.gz").read_bytes()).decode()
    head, _, body = text.partition("@data\n")
    names = [line.split("'")[1] for line in head.splitlines() if line.startswith("@attribute")]
    rows = [line for line in body.splitlines() if line and not line.startswith("%")]
    table = pd.read_csv(io.StringIO("\n".join(rows)), names=names, na_values="?", escapechar="\\")
    assert len(table) == 1309
    assert table["survived"].sum() == 500
    assert table["age"].isna().sum() == 263
    return table[_NUMBERS + _STRINGS].fillna({"embarked": "unknown"}), table["survived"]


def _fitted(model: Any, *, categories: bool = False) -> Fitted:
    def make() -> tuple[Any, Any]:
        rows, target = passengers()
        if categories:
            rows = rows.astype(dict.fromkeys(_STRINGS, "category"))
        return model.fit(rows, target), rows

    return make


def _columns(model: Any) -> Any:
    numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    chosen = compose.make_column_transformer(
        (numbers, _NUMBERS), (preprocessing.OneHotEncoder(handle_unknown="ignore"), _STRINGS)
    )
    return pipeline.make_pipeline(chosen, model)


_FEW: dict[str, Any] = {"n_estimators": 30, "random_state": 0}

TABLES: dict[str, dict[str, Fitted]] = {
    "scikit-learn": {
        "the Titanic's passengers, LogisticRegression": _fitted(_columns(linear_model.LogisticRegression())),
        "the Titanic's passengers, HistGradientBoostingClassifier": _fitted(
            ensemble.HistGradientBoostingClassifier(max_iter=30), categories=True
        ),
    },
    "XGBoost": {
        "the Titanic's passengers, XGBClassifier": _fitted(
            xgb.XGBClassifier(enable_categorical=True, **_FEW), categories=True
        ),
    },
    "LightGBM": {
        "the Titanic's passengers, LGBMClassifier": _fitted(
            lgb.LGBMClassifier(verbose=-1, **_FEW), categories=True
        ),
    },
}
