"""scikit-learn: Python and Go answer alike on all rows, and what cannot be proven is refused with a reason."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import Birch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import forgo
from forgo import _binary
from tests.clients.servers import running

pytestmark = pytest.mark.slow

IRIS = load_iris()


def answers(bundle: Path, rows: list[Any], folder: Path) -> list[dict[str, Any]]:
    """What Go answers to rows, raw, as clients send them."""
    for i, row in enumerate(rows):
        (folder / f"{i:04d}.json").write_text(json.dumps(row))
    return _binary.predict(bundle, sorted(folder.glob("*.json")), every=True)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_go_answers_as_python_on_all_rows(load: Any, tmp_path: Path) -> None:
    data = load(as_frame=True)
    names = [str(data.target_names[t]) for t in data.target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(data.data, names)
    forgo.export(model, tmp_path / "m.forgo", examples=data.data)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["labels"] == list(model.classes_)
    assert manifest["outputs"][0]["name"] == "probabilities"
    inputs = [i["name"] for i in manifest["inputs"]]
    rows = [dict(zip(inputs, row, strict=True)) for row in data.data.to_numpy().tolist()]
    folder = tmp_path / "rows"
    folder.mkdir()
    got = answers(tmp_path / "m.forgo", rows, folder)
    assert [a["classes"][0]["label"] for a in got] == list(model.predict(data.data))
    scores = [[{c["label"]: c["score"] for c in a["classes"]}[n] for n in model.classes_] for a in got]
    assert np.abs(np.array(scores) - model.predict_proba(data.data)).max() < 1e-5


def test_regression_is_within_1e_5_on_all_rows(tmp_path: Path) -> None:
    data = load_diabetes()
    model = Ridge().fit(data.data, data.target)
    result = forgo.export(model, tmp_path / "m.forgo", examples=data.data)
    assert result.framework_difference is not None
    assert result.framework_difference < 1e-5
    assert json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["task"] == "regression"


def near(count: int = 2000) -> tuple[Any, Any]:
    """Numbers that differ where float32 does not tell them apart, and a target that hangs on that."""
    rng = np.random.default_rng(0)
    rows = np.round(rng.normal(size=(count, 3)), 3) + 1e-9 * rng.normal(size=(count, 3))
    return rows, (np.sin(rows[:, 0] * 1e9) > 0).astype(int)


def test_a_float64_threshold_is_refused_with_its_rows_and_passes_by_the_way_that_is_offered(
    tmp_path: Path,
) -> None:
    rows, target = near()
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(rows, target)
    with pytest.raises(forgo.ParityError) as caught:
        forgo.export(model, tmp_path / "m.forgo", examples=rows)
    said = str(caught.value)
    assert "of 2000 rows differ by up to" in said
    assert "float32 rounds numbers together" in said
    assert "precision='float64' is proven on all 2000 rows" in said
    assert list(tmp_path.iterdir()) == []
    forgo.export(model, tmp_path / "m.forgo", examples=rows, precision="float64")
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["inputs"][0]["dtype"] == "float64"


def test_thresholds_between_neighbours_of_float32_decide_as_fitted(tmp_path: Path) -> None:
    """A threshold rounded to the nearest float32 may be a value of the rows, which then goes the other way."""
    steps = np.float32(1) + np.arange(400, dtype=np.float32) * np.finfo(np.float32).eps
    rows = np.stack([np.repeat(steps, 5), np.tile(steps[:20], 100)], axis=1)
    target = np.random.default_rng(0).integers(0, 2, 400).repeat(5)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(rows.astype(np.float64), target)
    forgo.export(model, tmp_path / "m.forgo", examples=rows.astype(np.float64))
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["inputs"][0]["dtype"] == "float32"


def mixed() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age (years)": rng.integers(18, 80, 300),
            "income": rng.normal(3e4, 1e4, 300).round(2),
            "city": rng.choice(["Oslo", "Rome", "Lima"], 300),
            "member": rng.random(300) > 0.5,
            "plan": pd.Categorical(rng.choice(["a", "b"], 300)),
        }
    )
    frame.loc[5, "income"] = np.nan
    return frame


def pipeline(frame: pd.DataFrame) -> Any:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age (years)", "income"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]),
        ("passthrough", ["member"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame, frame["age (years)"] > 40)


def test_a_pipeline_of_numbers_strings_categories_and_missing_values(tmp_path: Path) -> None:
    frame = mixed()
    model = pipeline(frame)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert [(i["name"], i["dtype"]) for i in manifest["inputs"]] == [
        ("age (years)", "int64"), ("income", "float32"), ("city", "string"), ("member", "bool"), ("plan", "string"),
    ]  # fmt: skip
    inputs = [i["name"] for i in manifest["inputs"]]
    rows = [dict(zip(inputs, row, strict=True)) for row in frame.astype(object).to_numpy().tolist()]
    rows[5]["income"] = None
    folder = tmp_path / "rows"
    folder.mkdir()
    got = answers(tmp_path / "m.forgo", rows[:60], folder)
    assert [a["classes"][0]["label"] for a in got] == [str(p) for p in model.predict(frame)[:60]]
    with forgo.load(tmp_path / "m.forgo") as loaded:  # by the frame's own names, in any order
        shuffled = frame[["city", "plan", "income", "member", "age (years)"]]
        np.testing.assert_allclose(loaded.predict(shuffled), model.predict_proba(frame), atol=1e-5)
        polars = pl.DataFrame({c: shuffled[c].tolist() for c in shuffled})
        assert loaded.predict(polars).tobytes() == loaded.predict(frame).tobytes()
        with pytest.raises(forgo.ForgoError, match="no input 'town'"):
            loaded.predict(frame.assign(town="Bonn"))


def test_columns_have_names_and_types_and_refuse_what_they_never_had(tmp_path: Path) -> None:
    """An unknown category, or a missing number, is a 400 that names row and column; the graph is not asked."""
    frame = mixed()
    columns = make_column_transformer(
        (StandardScaler(), ["age (years)"]), (OneHotEncoder(), ["city", "plan"]), remainder="drop"
    )
    model = make_pipeline(columns, LogisticRegression()).fit(frame, frame["member"])
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    told = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["columns"]
    assert [(c["name"], c["type"], c["missing"]) for c in told] == [
        ("age (years)", "integer", False), ("income", "number", True), ("city", "category", False),
        ("member", "bool", False), ("plan", "category", False),
    ]  # fmt: skip
    assert told[2]["values"] == ["Lima", "Oslo", "Rome"]
    good = {"age (years)": 30, "income": None, "city": "Oslo", "member": True, "plan": "a"}
    table = "plan,city,member,income,age (years)\na,Oslo,true,null,30\nb,Paris,true,null,30\n"
    with running(tmp_path / "m.forgo") as ports:

        def ask(body: str, kind: str) -> tuple[int, str]:
            request = urllib.request.Request(
                f"http://{ports['http']}/models/m", body.encode(), {"Content-Type": kind}
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as e:
                return e.code, e.read().decode()

        assert ask(json.dumps(good), "application/json")[0] == 200
        code, said = ask(json.dumps([good, {**good, "city": "Paris"}]), "application/json")
        assert code == 400
        assert 'row 1, column \\"city\\"' in said, said
        assert "Lima, Oslo, Rome" in said
        code, said = ask(table, "text/csv")
        assert code == 400
        assert 'row 1, column \\"city\\"' in said, said


def test_text_of_many_languages_is_lowercased_and_split_as_in_python(tmp_path: Path) -> None:
    """sklearn-onnx takes words for English, and ONNX Runtime a locale that many systems lack."""
    words = ["GRÜSSE", "naïve", "Ωmega", "Привет", "東京", "x", "l'été", "snake_case", "42", "e\u0301a"]
    texts = np.array([f"{a} {b}, {c}" for a in words for b in words for c in ("Yes", "no")], dtype=object)
    target = [i * 7919 % 3 for i in range(len(texts))]
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()).fit(texts, target)
    result = forgo.export(model, tmp_path / "m.forgo", examples=texts)
    assert any("İ" in note for note in result.notes)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        new = np.array([t.swapcase() for t in texts], dtype=object)
        np.testing.assert_allclose(loaded.predict(new), model.predict_proba(new), rtol=0, atol=1e-5)


def test_greek_words_in_capitals_are_refused(tmp_path: Path) -> None:
    texts = np.array(["ΟΔΟΣ", "άλλος δρόμος"] * 10, dtype=object)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1] * 10)
    with pytest.raises(forgo.ExportError, match=r"its vocabulary has the word .*lowercase=False"):
        forgo.export(model, tmp_path / "m.forgo", examples=texts[1::2])
    assert list(tmp_path.iterdir()) == []


class Doubled(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of the user's, which sklearn-onnx does not know."""

    def fit(self, rows: Any, target: Any = None) -> Doubled:
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return np.asarray(rows) * 2


FITTED = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
OTHER = mixed().assign(city=lambda f: f["city"].where(f.index != 3, None))


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (LogisticRegression(), {"examples": IRIS.data}, "is not fitted: call fit before"),
        (FITTED, {}, "cannot be proven without examples, whose columns become the inputs: give examples$"),
        (FITTED, {"examples": IRIS.data[:0]}, "examples: there are no rows"),
        (FITTED, {"examples": pd.DataFrame(IRIS.data[:0])}, "examples: there are no rows"),
        (FITTED, {"no_goldens": True}, "needs examples, whose columns become its inputs"),
        (FITTED, {"examples": IRIS.data[:, :3]}, "was fitted on 4 columns, the examples have 3"),
        (pipeline(mixed()), {"examples": mixed()[["income", "age (years)", "city", "member", "plan"]]}, "the order differs"),
        (pipeline(mixed()), {"examples": mixed().drop(columns="city")}, "'city' is missing"),
        (pipeline(mixed()), {"examples": OTHER}, "column 'city', text, has missing cells .row 3."),
        (make_pipeline(Doubled(), FITTED).fit(IRIS.data, IRIS.target), {"examples": IRIS.data}, "has no converter for .*Doubled"),
        (Birch().fit(IRIS.data), {"examples": IRIS.data}, "has no converter for .*Birch"),
        (make_pipeline(FunctionTransformer(np.sqrt), FITTED).fit(IRIS.data, IRIS.target), {"examples": IRIS.data}, "no converter for a FunctionTransformer with a function: do its work before"),
        (make_pipeline(StandardScaler(), LogisticRegression()), {"examples": IRIS.data}, "is not fitted: call fit before"),
        (RandomForestClassifier(3).fit(IRIS.data, np.c_[IRIS.target, IRIS.target]), {"examples": IRIS.data}, "several outputs"),
        (FITTED, {"examples": np.where(np.arange(150)[:, None] == 3, np.nan, IRIS.data)}, "the model fails on these rows: Input X contains NaN"),
        (pipeline(mixed()).fit(mixed(), mixed()["member"]), {"examples": mixed().assign(income="much")}, "the model fails on these rows"),
        (LocalOutlierFactor(novelty=True).fit(IRIS.data), {"examples": IRIS.data}, "breaks ties between equally distant neighbours"),
        (GaussianProcessClassifier().fit(IRIS.data, IRIS.target == 0), {"examples": IRIS.data}, "the operator Solve, which ONNX Runtime does not have"),
        (FITTED, {"examples": IRIS.data, "precision": "float16"}, "precision must be float32 or float64"),
        (FITTED, {"examples": IRIS.data, "engine": "tensorflow"}, "runs only on onnxruntime"),
    ],
)  # fmt: skip
def test_what_is_refused(model: Any, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(forgo.ForgoError, match=says) as caught:
        forgo.export(model, tmp_path / "m.forgo", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
