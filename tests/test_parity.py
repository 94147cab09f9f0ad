"""Go against Keras itself, on every held-out picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from forgo._picture import read_header
from forgo._preprocess import Preprocessor
from tests.conftest import TrainedBundle, forgo

pytestmark = pytest.mark.slow


def agree(trained: TrainedBundle, least: int) -> None:
    import keras

    files = sorted(p for p in trained.pictures.rglob("*") if p.is_file())
    assert len(files) >= least
    done = forgo("predict", "--json", "--top", "0", trained.bundle, *files)
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [a["file"] for a in answers] == [str(f) for f in files]

    preprocess = Preprocessor(onnx.load(trained.bundle / "preprocess.onnx"))
    keras_scores = keras.saving.load_model(trained.keras).predict(
        np.stack([preprocess.read(f) for f in files]), verbose=0
    )
    labels = trained.manifest["labels"]
    for answer, scores in zip(answers, keras_scores, strict=True):
        go = {c["label"]: c["score"] for c in answer["classes"]}
        assert answer["classes"][0]["label"] == labels[int(scores.argmax())], answer["file"]
        assert max(abs(go[label] - s) for label, s in zip(labels, scores, strict=True)) < 1e-4, answer["file"]


def test_go_answers_as_keras_on_every_held_out_digit(digits: TrainedBundle) -> None:
    agree(digits, 350)
    assert digits.manifest["provenance"]["metrics"]["accuracy"] >= 0.97


def test_go_answers_as_keras_on_every_held_out_tile(tiles: TrainedBundle) -> None:
    agree(tiles, 300)


def test_tiles_are_of_every_kind(tiles: TrainedBundle) -> None:
    headers = [read_header(p.read_bytes()) for p in Path(tiles.pictures).rglob("*.jpg")]
    assert len(headers) >= 300
    kinds = {h.encoding for h in headers}
    for process in ("baseline", "progressive"):
        for factors in ("2x2 1x1 1x1", "2x1 1x1 1x1", "1x1 1x1 1x1", "1x1"):
            assert f"{process} {factors}" in kinds
    assert {h.orientation for h in headers} == set(range(1, 9))


def test_trained_bundles_hold_the_softmax_layer_and_stable_names(digits: TrainedBundle) -> None:
    import keras

    assert keras.saving.load_model(digits.keras).layers[-1].name == "inferenceLayer"
    graph = onnx.load(digits.bundle / "model.onnx").graph
    assert [i.name for i in graph.input] == ["pixels"]
    assert [o.name for o in graph.output] == ["probabilities", "logits"]
    for value in [*graph.input, *graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    golden = digits.manifest["golden"]["cases"]
    assert len(golden) >= 16
    assert {c["label"] for c in golden} == set(digits.manifest["labels"])
