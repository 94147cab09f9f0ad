"""Rows that export makes beside a table's examples: which, who answers them, and what becomes of a graph that differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import forgo
from forgo.exporting import _estimator, _hist_trees, _synthesized
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = np.random.default_rng(3).normal(size=(60, 2)).round(2)
TARGET = (ROWS[:, 0] > 0).astype(int)


def made(bundle: Path) -> list[tuple[str, Any]]:
    """The synthesized cases: how each was made, and its row."""
    cases = json.loads((bundle / "forgo.json").read_text())["golden"]["cases"]
    assert [c.get("synthesized", False) for c in cases] == sorted(c.get("synthesized", False) for c in cases)
    return [
        (c["source"], json.loads((bundle / c["input"]).read_text())) for c in cases if c.get("synthesized")
    ]


def test_cells_missing_unknown_and_beyond(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["age", "pay"]).assign(city=["Oslo", "Rome", "Lima"] * 20)
    frame.loc[::4, "pay"] = np.nan
    chosen = make_column_transformer(
        (SimpleImputer(), ["age", "pay"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])
    )
    model = make_pipeline(chosen, LogisticRegression()).fit(frame, TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    rows = dict(made(tmp_path / "m.forgo"))
    assert rows["row 1, 'pay' missing"] == {"age": ROWS[1, 0], "pay": None, "city": "Rome"}
    assert rows["row 1, 'city' unknown"] == {"age": ROWS[1, 0], "pay": ROWS[1, 1], "city": "(unseen)"}
    assert any(r["age"] > frame["age"].max() for r in rows.values())
    assert any(r["age"] < frame["age"].min() for r in rows.values())
    assert not any(r["age"] is None for r in rows.values())  # no example has it missing
    said = run_forgo("inspect", tmp_path / "m.forgo").out
    assert f"{len(made(tmp_path / 'm.forgo'))} of them synthesized beside the examples" in said
    with forgo.load(tmp_path / "m.forgo") as loaded:
        sent = pd.DataFrame(list(rows.values())).astype({"pay": float})
        np.testing.assert_allclose(loaded.predict(sent), model.predict_proba(sent), atol=1e-5)


def test_rows_on_a_tree_s_threshold(tmp_path: Path) -> None:
    model = DecisionTreeClassifier(max_depth=1).fit(ROWS, TARGET)
    forgo.export(model, tmp_path / "m.forgo", examples=ROWS)
    between = np.array([r for s, r in made(tmp_path / "m.forgo") if s.startswith("between")], np.float32)
    threshold = model.tree_.threshold[0]
    at, after = sorted(set(between[:, 0].tolist()))
    assert at <= threshold < after
    assert np.nextafter(np.float32(at), np.float32(np.inf)) == np.float32(after)


def test_rows_keep_a_margin_where_numbers_are_computed_with(tmp_path: Path) -> None:
    forgo.export(KNeighborsClassifier(3).fit(ROWS, TARGET), tmp_path / "m.forgo", examples=ROWS)
    pairs = [r for s, r in made(tmp_path / "m.forgo") if s.startswith("between")]
    assert len(pairs) >= 2
    assert np.abs(np.subtract(pairs[0], pairs[1])).max() > 1e-4


def test_rows_that_the_framework_refuses_are_left_out(tmp_path: Path) -> None:
    def picky(rows: Any) -> Any:
        if np.abs(rows).max() > np.abs(ROWS).max():
            raise ValueError("out of range")
        return rows

    model = make_pipeline(DecisionTreeClassifier(max_depth=2)).fit(ROWS, TARGET)
    answer = model.predict_proba
    table = _synthesized.rows(
        {"input": ROWS.astype(np.float32)},
        {"p": answer(ROWS)},
        (),
        lambda r: {"p": answer(picky(r["input"]))},
        adjacent=False,
    )
    assert table is not None
    assert np.abs(table.inputs["input"]).max() <= np.abs(ROWS).max()


def test_a_graph_that_differs_only_beside_the_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error shows the row; and without such rows the same graph passes, so nothing else sees it."""
    rows = ROWS.astype(np.float32)
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(rows, TARGET)
    ensemble = _hist_trees._ensemble

    def strict(*arguments: Any) -> dict[str, Any]:
        made = ensemble(*arguments)
        made["nodes_modes"] = [{"BRANCH_LEQ": "BRANCH_LT"}.get(m, m) for m in made["nodes_modes"]]
        return made

    monkeypatch.setattr(_hist_trees, "_ensemble", strict)
    with pytest.raises(
        forgo.ParityError, match=r"synthesized rows, the first \{\"input\": \[.+\(between rows"
    ):
        forgo.export(model, tmp_path / "m.forgo", examples=rows)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(_estimator.Estimator, "_proven_beside", lambda self: None)
    forgo.export(model, tmp_path / "m.forgo", examples=rows)
    assert made(tmp_path / "m.forgo") == []


def test_rows_on_which_the_graph_fails_are_noted(tmp_path: Path) -> None:
    """scikit-learn ignores unknown categories where none is infrequent; sklearn-onnx's graph fails on them."""
    frame = pd.DataFrame({"city": ["Oslo"] * 20 + ["Rome"] * 20})
    encoder = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False)
    result = forgo.export(encoder.fit(frame), tmp_path / "m.forgo", examples=frame)
    assert [
        n for n in result.notes if n.startswith("the graph answers no row like this: row 0, 'city' unknown")
    ]
