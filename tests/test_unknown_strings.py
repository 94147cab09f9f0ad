"""What an encoder inside a model of scikit-learn refuses, Go refuses too, through whatever steps the encoder is reached."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

import forgo

pytestmark = pytest.mark.slow

_RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": _RNG.normal(size=90).round(2),
        "plan": _RNG.choice(["", "basic", "plus"], 90, p=[0.2, 0.5, 0.3]),
        "city": _RNG.choice(["Oslo", "Rome", "Lima"], 90),
    }
)
STRINGS = FRAME[["plan", "city"]]
TARGET = (FRAME["age"] + (FRAME["city"] == "Oslo") > 0.4).astype(int)
PLANS, CITIES = ["", "basic", "plus"], ["Lima", "Oslo", "Rome"]


def fill() -> Any:
    return SimpleImputer(missing_values="", strategy="most_frequent")


def within(*steps: Any) -> Any:
    """A classifier of all columns whose strings go through some steps."""
    chosen = make_column_transformer((make_pipeline(*steps), ["city", "plan"]), remainder="passthrough")
    return make_pipeline(chosen, LogisticRegression())


MODELS: dict[str, tuple[Any, pd.DataFrame]] = {
    "filled, one-hot": (within(fill(), OneHotEncoder()), FRAME),
    "filled, ordinal": (within(fill(), OrdinalEncoder()), FRAME),
    "filled twice": (within(fill(), SimpleImputer(missing_values="none", strategy="constant", fill_value="plus"), OrdinalEncoder()), FRAME),
    "filled where none is missing": (within(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), FRAME),
    "filled with a constant": (within(SimpleImputer(strategy="constant", fill_value="basic"), OrdinalEncoder()), FRAME),
    "kept as they are": (within(FunctionTransformer(), OrdinalEncoder()), FRAME),
    "two encoders": (within(make_union(OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder())), FRAME),
    "chosen again": (
        make_pipeline(
            make_column_transformer((FunctionTransformer(), ["city"]), (fill(), ["plan"])),
            OrdinalEncoder(),
            LogisticRegression(),
        ),
        STRINGS,
    ),
    "searched": (GridSearchCV(make_pipeline(OrdinalEncoder(), LogisticRegression()), {"logisticregression__C": [1, 9]}), STRINGS),
    "voting": (VotingClassifier([("one", make_pipeline(fill(), OrdinalEncoder(), LogisticRegression()))], voting="soft"), STRINGS),
}  # fmt: skip
TAKEN = {"filled, one-hot": 7, "filled, ordinal": 7, "filled twice": 8, "voting": 7}
"""How many strings the model takes in both columns, if it takes an empty one for a city."""


@pytest.mark.parametrize("name", MODELS)
def test_go_refuses_what_the_encoder_refuses(name: str, tmp_path: Path) -> None:
    model, frame = MODELS[name]
    model.fit(frame, TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    told = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["columns"]
    assert [c["name"] for c in told if c["type"] == "category"] == list(STRINGS)
    taken = 0
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(frame), model.predict_proba(frame), atol=1e-5)
        for column in STRINGS:
            for value in (*PLANS, *CITIES, "none", "nan", "(unseen)"):
                row = frame[:1].assign(**{column: value})
                try:
                    want = model.predict_proba(row)
                except ValueError:
                    says = re.escape(f'row 0, column "{column}": unknown category "{value}"')
                    with pytest.raises(forgo.ForgoError, match=says):
                        loaded.predict(row)
                else:
                    np.testing.assert_allclose(loaded.predict(row), want, atol=1e-5)
                    taken += 1
    assert taken == TAKEN.get(name, 6)


def test_categories_of_pandas_that_training_had_not(tmp_path: Path) -> None:
    frame = STRINGS.assign(city=pd.Categorical(FRAME["city"], [*CITIES, "Paris"]))
    model = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(frame, TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    told = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["columns"]
    assert told[1]["values"] == CITIES


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_strings_without_columns_are_refused_with_what_works(tmp_path: Path) -> None:
    model = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(STRINGS.to_numpy(dtype=object), TARGET)
    with pytest.raises(forgo.ExportError) as refused:
        forgo.export(model, tmp_path / "m.forgo", examples=STRINGS.to_numpy(dtype=object))
    assert str(refused.value) == (
        "column 0: scikit-learn refuses strings that it does not know, the converted graph answers them (Found unknown categories "
        "['(unseen)'] in column 0 during transform): have its encoder take them (handle_unknown), or give a DataFrame"
    )
    assert list(tmp_path.iterdir()) == []
    forgo.export(model, tmp_path / "m.forgo", examples=STRINGS)


def test_numbers_that_an_encoder_refuses_are_noted(tmp_path: Path) -> None:
    rows = _RNG.integers(0, 4, (90, 2)).astype(float)
    model = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(rows, TARGET)
    result = forgo.export(model, tmp_path / "m.forgo", examples=rows)
    assert [str(n) for n in result.notes if "refuses numbers" in str(n)] == [
        f"column {i}: scikit-learn refuses numbers that it does not know, the bundle answers them "
        f"(Found unknown categories [np.float64(4.0)] in column {i} during transform)"
        for i in range(2)
    ]
