"""MLflow's folders and URIs, written by a real MLflow: Python and Go answer alike on all rows, or one line says why not."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

import forgo
from tests.conftest import ROOT
from tests.conftest import forgo as run_forgo
from tests.environments import environment

HERE = ROOT / "tests" / "mlflow"
EXPORT = (
    "import sys; sys.path.append(sys.argv[1])\nfrom forgo._launch import main\n"
    "sys.argv = ['forgo', 'export', sys.argv[2], '-o', sys.argv[3]]\nmain()"
)
"""Exports a model where MLflow can be imported."""


def site() -> Path:
    """Where MLflow is installed."""
    return next((environment(HERE).parent.parent / "lib").glob("python*/site-packages"))


def run(python: str | Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mlflow")
    done = run(sys.executable, HERE / "save.py", site(), place)
    assert done.returncode == 0, done.stderr
    return place


def rows(name: str, place: Path) -> Any:
    from sklearn.datasets import load_iris

    if name == "pickle":
        return pd.read_csv(place / "mixed.csv")
    return load_iris(as_frame=name == "xgboost").data


@pytest.mark.slow
@pytest.mark.parametrize("name", ["skops", "pickle", "xgboost", "lightgbm", "catboost", "keras"])
def test_a_folder_answers_as_its_framework_does(name: str, folders: Path, tmp_path: Path) -> None:
    trust = ["--trust"] if name == "pickle" else []
    done = run_forgo("export", folders / name, "-o", tmp_path / "m.forgo", *trust)
    assert re.search(r"parity proven in Go: \d+ cases", done.err), done.err
    with np.load(folders / "tables.npz") as answers, forgo.load(tmp_path / "m.forgo") as loaded:
        got = np.asarray(loaded.predict(rows(name, folders)))
        np.testing.assert_allclose(got, answers[name], rtol=0, atol=1e-5)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    said = manifest["provenance"]["mlflow"]
    assert said["flavor"] == {"skops": "sklearn", "pickle": "sklearn"}.get(name, name)
    assert said["mlflow_version"].startswith("3.")


@pytest.mark.slow
def test_a_registered_model(folders: Path, tmp_path: Path) -> None:
    store = {"MLFLOW_TRACKING_URI": (folders / "store").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = run(sys.executable, "-c", EXPORT, site(), "models:/iris/1", tmp_path / "m.forgo", **store)
    assert re.search(r"parity proven in Go: \d+ cases", done.stderr), done.stderr
    with np.load(folders / "tables.npz") as answers, forgo.load(tmp_path / "m.forgo") as loaded:
        got = np.asarray(loaded.predict(rows("xgboost", folders)))
        np.testing.assert_allclose(got, answers["xgboost"], rtol=0, atol=1e-5)
    done = run(sys.executable, "-c", EXPORT, site(), "models:/iris/7", tmp_path / "n.forgo", **store)
    assert done.returncode == 1
    assert done.stderr.startswith("forgo: models:/iris/7: MLflow cannot find it: ")
    assert done.stderr.count("\n") == 1
    without = run_forgo("export", "models:/iris/1", "-o", tmp_path / "n.forgo")
    assert (
        without.err
        == "forgo: models:/iris/1: finding it needs MLflow: pip install '.[mlflow]' in forgo's clone\n"
    )


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mlflow")
    done = run(sys.executable, HERE / "save.py", site(), place, "tensors")
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorflow", "onnx", "run"])
def test_tensors(name: str, tensors: Path, tmp_path: Path) -> None:
    """A SavedModel; and a graph with its weights in another file, from a folder and by its run's URI."""
    with np.load(tensors / "tensors.npz") as saved:
        given = dict(saved)
    model: Any = f"runs:/{given['run']}/m" if name == "run" else tensors / name
    store = {"MLFLOW_TRACKING_URI": (tensors / "store").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = run(sys.executable, "-c", EXPORT, site(), model, tmp_path / "m.forgo", **store)
    assert "parity proven in Go: 8 cases" in done.stderr, done.stderr
    rows = {"steps": given["steps"]} | ({} if name == "tensorflow" else {"count": given["count"]})
    with forgo.load(tmp_path / "m.forgo") as loaded:
        got = loaded.run(rows)["scores"]
    np.testing.assert_allclose(got, given["onnx" if name == "run" else name], rtol=1e-5, atol=1e-5)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert ("run_id" in manifest["provenance"]["mlflow"]) == (name == "run")


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ("none.data", "its MLmodel names 'none.data', which is missing"),
        ("../outside.ubj", "its MLmodel names '../outside.ubj', which leaves the folder"),
        ("link.ubj", "its MLmodel names 'link.ubj', which leaves the folder"),
        ("data.bin", "its weights are more than 2147483647 bytes"),
        ("short.bin", "the weights 'w' cannot be read: "),
        (".", "which leaves the folder"),
    ],
)
def test_weights_that_are_refused(beside: str, says: str, tmp_path: Path) -> None:
    made = folder(tmp_path, "flavors: {onnx: {data: model.onnx}}")
    model = onnx.ModelProto(ir_version=9)
    for _ in range(3):
        weights = model.graph.initializer.add(name="w", dims=[1 << 28], data_type=onnx.TensorProto.FLOAT)
        weights.data_location = onnx.TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=beside)
        if beside == "short.bin":
            weights.external_data.add(key="length", value="99")
    (made / "model.onnx").write_bytes(model.SerializeToString())
    (made / "short.bin").write_bytes(b"1")
    with (made / "data.bin").open("wb") as sparse:
        sparse.truncate(3 << 30)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(forgo.ExportError, match=re.escape(says)) as caught:
        forgo.export(made, tmp_path / "m.forgo", examples=np.zeros((2, 4)))
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the first run downloads PyTorch
def test_pytorch(tmp_path: Path) -> None:
    python = environment(ROOT / "tests" / "pytorch", forgo=True)
    saved = run(python, HERE / "save.py", site(), tmp_path, "torch")
    assert saved.returncode == 0, saved.stderr
    refused = run(python.with_name("forgo"), "export", tmp_path / "pth", "-o", tmp_path / "m.forgo")
    assert "its model.pth is a pickle, which can run code as it is loaded; pass --trust" in refused.stderr
    for name in ("pt2", "pth"):
        done = run(
            python.with_name("forgo"), "export", tmp_path / name, "-o", tmp_path / f"{name}.forgo", "--trust"
        )
        assert "parity proven in Go: 5 cases" in done.stderr, done.stderr
        with np.load(tmp_path / "torch.npz") as answers, forgo.load(tmp_path / f"{name}.forgo") as loaded:
            got = np.asarray(loaded.predict(rows(name, tmp_path).astype(np.float32)))
            np.testing.assert_allclose(got, answers[name], rtol=0, atol=1e-5)


class Runs:
    """What a hostile pickle does."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def folder(place: Path, mlmodel: str) -> Path:
    """A folder with an MLmodel, and files that it may name."""
    made = place / "model"
    made.mkdir()
    (place / "outside.ubj").write_bytes(b"{L")
    (made / "MLmodel").write_text(mlmodel)
    (made / "link.ubj").symlink_to(place / "outside.ubj")
    (made / "data").mkdir()
    (made / "data" / "model").symlink_to(place)
    (made / "model.pkl").write_bytes(pickle.dumps(Runs(place / "ran")))
    (made / "example.json").write_text("[[1, 2], [3")
    return made


_XGBOOST = "flavors: {xgboost: {data: %s, model_class: xgboost.sklearn.XGBClassifier}}"
_SKLEARN = "flavors: {sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}}"
_EXAMPLE = (
    "flavors: {onnx: {data: example.json}}\nsaved_input_example_info: {artifact_path: %s, type: ndarray}"
)


@pytest.mark.parametrize(
    ("mlmodel", "says"),
    [
        (_XGBOOST % "../outside.ubj", "its MLmodel names '../outside.ubj', which leaves the folder"),
        (_XGBOOST % "/etc/passwd", "its MLmodel names '/etc/passwd', which leaves the folder"),
        (_XGBOOST % "link.ubj", "its MLmodel names 'link.ubj', which leaves the folder"),
        (_XGBOOST % "none.ubj", "its MLmodel names 'none.ubj', which is missing"),
        (_XGBOOST % "[1]", "its MLmodel does not name its model"),
        ("flavors: {keras: {data: data}}", "its MLmodel names 'data', which leaves the folder"),
        ("flavors: {xgboost: {data: example.json, model_class: os.system}}", "its model is a 'system', an XGBoost class that forgo does not support"),
        (_SKLEARN, "its model.pkl is a pickle, which can run code as it is loaded; pass trust=True if you trust its author"),
        ("flavors: {python_function: {}}", "its flavors are python_function; forgo takes keras, tensorflow, pytorch"),
        ("flavors: []", "its MLmodel names no flavors"),
        ("flavors: {a: &a [1], b: *a}", "its MLmodel is not YAML: it has aliases, which MLflow does not write"),
        ("flavors: !!python/object/apply:os.system [true]", "its MLmodel is not YAML: could not determine a constructor"),
        ("flavors: " + "[" * 100_000, "its MLmodel is not YAML: "),
        ("x" * (2 << 20), "the MLmodel is 2097152 bytes, more than 1048576"),
        (_EXAMPLE % "../outside.ubj", "its MLmodel names '../outside.ubj', which leaves the folder"),
        (_EXAMPLE % "example.json", "the input example cannot be used (JSONDecodeError: "),
        ("flavors: {onnx: {data: example.json}}", "parity cannot be proven without examples: give examples"),
    ],
)  # fmt: skip
def test_what_is_refused(mlmodel: str, says: str, tmp_path: Path) -> None:
    made = folder(tmp_path, mlmodel)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(forgo.ExportError, match=re.escape(says)) as caught:
        forgo.export(made, tmp_path / "m.forgo")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_mlmodel_that_waits_for_a_writer(tmp_path: Path) -> None:
    made = folder(tmp_path, "")
    (made / "MLmodel").unlink()
    os.mkfifo(made / "MLmodel")
    with pytest.raises(forgo.ExportError, match="MLmodel: it is not a regular file"):
        forgo.export(made, tmp_path / "m.forgo")


@pytest.mark.slow
def test_types_that_skops_does_not_know(tmp_path: Path) -> None:
    import skops.io

    made = folder(tmp_path, "flavors: {sklearn: {pickled_model: model.skops, serialization_format: skops}}")
    skops.io.dump(Runs(tmp_path / "ran"), made / "model.skops")
    with pytest.raises(
        forgo.ExportError, match=r"its model.skops holds pathlib.+, which skops does not know to be safe"
    ):
        forgo.export(made, tmp_path / "m.forgo", examples=np.zeros((2, 4)))
