"""Slim bundles: no report, no pictures of the examples, and proven; and reports that are taken away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgo._picture import decode
from forgo.exporting import _patterns
from mutants._bundle_skews import BundleSkew, apply, preprocess_of
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo


def manifest(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "forgo.json").read_text())  # type: ignore[no-any-return]


def slimmed(name: str, folder: Path) -> Path:
    path = folder / "slim.forgo"
    done = run_forgo("slim", BUNDLES / f"{name}.forgo", "-o", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slimmed("shapes", tmp_path_factory.mktemp("slim"))


def contents(bundle: Path) -> set[bytes]:
    return {p.read_bytes() for p in (bundle / "golden").iterdir()}


def test_pictures_are_made_ones(shapes: Path, tmp_path: Path) -> None:
    assert not (shapes / "report.html").exists()
    assert not contents(shapes) & contents(BUNDLES / "shapes.forgo")
    written = manifest(shapes)
    cases = written["golden"]["cases"]
    assert len(cases) >= 16
    made = {p.read_bytes() for p in _patterns.write(tmp_path)}
    assert {(shapes / c["input"]).read_bytes() for c in cases} <= made
    whole = BUNDLES / "shapes.forgo"
    assert written["provenance"]["slim"]["of"] == (whole / "forgo.sha256").read_text()[:64]
    assert (shapes / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
    # Nothing of an example is left, also not as a tensor: each is what preprocessing makes of a made picture.
    assert all(c["source"].startswith("made-") for c in cases)


def test_it_says_what_is_proven(shapes: Path) -> None:
    for verb in ("verify", "inspect"):
        done = run_forgo(verb, shapes)
        assert done.code == 0, done.err
        assert "answered by the bundle's own graph, after it was proven on the" in done.out
    parity = json.loads(run_forgo("verify", "--json", shapes).out)["parity"]
    assert parity["mode"] == "full"
    assert parity["made"]


def test_answers_are_those_of_the_whole_bundle(shapes: Path) -> None:
    picture = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))[0]
    # By one engine: which one is the faster may differ from start to start.
    command = ("predict", "--json", "--engine", "onnx")
    said = [run_forgo(*command, b, picture).out for b in (shapes, BUNDLES / "shapes.forgo")]
    assert said[0] == said[1] != ""


@pytest.mark.parametrize(
    ("name", "stage", "plant"),
    [
        ("antialiased resize", "preprocess", preprocess_of(resize="bilinear-antialias")),
        ("stretch for crop", "preprocess", preprocess_of(fit="stretch")),
    ],
)
def test_skews_are_still_refused(shapes: Path, tmp_path: Path, name: str, stage: str, plant: Any) -> None:
    bundle = tmp_path / "m.forgo"
    shutil.copytree(shapes, bundle)
    apply(BundleSkew(name, stage, plant), bundle)
    done = run_forgo("verify", "--json", bundle)
    assert (done.code, json.loads(done.out)["stage"]) == (1, stage)


def test_a_picture_beside_a_row(tmp_path: Path) -> None:
    path = slimmed("halves", tmp_path)
    whole = manifest(BUNDLES / "halves.forgo")
    assert manifest(path)["inputs"] == whole["inputs"]
    assert not contents(path) & contents(BUNDLES / "halves.forgo")


def test_rows_are_kept(tmp_path: Path) -> None:
    path = slimmed("iris", tmp_path)
    whole = manifest(BUNDLES / "iris.forgo")
    assert manifest(path)["golden"] == whole["golden"]
    assert contents(path) == contents(BUNDLES / "iris.forgo")
    assert not (path / "report.html").exists()


def test_what_cannot_be_made_slim(shapes: Path, tmp_path: Path) -> None:
    for bundle, says in ((shapes, "already slim"), (tmp_path, "not a bundle")):
        done = run_forgo("slim", bundle, "-o", tmp_path / "m.forgo")
        assert (done.code, done.err.count("\n")) == (1, 1), done.err
        assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_may_be_taken_away_and_not_changed(tmp_path: Path) -> None:
    bundle = tmp_path / "m.forgo"
    shutil.copytree(BUNDLES / "shapes.forgo", bundle)
    files = [f for f in ("report.html", "card.md") if (bundle / f).exists()]
    assert files
    (bundle / files[0]).write_text("changed")
    done = run_forgo("verify", bundle)
    assert (done.code, files[0] in done.out + done.err) == (1, True)
    for file in files:
        (bundle / file).unlink()
    assert run_forgo("verify", bundle).code == 0
    (bundle / "preprocess.onnx").unlink()
    done = run_forgo("verify", bundle)
    assert (done.code, "preprocess.onnx" in done.out + done.err) == (1, True)


def test_made_pictures_are_of_every_kind(tmp_path: Path) -> None:
    sizes = {decode(p.read_bytes()).shape for p in _patterns.write(tmp_path)}
    assert len(sizes) > 5


@pytest.mark.slow
def test_an_export_has_the_framework_answer_them(tmp_path: Path) -> None:
    import keras

    import forgo

    keras.utils.set_random_seed(3)
    stack = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalMaxPooling2D()]
    model = keras.Sequential([keras.Input((16, 16, 3)), *stack, keras.layers.Dense(3, name="scores")])
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    path = tmp_path / "m.forgo"
    result = forgo.export(model, path, examples=pictures, slim=True)
    assert result.parity["made"] == "answered by the training framework"
    assert not (path / "report.html").exists()
    assert not contents(path) & {p.read_bytes() for p in pictures}
    case = manifest(path)["golden"]["cases"][0]
    from safetensors.numpy import load_file

    tensors = load_file(path / case["tensors"])
    want = model.predict(tensors["input.pixels"], verbose=0)
    np.testing.assert_allclose(tensors["output.scores"], want, atol=1e-5)
