"""Heads that people have: one probability for two labels, logits, labels that do not exclude each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import forgo
from forgo.exporting import _keras, _pipeline
from forgo.exporting._request import Request
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = np.random.default_rng(4).normal(size=(40, 4)).astype(np.float32)


def ending(units: int, activation: str | None = None, name: str | None = None) -> Any:
    keras.utils.set_random_seed(6)
    return keras.Sequential([keras.Input((4,)), layers.Dense(units, activation=activation, name=name)])


def exported(model: Any, path: Path, **request: Any) -> dict[str, Any]:
    adapter = _keras.KerasModel(model, picture=False)
    _pipeline.run(adapter, Request(path, rows={"": ROWS}, **request))
    return json.loads((path / "forgo.json").read_text())  # type: ignore[no-any-return]


def asked(path: Path, row: Any, folder: Path, *options: str) -> list[tuple[str, float]]:
    file = folder / "row.json"
    file.write_text(json.dumps(row.tolist()))
    done = run_forgo("predict", "--json", *(options or ("--top", "0")), path, file)
    assert done.code == 0, done.err
    return [(c["label"], c["score"]) for c in json.loads(done.out)["classes"]]


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_one_probability_for_two_labels(tmp_path: Path, engine: str) -> None:
    model, path = ending(1, "sigmoid", "is_dog"), tmp_path / "m.forgo"
    manifest = exported(model, path, labels=["cat", "dog"], engine=engine)
    assert [(o["name"], o["shape"], o.get("hidden", False)) for o in manifest["outputs"]] == [
        ("probabilities", [None, 2], False),
        ("is_dog", [None, 1], True),
    ]
    for row in ROWS[:4]:
        p = float(model.predict(row[None], verbose=0)[0, 0])
        scores = dict(asked(path, row, tmp_path))
        assert scores == pytest.approx({"cat": 1 - p, "dog": p}, abs=1e-4)


def test_logits_are_offered_a_softmax(tmp_path: Path) -> None:
    model, labels = ending(3), ["a", "b", "c"]
    with pytest.raises(forgo.ExportError, match=r"append='softmax'.*task='multi-label'"):
        exported(model, tmp_path / "m.forgo", labels=labels)
    assert list(tmp_path.iterdir()) == []
    for engine in ("onnxruntime", "tensorflow"):
        exported(model, tmp_path / "m.forgo", labels=labels, append="softmax", engine=engine, force=True)
        logits = model.predict(ROWS[:1], verbose=0)[0]
        want = np.exp(logits) / np.exp(logits).sum()
        got = dict(asked(tmp_path / "m.forgo", ROWS[0], tmp_path))
        np.testing.assert_allclose([got[name] for name in labels], want, atol=1e-4)


def test_one_logit_for_two_labels(tmp_path: Path) -> None:
    model, labels = ending(1), ["no", "yes"]
    with pytest.raises(forgo.ExportError, match=r"not a probability.*append='sigmoid'"):
        exported(model, tmp_path / "m.forgo", labels=labels)
    with pytest.raises(forgo.ExportError, match=r"always 1.*append='sigmoid'"):
        exported(model, tmp_path / "m.forgo", labels=labels, append="softmax")
    exported(model, tmp_path / "m.forgo", labels=labels, append="sigmoid")
    p = 1 / (1 + np.exp(-float(model.predict(ROWS[:1], verbose=0)[0, 0])))
    assert dict(asked(tmp_path / "m.forgo", ROWS[0], tmp_path)) == pytest.approx(
        {"no": 1 - p, "yes": p}, abs=1e-4
    )


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_labels_that_do_not_exclude_each_other(tmp_path: Path, engine: str) -> None:
    model, labels, limits = ending(3, "sigmoid"), ["red", "round", "ripe"], [0.5, 0.3, 0.7]
    path = tmp_path / "m.forgo"
    manifest = exported(model, path, labels=labels, task="multi-label", thresholds=limits, engine=engine)
    assert (manifest["task"], manifest["thresholds"]) == ("multi-label", limits)
    recorded = [tuple(case["labels"]) for case in manifest["golden"]["cases"]]
    assert len(set(recorded)) > 3  # other answers, not one again and again
    scores = model.predict(ROWS, verbose=0)
    some = [scores.argmax(0)[0], *range(3)]
    for i in some:
        want = [(n, float(s)) for n, s, t in zip(labels, scores[i], limits, strict=True) if s > t]
        want.sort(key=lambda found: -found[1])
        got = asked(path, ROWS[i], tmp_path)
        assert [n for n, _ in got] == [n for n, _ in want]
        np.testing.assert_allclose([s for _, s in got], [s for _, s in want], atol=1e-4)


def test_a_row_with_no_label_over_its_threshold(tmp_path: Path) -> None:
    """Its answer is an empty list, on the command line and from the server, by each protocol's replay."""
    from tests.clients.servers import running

    model, labels = ending(2), ["red", "round"]
    with pytest.raises(forgo.ExportError, match=r"append='sigmoid'"):
        exported(model, tmp_path / "m.forgo", labels=labels, task="multi-label")
    path = tmp_path / "m.forgo"
    manifest = exported(
        model, path, labels=labels, task="multi-label", append="sigmoid", thresholds={"red": 0.8}
    )
    assert manifest["thresholds"] == [0.8, 0.5]
    none = next(c for c in manifest["golden"]["cases"] if not c["labels"])
    done = run_forgo("predict", "--json", path, path / none["input"])
    assert json.loads(done.out)["classes"] == []
    assert "no label is over its threshold" in run_forgo("predict", path, path / none["input"]).out
    with running(path) as places:
        url = f"http://{places['http']}"
        done = run_forgo("verify", "--json", "--url", url, "--url", f"grpc://{places['grpc']}", path)
        report = json.loads(done.out)
        assert done.code == 0, report
        assert {p["protocol"] for p in report["protocols"]} >= {"oip", "oip-grpc", "tensorflow", "native"}


def test_a_head_behind_a_saved_model(tmp_path: Path) -> None:
    """Its graph is written anew, for either engine: the head is not in the files that were given."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
    module.answer = tf.function(
        lambda x: {"scores": x @ module.kernel},
        input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")],
    )
    tf.saved_model.save(module, str(tmp_path / "logits"), signatures=module.answer)
    done = run_forgo(
        "export", tmp_path / "logits", "-o", tmp_path / "m.forgo", "--engine", "tensorflow", "--append", "softmax",
        "--labels", labels_file(tmp_path, "abc"), "--examples", rows_file(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.err
    logits = ROWS[0] @ module.kernel.numpy()
    want = np.exp(logits) / np.exp(logits).sum()
    got = dict(asked(tmp_path / "m.forgo", ROWS[0], tmp_path))
    np.testing.assert_allclose([got[name] for name in "abc"], want, atol=1e-4)


def labels_file(folder: Path, labels: str) -> Path:
    (folder / "labels.txt").write_text("\n".join(labels))
    return folder / "labels.txt"


def rows_file(folder: Path) -> Path:
    np.save(folder / "rows.npy", ROWS)
    return folder / "rows.npy"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"thresholds": 0.5}, "task='multi-label'"),
        ({"task": "multi-label", "labels": None}, "needs labels"),
        ({"task": "multi-label", "thresholds": [0.5, 0.5]}, "2 thresholds for 3 labels"),
        ({"task": "multi-label", "thresholds": 1.0}, "a threshold must be at least 0 and below 1, not 1"),
        ({"task": "multi-label", "thresholds": {"d": 0.1}}, "no label 'd'"),
        ({"append": "relu"}, "softmax or sigmoid"),
        ({"task": "regression"}, "not for the task 'regression'"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"labels": ["a", "b", "c"], "examples": ROWS, **change}
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export(ending(3, "sigmoid"), tmp_path / "m.forgo", **arguments)
    assert list(tmp_path.iterdir()) == []
