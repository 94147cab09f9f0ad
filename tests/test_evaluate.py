"""forgo evaluate: scores of a bundle in Go, against scikit-learn's of the estimator in Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
from sklearn import metrics
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import forgo
from tests.conftest import forgo as command


def evaluate(*arguments: str | Path) -> dict[str, Any]:
    done = command("evaluate", "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    scores: dict[str, Any] = json.loads(done.out)
    return scores


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, LinearRegression]:
    """A regression, and rows that it has not seen, with the values in a column."""
    folder = tmp_path_factory.mktemp("diabetes")
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    rows = rows.astype(np.float32)
    model = LinearRegression().fit(rows[:300], target[:300])
    forgo.export(model, folder / "model.forgo", examples=rows[:60])
    return folder / "model.forgo", rows[300:].assign(target=target[300:]), model


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_a_regression_has_scikit_learns_scores(diabetes: Any, form: str, tmp_path: Path) -> None:
    bundle, rows, model = diabetes
    file = tmp_path / f"rows.{form}"
    if form == "csv":
        rows.to_csv(file, index=False)
    elif form == "parquet":
        pl.DataFrame(rows.to_dict("list")).write_parquet(file)
    else:
        rows.to_json(file, orient="records", lines=True, double_precision=15)
    found = evaluate(bundle, file, "--expected-column", "target", "--fail-under", "0.5")
    expected, got = rows["target"], model.predict(rows.drop(columns="target"))
    (value,) = found["values"]
    assert found["examples"] == len(rows)
    assert value["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(expected, got), 1e-5)
    assert value["root_mean_squared_error"] == pytest.approx(
        metrics.root_mean_squared_error(expected, got), 1e-5
    )
    assert value["r2"] == pytest.approx(metrics.r2_score(expected, got), 1e-5)
    done = command("evaluate", bundle, file, "--expected-column", "target", "--fail-under", "0.6")
    assert done.code == 1
    assert "the R², 0.507196, is below --fail-under 0.6" in done.err
    assert "mean absolute error" in done.out


def test_bad_values_of_a_regression(diabetes: Any, tmp_path: Path) -> None:
    bundle, rows, _ = diabetes
    rows = rows.head(5).astype({"target": object})
    rows["target"] = ["many", "", "nan", "inf", "1,2"]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    done = command("evaluate", bundle, tmp_path / "rows.csv", "--expected-column", "target")
    assert done.code == 1
    assert 'rows.csv:1: the expected value "many" is not a number' in done.err
    assert 'rows.csv:4: the expected value "inf" is not a number' in done.err
    assert 'rows.csv:5: the expected value "1,2" is 2 numbers, but the model answers 1' in done.err


def test_several_labels_have_scikit_learns_scores(tmp_path: Path) -> None:
    random, labels = np.random.default_rng(3), ["long", "wide", "round"]
    weights = random.normal(size=(4, 3)).astype(np.float32)
    graph = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 18]> g (float[n, 4] x) => (float[n, 3] p) '
        "{ s = MatMul(x, w) p = Sigmoid(s) }"
    )
    graph.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(graph, tmp_path / "model.onnx")
    rows = random.normal(size=(200, 4)).astype(np.float32)
    forgo.export(
        tmp_path / "model.onnx", tmp_path / "m.forgo", examples=rows[:40], labels=labels, task="multi-label"
    )
    answered = rows @ weights > 0
    expected = answered ^ (random.random(answered.shape) < 0.1)
    texts = [[n for n, there in zip(labels, e, strict=True) if there] for e in expected]
    lines = [json.dumps({"x": r.tolist(), "kinds": t}) for r, t in zip(rows, texts, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "kinds.txt").write_text("".join(",".join(t) + "\n" for t in texts))
    np.save(tmp_path / "rows.npy", rows)
    ways: list[list[str | Path]] = [
        [tmp_path / "rows.jsonl", "--expected-column", "kinds"],
        [tmp_path / "rows.npy", "--expected-labels", tmp_path / "kinds.txt"],
    ]
    for arguments in ways:
        found = evaluate(tmp_path / "m.forgo", *arguments)
        assert found["exact_match"] == metrics.accuracy_score(expected, answered)
        assert [c["count"] for c in found["classes"]] == expected.sum(axis=0).tolist()
        for name, score in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
            want = score(expected, answered, average=None)
            assert [c[name] for c in found["classes"]] == pytest.approx(want, abs=1e-12)


def test_a_packed_app_evaluates_itself(diabetes: Any, tmp_path: Path) -> None:
    bundle, rows, _ = diabetes
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert command("pack", bundle, "-o", tmp_path / "app").code == 0
    done = subprocess.run(
        [tmp_path / "app", "evaluate", "--json", tmp_path / "rows.csv", "--expected-column", "target"],
        capture_output=True,
        text=True,
        check=True,
    )
    alone, here = (
        json.loads(done.stdout),
        evaluate(bundle, tmp_path / "rows.csv", "--expected-column", "target"),
    )
    assert alone["values"] == here["values"]
