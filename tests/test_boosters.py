"""XGBoost, LightGBM and CatBoost: Python and Go answer alike on all rows, from estimators, boosters and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import catboost as cb
import lightgbm as lgb
import numpy as np
import pytest
import requests
import xgboost as xgb
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

import forgo
from forgo import _binary
from tests.clients.servers import running
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS, TARGET = load_breast_cancer(return_X_y=True)
HOLES = ROWS.copy()
HOLES[::7, 1] = np.nan
WINE = load_wine(as_frame=True)
XGB = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(ROWS, TARGET), 10)
CB: dict[str, Any] = {"iterations": 20, "verbose": 0, "allow_writing_files": False}
LGB = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(ROWS, TARGET), 10)


@pytest.mark.parametrize(
    "model",
    [
        xgb.XGBClassifier(n_estimators=20),
        lgb.LGBMClassifier(n_estimators=20, verbose=-1),
        cb.CatBoostClassifier(**CB),
    ],
    ids=["xgboost", "lightgbm", "catboost"],
)
def test_go_answers_as_python_on_all_rows_missing_values_too(model: Any, tmp_path: Path) -> None:
    model.fit(
        HOLES, TARGET if isinstance(model, xgb.XGBClassifier) else np.array(["malignant", "benign"])[TARGET]
    )
    forgo.export(model, tmp_path / "m.forgo", examples=HOLES)
    folder = tmp_path / "rows"
    folder.mkdir()
    for i, row in enumerate(HOLES.tolist()):
        (folder / f"{i:04d}.json").write_text(json.dumps([None if v != v else v for v in row]))
    got = _binary.predict(tmp_path / "m.forgo", sorted(folder.glob("*.json")), every=True)
    labels = [str(c) for c in model.classes_]
    scores = np.array([[{c["label"]: c["score"] for c in a["classes"]}[n] for n in labels] for a in got])
    want = model.predict_proba(HOLES)
    assert np.abs(scores - want).max() < 1e-5
    assert [a["classes"][0]["label"] for a in got] == [labels[i] for i in want.argmax(1)]


def test_thresholds_of_lightgbm_decide_as_fitted_for_float32(tmp_path: Path) -> None:
    """A threshold's nearest float32 may lie above it: the row on it would change sides."""
    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    model = lgb.LGBMClassifier(n_estimators=20, verbose=-1).fit(x, y)
    trees = model.booster_.trees_to_dataframe()
    thresholds = trees[["split_feature", "threshold"]].dropna().astype({"threshold": float})
    rows = np.repeat(x[:1], 2 * len(thresholds), axis=0)
    for i, (name, threshold) in enumerate(thresholds.itertuples(index=False)):
        near = np.float32(threshold)
        other = np.nextafter(near, np.float32(np.inf if near <= threshold else -np.inf))
        rows[2 * i : 2 * i + 2, int(name.removeprefix("Column_"))] = near, other
    forgo.export(model, tmp_path / "m.forgo", examples=x)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(rows), model.predict_proba(rows), rtol=1e-5)


@pytest.mark.parametrize(
    "model", [lgb.LGBMClassifier(n_estimators=10, verbose=-1), lgb.LGBMRegressor(n_estimators=10, verbose=-1)]
)  # fmt: skip
def test_thresholds_of_lightgbm_between_numbers_that_float32_rounds_together(
    model: Any, tmp_path: Path
) -> None:
    """LightGBM compares in float64: export refuses float32, names the rows and offers what it has proven."""
    rows = ROWS[:400, :3].copy()
    rows[:, 0] = 1 + np.arange(400) % 40 * 1e-9
    model.fit(rows, rows[:, 0] > 1 + 20e-9)
    with pytest.raises(forgo.ParityError, match=r"precision='float64' is proven on all 400 rows") as caught:
        forgo.export(model, tmp_path / "m.forgo", examples=rows)
    assert "of 400 rows differ" in str(caught.value)
    forgo.export(model, tmp_path / "m.forgo", examples=rows, precision="float64")
    want = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)[:, None]
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(rows), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "binary", "sigmoid": 2},
        {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "cross_entropy"},
        {"objective": "cross_entropy_lambda"},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "tweedie"},
        {"objective": "regression", "zero_as_missing": True},
        {"objective": "regression", "use_missing": False},
        {"objective": "regression", "min_data_per_group": 1},
    ],
    ids=lambda p: " ".join(f"{k}={v}" for k, v in p.items()),
)  # fmt: skip
def test_lightgbm_of_any_objective(parameters: dict[str, Any], precision: Any, tmp_path: Path) -> None:
    rows = HOLES[:, :3] - HOLES[:, :3].mean(where=HOLES[:, :3] == HOLES[:, :3])
    rows[::5, 0], rows[:, 2] = 0, np.arange(len(rows)) % 9
    rows[::31, 2] = np.nan
    categories = [2] if "min_data_per_group" in parameters else []
    booster = lgb.train(
        {"verbose": -1, **parameters}, lgb.Dataset(rows, TARGET, categorical_feature=categories), 10
    )
    forgo.export(booster, tmp_path / "m.forgo", examples=rows, precision=precision)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        got = loaded.predict(rows)[:, -1]
    np.testing.assert_allclose(got, np.asarray(booster.predict(rows)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        xgb.XGBRanker(n_estimators=10),
        xgb.XGBRanker(n_estimators=10, objective="rank:pairwise"),
        lgb.LGBMRanker(n_estimators=10, verbose=-1),
        lgb.LGBMRanker(n_estimators=10, objective="rank_xendcg", verbose=-1),
        cb.CatBoostRanker(**CB),
    ],
    ids=["xgboost", "pairwise", "lightgbm", "xendcg", "catboost"],
)
def test_a_ranker_orders_the_rows_of_a_query(model: Any, tmp_path: Path) -> None:
    """Its task is ranking, and TensorFlow Serving's Regress has a score a row."""
    queries = np.repeat([*range(5)], 100)
    of = {"group": np.bincount(queries)} if isinstance(model, lgb.LGBMRanker) else {"qid": queries}
    of = {"group_id": queries} if isinstance(model, cb.CatBoostRanker) else of
    model.fit(HOLES[:500], TARGET[:500], **of)
    forgo.export(model, tmp_path / "m.forgo", examples=HOLES)
    assert json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["task"] == "ranking"
    with forgo.load(tmp_path / "m.forgo") as loaded:
        got = loaded.predict(HOLES)[:, 0]
    want = model.predict(HOLES)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    with running(tmp_path / "m.forgo") as places:
        asked = {"examples": [{"input": HOLES[1].tolist()}]}
        answer = requests.post(f"http://{places['http']}/v1/models/m:regress", json=asked, timeout=60).json()
        assert answer["results"] == pytest.approx([want[1]], rel=1e-5)


def test_labels_are_not_for_a_ranker(tmp_path: Path) -> None:
    model = xgb.XGBRanker(n_estimators=2).fit(HOLES[:500], TARGET[:500], qid=np.repeat([*range(5)], 100))
    with pytest.raises(forgo.ExportError, match="multi-label, not for the task 'ranking'"):
        forgo.export(model, tmp_path / "m.forgo", examples=HOLES, labels=["no", "yes"])


def test_a_missing_value_is_no_zero(tmp_path: Path) -> None:
    """The golden cases have rows with null, so that a reader that makes zeros of them is refused."""
    forgo.export(xgb.XGBClassifier(n_estimators=20).fit(HOLES, TARGET), tmp_path / "m.forgo", examples=HOLES)
    assert any("null" in f.read_text() for f in (tmp_path / "m.forgo" / "golden").glob("*.json"))


@pytest.mark.parametrize(("name", "model"), [("m.json", XGB), ("m.ubj", XGB), ("m.txt", LGB)])
def test_files(name: str, model: Any, tmp_path: Path) -> None:
    model.save_model(str(tmp_path / name))
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / "labels.txt").write_text("malignant\nbenign\n")
    done = run_forgo(
        "export", tmp_path / name, "-o", tmp_path / "m.forgo", "--examples", tmp_path / "rows.npy", "--labels", tmp_path / "labels.txt"
    )  # fmt: skip
    assert "parity proven in Go" in done.err, done.err
    (tmp_path / "row.json").write_text(json.dumps(ROWS[20].tolist()))
    answer = json.loads(
        run_forgo("predict", "--json", "--top", "0", tmp_path / "m.forgo", tmp_path / "row.json").out
    )
    want = float(
        model.predict(xgb.DMatrix(ROWS[20:21]) if isinstance(model, xgb.Booster) else ROWS[20:21])[0]
    )
    assert {c["label"]: c["score"] for c in answer["classes"]}["benign"] == pytest.approx(want, abs=1e-5)


def test_a_cbm_file(tmp_path: Path) -> None:
    model = cb.CatBoostClassifier(**CB).fit(WINE.data, WINE.target)
    model.save_model(str(tmp_path / "m.cbm"))
    WINE.data.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "labels.txt").write_text("".join(f"{n}\n" for n in WINE.target_names))
    done = run_forgo(
        "export", tmp_path / "m.cbm", "-o", tmp_path / "m.forgo", "--examples", tmp_path / "rows.csv", "--labels", tmp_path / "labels.txt"
    )  # fmt: skip
    assert "parity proven in Go" in done.err, done.err
    with forgo.load(tmp_path / "m.forgo") as loaded:
        got = loaded.predict(WINE.data.to_numpy())
    np.testing.assert_allclose(got, model.predict_proba(WINE.data), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["m.json", "m.txt"])
def test_a_file_takes_columns_by_name_in_any_order(name: str, tmp_path: Path) -> None:
    """The model's names and order, not the table's; otherwise both halves would prove the same wrong columns."""
    frame = WINE.data.rename(columns={"hue": "the hue"})
    frame.loc[::9, "ash"] = np.nan
    target = (WINE.target == 1).astype(int)
    if name == "m.json":
        model = xgb.XGBClassifier(n_estimators=10).fit(frame, target)
        model.save_model(tmp_path / name)
    else:
        model = lgb.LGBMClassifier(n_estimators=10, verbose=-1).fit(frame, target)
        model.booster_.save_model(tmp_path / name)
    backwards = frame.iloc[:, ::-1]
    backwards.to_csv(tmp_path / "rows.csv", index=False)
    done = run_forgo(
        "export", tmp_path / name, "-o", tmp_path / "m.forgo", "--examples", tmp_path / "rows.csv"
    )
    assert "parity proven in Go" in done.err, done.err
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert [i["name"] for i in manifest["inputs"]] == list(frame)
    assert [c["missing"] for c in manifest["columns"]] == [n == "ash" for n in frame]
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(backwards), model.predict_proba(frame), rtol=0, atol=1e-5)
    frame.rename(columns={"ash": "dust"}).to_csv(tmp_path / "rows.csv", index=False)
    done = run_forgo(
        "export", tmp_path / name, "-o", tmp_path / "n.forgo", "--examples", tmp_path / "rows.csv"
    )
    assert "the model was fitted on different columns: 'ash' is missing" in done.err, done.err


@pytest.mark.parametrize("name", ["m.json", "m.txt", "m.cbm"])
@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
def test_a_file_names_the_column_that_has_strings(name: str, header: bool, tmp_path: Path) -> None:
    """Its model may have been fitted on categories, whose numbers a table of strings does not tell."""
    frame = WINE.data.iloc[:, :3].rename(columns={"ash": "colour"})
    if name == "m.json":
        xgb.XGBClassifier(n_estimators=2).fit(
            frame.to_numpy() if not header else frame, WINE.target
        ).save_model(tmp_path / name)
    elif name == "m.txt":
        lgb.LGBMClassifier(n_estimators=2, verbose=-1).fit(
            frame.to_numpy() if not header else frame, WINE.target
        ).booster_.save_model(tmp_path / name)
    else:
        cb.CatBoostClassifier(**CB).fit(frame.to_numpy() if not header else frame, WINE.target).save_model(
            str(tmp_path / name)
        )
    frame["colour"] = ["", "1.5", *["red"] * (len(frame) - 2)]
    frame.to_csv(tmp_path / "rows.csv", index=False, header=header)
    done = run_forgo(
        "export", tmp_path / name, "-o", tmp_path / "m.forgo", "--examples", tmp_path / "rows.csv"
    )
    column = "'colour'" if header else "2"
    assert done.code == 1
    assert (
        f"examples: column {column}, row 2: 'red' is not a number, which a model from a file takes"
        in done.err
    ), done.err
    assert "the number that its category had in training, or export the estimator from memory" in done.err
    assert not (tmp_path / "m.forgo").exists()


def test_exponentials_and_sigmoids_of_catboost(tmp_path: Path) -> None:
    """Its own ONNX leaves out the last step of these losses."""
    counts = np.round(np.abs(ROWS[:, 0]))
    for name, model, target in (
        ("p", cb.CatBoostRegressor(loss_function="Poisson", **CB), counts),
        ("m", cb.CatBoostClassifier(loss_function="MultiLogloss", **CB), np.c_[TARGET, counts > 14]),
    ):
        model.fit(HOLES, target)
        forgo.export(model, tmp_path / f"{name}.forgo", examples=HOLES)
        want = model.predict(HOLES) if name == "p" else model.predict_proba(HOLES)
        with forgo.load(tmp_path / f"{name}.forgo") as loaded:
            np.testing.assert_allclose(
                loaded.predict(HOLES), want.reshape(len(HOLES), -1), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("native", [False, True], ids=["estimator", "booster"])
def test_several_labels_of_xgboost(native: bool, tmp_path: Path) -> None:
    """Labels that do not exclude each other have a probability each, not one and its complement."""
    target = np.c_[TARGET, ROWS[:, 0] > 14, ROWS[:, 1] > 20].astype(int)
    model = xgb.XGBClassifier(n_estimators=10).fit(HOLES, target)
    forgo.export(model.get_booster() if native else model, tmp_path / "m.forgo", examples=HOLES)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert (manifest["task"], manifest["labels"]) == ("multi-label", ["0", "1", "2"])
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(HOLES), model.predict_proba(HOLES), rtol=0, atol=1e-5)


def test_labels_that_all_rows_have_or_none(tmp_path: Path) -> None:
    target = np.c_[TARGET, np.ones_like(TARGET), np.zeros_like(TARGET)].astype(int)
    model = xgb.XGBClassifier(n_estimators=3).fit(HOLES, target)
    forgo.export(model, tmp_path / "m.forgo", examples=HOLES)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(HOLES), model.predict_proba(HOLES), rtol=0, atol=1e-6)


def test_counts_that_are_all_zero(tmp_path: Path) -> None:
    model = xgb.XGBRegressor(n_estimators=3, objective="count:poisson").fit(HOLES, np.zeros(len(HOLES)))
    forgo.export(model, tmp_path / "m.forgo", examples=HOLES)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(HOLES).ravel(), model.predict(HOLES), rtol=0, atol=1e-6)


def own_objective(target: Any, scores: Any) -> tuple[Any, Any]:
    return scores - target, np.ones_like(scores)


@pytest.mark.parametrize(
    "model",
    [xgb.XGBRegressor(n_estimators=10, objective=own_objective), lgb.LGBMRegressor(n_estimators=10, objective=own_objective, verbose=-1)],
    ids=["xgboost", "lightgbm"],
)  # fmt: skip
def test_an_objective_of_ones_own_answers_with_scores(model: Any, tmp_path: Path) -> None:
    model.fit(HOLES, TARGET)
    result = forgo.export(model, tmp_path / "m.forgo", examples=HOLES)
    assert result.framework_difference is not None
    assert result.framework_difference < 1e-5
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(HOLES)[:, 0], model.predict(HOLES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "start"),
    [("m.json", b'{"learner": {'), ("m.ubj", b"{L"), ("m.txt", b"tree\n"), ("m.cbm", b"CBM1")],
)
def test_a_damaged_file(name: str, start: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start)
    with pytest.raises(forgo.ExportError, match=f"{name}: .* cannot load it: |must be ") as caught:
        forgo.export(tmp_path / name, tmp_path / "m.forgo", examples=ROWS)
    assert "\n" not in str(caught.value)
    assert [f.name for f in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (xgb.XGBClassifier(), {"examples": ROWS}, "is not fitted: call fit before"),
        (lgb.LGBMClassifier(), {"examples": ROWS}, "is not fitted: call fit before"),
        (cb.CatBoostClassifier(), {"examples": ROWS}, "is not fitted: call fit before"),
        (cb.CatBoostClassifier(**CB).fit(ROWS, TARGET), {"examples": ROWS[:, :5]}, "was fitted on 30 columns, the examples have 5"),
        (cb.CatBoostClassifier(**CB).fit(WINE.data, WINE.target), {"examples": WINE.data.iloc[:, ::-1]}, "the order differs"),
        (cb.CatBoostClassifier(grow_policy="Depthwise", **CB).fit(ROWS, TARGET), {"examples": ROWS}, "grow_policy='SymmetricTree'"),
        (cb.CatBoostRegressor(loss_function="MultiRMSE", **CB).fit(ROWS, ROWS[:, :2]), {"examples": ROWS}, "train a model for each number"),
        (XGB, {}, "cannot be proven without examples"),
        (LGB, {}, "cannot be proven without examples"),
        (XGB, {"examples": ROWS[:0]}, "examples: there are no rows"),
        (LGB, {"examples": ROWS[:0]}, "examples: there are no rows"),
        (XGB, {"examples": ROWS[:, :5]}, "was fitted on 30 columns, the examples have 5"),
        (LGB, {"examples": ROWS[:, :5]}, "was fitted on 30 columns, the examples have 5"),
        (xgb.XGBClassifier(n_estimators=2).fit(WINE.data, WINE.target), {"examples": WINE.data.iloc[:, ::-1]}, "the order differs"),
        (lgb.LGBMClassifier(n_estimators=2, verbose=-1).fit(WINE.data, WINE.target),
         {"examples": WINE.data.rename(columns={"hue": "shade"})}, "'hue' is missing"),
        (lgb.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1).fit(ROWS, TARGET), {"examples": ROWS}, "linear_tree=False"),
        (xgb.XGBClassifier(n_estimators=2, booster="gblinear").fit(ROWS, TARGET), {"examples": ROWS}, "train it with gbtree"),
        (xgb.XGBClassifier(n_estimators=2, objective="multi:softmax").fit(WINE.data, WINE.target), {"examples": WINE.data}, "train it with multi:softprob"),
        (xgb.XGBClassifier(n_estimators=2, objective="binary:logitraw").fit(ROWS, TARGET), {"examples": ROWS}, "train it with binary:logistic"),
        (XGB, {"examples": ROWS, "precision": "float64"}, "precision must be float32 for this model"),
    ],
)  # fmt: skip
def test_what_is_refused(model: Any, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(forgo.ForgoError, match=says) as caught:
        forgo.export(model, tmp_path / "m.forgo", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
