"""Frames as they come from users: columns of every type become inputs that take the same frame again, or are refused in a line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
import scipy.sparse  # type: ignore[import-untyped]
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import forgo

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
ROWS = 120
NUMBERS = pd.DataFrame(RNG.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
TARGET = NUMBERS["a"] > 0


def tree() -> Any:
    return DecisionTreeClassifier(max_depth=3, random_state=0)


def nullable() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "a": pd.array(NUMBERS["a"], dtype="Float64"),
            "count": pd.array(RNG.integers(0, 9, ROWS), dtype="Int64"),
            "member": pd.array(NUMBERS["b"] > 0, dtype="boolean"),
        }
    )
    for row, name in enumerate(frame):
        frame.loc[row, name] = pd.NA
    return frame


def narrow(dtype: str) -> pd.DataFrame:
    """All numbers of a small type, so that the rows beside them do not fit it."""
    info = np.iinfo(dtype)
    frame = pd.DataFrame(
        RNG.integers(info.min, info.max + 1, (ROWS, 3)).astype(dtype), columns=["a", "b", "c"]
    )
    frame.loc[0], frame.loc[1] = info.max, info.min
    return frame


def booleans() -> polars.DataFrame:
    member = [None if i % 5 == 0 else bool(v) for i, v in enumerate(NUMBERS["b"] > 0)]
    return polars.DataFrame({"a": NUMBERS["a"].to_numpy(), "member": member})


def encoded() -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        make_column_transformer((encoder, ["plan"]), remainder="passthrough"), LogisticRegression()
    )


FRAMES: dict[str, tuple[Callable[[], Any], Any]] = {
    "pandas's nullable types": (lambda: HistGradientBoostingClassifier(max_iter=5), nullable()),
    "pandas's nullable types, XGBoost": (lambda: xgboost.XGBClassifier(n_estimators=5), nullable()),
    "uint8": (tree, narrow("uint8")),
    "int8": (LinearRegression, narrow("int8")),
    "float16": (tree, NUMBERS.astype(np.float16)),
    "integers beyond int64": (
        tree,
        pd.DataFrame({"a": np.uint64(2**63) + (RNG.integers(0, 50, ROWS).astype(np.uint64) << np.uint64(50))}),
    ),
    "categories of integers": (
        encoded, NUMBERS.assign(plan=pd.Categorical(RNG.choice([3, 7], ROWS), categories=[3, 7, 11])),
    ),
    "sparse columns": (tree, pd.DataFrame.sparse.from_spmatrix(scipy.sparse.random(ROWS, 4, 0.3, random_state=0))),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_bundle_takes_the_frame_of_its_export(name: str, tmp_path: Path) -> None:
    make, frame = FRAMES[name]
    first = frame.iloc[:, 0].astype(float).fillna(0)
    fitted = frame.rename(columns=str)
    model = make().fit(fitted, first > first.median())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forgo.export(model, tmp_path / "m.forgo", examples=fitted)
    with forgo.load(tmp_path / "m.forgo") as served:
        answers = served.predict(fitted)
    expected = model.predict_proba(fitted) if hasattr(model, "predict_proba") else model.predict(fitted)
    np.testing.assert_allclose(answers, expected.reshape(ROWS, -1), atol=1e-5)


def test_booleans_of_polars_with_missing_cells(tmp_path: Path) -> None:
    frame = booleans()
    rows = pd.DataFrame(
        {n: pd.array(frame[n].to_list(), dtype=t) for n, t in (("a", "float"), ("member", "boolean"))}
    )
    model = HistGradientBoostingClassifier(max_iter=5).fit(rows, TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    with forgo.load(tmp_path / "m.forgo") as served:
        np.testing.assert_allclose(served.predict(frame), model.predict_proba(rows), atol=1e-6)


FITTED = HistGradientBoostingClassifier(max_iter=5).fit(NUMBERS, TARGET)
SOME = make_pipeline(make_column_transformer(("passthrough", ["a"])), LogisticRegression())
REFUSED: dict[str, tuple[Any, str]] = {
    "dates": (NUMBERS.assign(when=pd.date_range("2020", periods=ROWS)), "Timestamp('2020-01-01 00:00:00') in row 0; "),
    "durations": (NUMBERS.assign(when=pd.Timedelta("1h")), "Timedelta('0 days 01:00:00') in row 0; "),
    "dates of Polars": (polars.DataFrame({"a": [1.0], "when": [date(2020, 1, 1)]}), "column 'when' is object, datetime.date(2020, 1, 1) in row 0; "),
    "a number among strings": (NUMBERS.assign(when=["x", None, Decimal("1.5")] + ["y"] * 117), "column 'when' is object, Decimal('1.5') in row 2; "),
    "a column twice": (NUMBERS.set_axis(["a", "b\n", "b\n"], axis=1), "two columns are called 'b\\n'"),
    "a sparse matrix": (scipy.sparse.random(9, 3, 0.3, format="csr"), "not a csr_matrix: give its .toarray()"),
    "a DMatrix": (xgboost.DMatrix(NUMBERS), "not a DMatrix: give the rows that it was made from"),
    "infinity": (NUMBERS.assign(a=np.where(NUMBERS.index == 7, np.inf, 0.0)), "'a' has values that are not finite, the first, inf, in row 7: leave such rows out"),
    "beyond float32": (NUMBERS.assign(b=np.where(NUMBERS.index == 7, 1e39, NUMBERS["b"])), f"column 'b', row 7: 1e+39 does not fit float32; precision='float64' is proven on all {ROWS} rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_row_and_column(name: str, tmp_path: Path) -> None:
    examples, says = REFUSED[name]
    model = FITTED if "when" not in getattr(examples, "columns", ()) else SOME.fit(NUMBERS, TARGET)
    if isinstance(examples, polars.DataFrame):
        model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    with pytest.raises(forgo.ExportError) as refused:
        forgo.export(model, tmp_path / "m.forgo", examples=examples)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_float32_that_no_precision_holds(tmp_path: Path) -> None:
    rows = NUMBERS.to_numpy().copy()
    rows[4, 1] = 1e39
    model = xgboost.XGBClassifier(n_estimators=3).fit(NUMBERS.to_numpy(), TARGET)
    with pytest.raises(
        forgo.ExportError, match=r"column 1, row 4: 1e.39 does not fit float32; scale the column"
    ):
        forgo.export(model, tmp_path / "m.forgo", examples=rows)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[forgo.Model]:
    path = tmp_path_factory.mktemp("served") / "m.forgo"
    frame = ASKED[["a", "plan", "count"]]
    encoder = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    forgo.export(make_pipeline(encoder, LogisticRegression()).fit(frame, TARGET), path, examples=frame)
    with forgo.load(path) as model:
        yield model


ASKED = NUMBERS.assign(plan=["x", "y"] * (ROWS // 2), count=range(ROWS))[["a", "plan", "count"]]
ODD: dict[str, tuple[Any, str]] = {
    "a category": (ASKED.assign(plan=ASKED["plan"].where(ASKED.index != 7, "q")), 'row 7, column "plan": unknown category "q": send one of x, y'),
    "a missing number": (ASKED.assign(a=ASKED["a"].where(ASKED.index != 7)), 'row 7, column "a": the number is missing'),
    "an object": (ASKED.astype({"a": object}).assign(a=lambda f: f["a"].where(f.index != 7, "oops")), "a: must be FP32, not 'oops' (row 7)"),
    "a fraction": (ASKED.assign(count=ASKED["count"].where(ASKED.index != 7, 0.5)), "count: INT64 does not hold 0.5 (row 7)"),
    "a missing integer": (ASKED.assign(count=ASKED["count"].astype("Int64").where(ASKED.index != 7)), "count: INT64 does not hold nan (row 7)"),
    "a missing string": (ASKED.assign(plan=ASKED["plan"].astype("string").where(ASKED.index != 7)), "plan: must be strings, not <NA> (row 7)"),
    "a column twice": (ASKED.set_axis(["a", "a", "count"], axis=1), "two columns of the frame are called 'a'"),
    "another column": (ASKED.assign(more=1), "no input 'more'; the model takes a, plan, count"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_predict_refuses_names_row_and_column(name: str, served: forgo.Model) -> None:
    frame, says = ODD[name]
    for ask in (served.predict, served.classify):
        with pytest.raises(forgo.ForgoError) as refused:
            ask(frame)
        assert str(refused.value).startswith(says)
        assert "\n" not in str(refused.value)


def test_rows_of_several_requests_are_counted_from_the_first(served: forgo.Model) -> None:
    frame = pd.DataFrame({"a": 0.0, "plan": "x", "count": np.arange(400_000)})
    frame.loc[399_999, "plan"] = "q"
    for ask in (served.predict, served.classify):
        with pytest.raises(forgo.RequestError, match="unknown category") as refused:
            ask(frame)
        row, start = map(int, re.findall(r"row (\d+)", str(refused.value)))
        assert start > 0
        assert row + start == 399_999
