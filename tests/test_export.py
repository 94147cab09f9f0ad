"""forgo.export on Keras models in memory and in files, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris

import forgo
from forgo.exporting import _graph, _keras
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = load_iris().data.astype(np.float32)
LABELS = ["setosa", "versicolor", "virginica"]


def classifier() -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Normalization(mean=ROWS.mean(0), variance=ROWS.var(0)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()]


def test_rows_in_memory(tmp_path: Path) -> None:
    model = classifier()
    result = forgo.export(model, tmp_path / "iris.forgo", examples=ROWS, labels=LABELS)
    assert result.parity["cases"] >= 16
    assert result.framework_difference is not None
    assert result.framework_difference < 1e-4
    for recorded in (tmp_path / "iris.forgo" / "golden").glob("*.json"):  # as clients write rows
        assert all(len(number) <= 4 for number in recorded.read_text().strip("[]").split(","))
    for recorded in (tmp_path / "iris.forgo" / "golden").glob("*.json"):  # as clients write rows
        assert all(len(number) <= 4 for number in recorded.read_text().strip("[]").split(","))
    row = tmp_path / "row.json"
    row.write_text(json.dumps({"input": ROWS[70].tolist()}))
    done = run_forgo("predict", "--json", "--top", "0", tmp_path / "iris.forgo", row)
    scores = {c["label"]: c["score"] for c in json.loads(done.out)["classes"]}
    want = model.predict(ROWS[70:71], verbose=0)[0]
    assert np.allclose([scores[label] for label in LABELS], want, atol=1e-4)


def test_regression_with_two_inputs(tmp_path: Path) -> None:
    a, b = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    out = keras.layers.Dense(1, name="price")(keras.layers.Concatenate()([a, b]))
    examples = {"left": ROWS[:20, :2], "right": ROWS[:20, 2:]}
    forgo.export(keras.Model([a, b], out), tmp_path / "price.forgo", examples=examples, task="regression")
    row = tmp_path / "row.json"
    row.write_text(json.dumps({"left": [1, 2], "right": [3, 4]}))
    done = run_forgo("predict", "--json", tmp_path / "price.forgo", row)
    assert done.code == 0, done.err
    assert list(json.loads(done.out)["outputs"]) == ["price"]


def test_augmentation_layers_never_reach_the_graph(tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(0.2),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    result = forgo.export(model, tmp_path / "m.forgo", examples=pictures, labels=["a", "b", "c"])
    assert result.parity["top1_agreement"] == 1


def test_augmentation_inside_a_functional_model(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    pixels = keras.Input((16, 16, 3))
    x = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomZoom(0.3)])(pixels)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x / 255))
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    forgo.export(model, tmp_path / "m.forgo", examples=pictures, labels=["a", "b", "c"])


def test_keras_file_from_the_command_line(tmp_path: Path) -> None:
    classifier().save(tmp_path / "m.keras")
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    command: list[str | Path] = [
        "export",
        tmp_path / "m.keras",
        "-o",
        tmp_path / "m.forgo",
        "--examples",
        tmp_path / "rows.npy",
    ]
    done = run_forgo(*command, "--labels", tmp_path / "labels.txt")
    assert done.code == 0, done.err
    assert "parity proven in Go" in done.err
    done = run_forgo(*command, "--labels", tmp_path / "labels.txt", "--tolerance", "0.01", "--force")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "0.01" in done.err


def test_a_model_that_onnx_runtime_runs_otherwise_leaves_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgo.exporting import _engine_onnxruntime, _pipeline
    from forgo.exporting._request import Request

    model = _keras.KerasModel(classifier(), picture=False)

    class Wrong(_graph.OnnxModel):
        def predict(self, inputs: Any) -> Any:
            return {k: np.add(v, np.float32(0.01)) for k, v in super().predict(inputs).items()}

    monkeypatch.setattr(_engine_onnxruntime, "OnnxModel", Wrong)
    request = Request(tmp_path / "m.forgo", rows={"": ROWS}, labels=LABELS)
    with pytest.raises(forgo.ParityError) as caught:
        _pipeline.run(model, request)
    assert caught.value.stage == "model"
    assert leftovers(tmp_path) == []


def test_a_bundle_that_go_refuses_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forgo.exporting import _golden, _pipeline
    from forgo.exporting._request import Request

    model = _keras.KerasModel(classifier(), picture=False)
    record = _golden.record

    def wrong(stage: Any, number: int, example: Any, outputs: Any, *rest: Any, **options: Any) -> Any:
        off = {k: np.add(v, np.float32(0.01)) for k, v in outputs.items()}
        return record(stage, number, example, off, *rest, **options)

    monkeypatch.setattr(_golden, "record", wrong)
    with pytest.raises(forgo.ParityError, match="Go binary refused"):
        _pipeline.run(model, Request(tmp_path / "m.forgo", rows={"": ROWS}, labels=LABELS))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": LABELS[:2]}, "2 labels"),
        ({"labels": ["a", "a", "b"]}, "repeat"),
        ({"task": "guessing"}, "guessing"),
        ({"tolerance": 0.1}, "0.1"),
        ({"examples": ROWS[:, :3]}, "shape"),
        ({"examples": ROWS[:0]}, "without examples"),
        ({"examples": ROWS * np.float32("nan")}, "not finite"),
        ({"labels": None, "task": "classification"}, "labels"),
        ({"resize": "lanczos"}, "resize"),
    ],
)
def test_bad_arguments(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"examples": ROWS, "labels": LABELS, **change}
    with pytest.raises(forgo.ForgoError, match=says):
        forgo.export(classifier(), tmp_path / "m.forgo", **arguments)
    assert leftovers(tmp_path) == []


def test_an_older_bundle_is_replaced_by_force_and_anything_else_never(tmp_path: Path) -> None:
    path = tmp_path / "m.forgo"
    shutil.copytree(BUNDLES / "iris.forgo", path)
    before = (path / "forgo.sha256").read_text()
    with pytest.raises(forgo.BundleError, match="pass force=True to replace it"):
        forgo.export(classifier(), path, examples=ROWS, labels=LABELS)
    assert (path / "forgo.sha256").read_text() == before
    forgo.export(classifier(), path, examples=ROWS, labels=LABELS, force=True)
    assert (path / "forgo.sha256").read_text() != before
    assert leftovers(tmp_path) == ["m.forgo"]
    (tmp_path / "mine.forgo").mkdir()
    with pytest.raises(forgo.BundleError, match="not a bundle"):
        forgo.export(classifier(), tmp_path / "mine.forgo", examples=ROWS, labels=LABELS, force=True)


def test_golden_cases_in_onnx_form(tmp_path: Path) -> None:
    """A bundle's folder is then what ONNX's own test runners read: model.onnx and test_data_set_N."""
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    path = tmp_path / "iris.forgo"
    classifier().save(tmp_path / "iris.keras")
    np.save(tmp_path / "rows.npy", ROWS)
    command: list[str | Path] = [
        "export",
        tmp_path / "iris.keras",
        "--examples",
        tmp_path / "rows.npy",
        "-o",
        path,
    ]
    done = run_forgo(*command, "--onnx-test-data")
    assert done.code == 0, done.err
    graph = ReferenceEvaluator(str(path / "model.onnx"))
    cases = json.loads((path / "forgo.json").read_text())["golden"]["cases"]
    sets = sorted(path.glob("test_data_set_*"))
    assert len(sets) == len(cases)
    for folder in sets:
        given, answers = (
            {
                t.name: numpy_helper.to_array(t)
                for t in (onnx.load_tensor(f) for f in sorted(folder.glob(f"{kind}_*.pb")))
            }
            for kind in ("input", "output")
        )
        assert list(given) == graph.input_names
        assert list(answers) == graph.output_names
        for got, want in zip(graph.run(None, given), answers.values(), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    (sets[0] / "output_0.pb").write_bytes(b"changed")
    assert "test_data_set_0/output_0.pb" in run_forgo("verify", path).err  # it is digested as every file
    done = run_forgo(*command, "--onnx-test-data", "--engine", "tensorflow")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--onnx-test-data needs examples" in done.err
