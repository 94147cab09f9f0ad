"""Normalization that was outside a model in training: said to export, and put into the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import forgo
from forgo._errors import in_command
from forgo._picture import decode
from forgo._preprocess import Preprocessor, build
from forgo.exporting import _normalization
from tests.conftest import BUNDLES, ROOT
from tests.conftest import forgo as run_forgo

PICTURES = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
CAFFE: Any = ("BGR", 1, (103.939, 116.779, 123.68), 1)
WAYS: dict[str, Any] = {
    "by 255": ("RGB", "1/255", 0, 1),
    "minus one to one": ("RGB", 1 / 127.5, 1, 1),
    "caffe": CAFFE,
    "torch": ("RGB", "1/255", "0.485,0.456,0.406", [0.229, 0.224, 0.225]),
    "all at once": ("bgr", "1/64", (0.3, 0.2, 0.1), (0.5, 0.4, 0.3)),
}
BY_HAND: dict[str, Any] = {
    "by 255": lambda v: v / 255,
    "minus one to one": lambda v: v / 127.5 - 1,
    "caffe": lambda v: v[..., ::-1] - np.array([103.939, 116.779, 123.68]),
    "torch": lambda v: (v / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]),
    "all at once": lambda v: (v[..., ::-1] / 64 - np.array([0.3, 0.2, 0.1])) / np.array([0.5, 0.4, 0.3]),
}


def network() -> Any:
    """A classifier of values from about -2 to 2, whose channels differ."""
    keras.utils.set_random_seed(6)
    return keras.Sequential(
        [
            keras.Input((16, 16, 3), name="input_1"),
            keras.layers.Conv2D(8, 3, activation="tanh"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax", name="inferenceLayer"),
        ]
    )


@pytest.mark.parametrize("way", WAYS)
def test_what_is_said_is_what_is_computed(way: str) -> None:
    said = _normalization.read(*WAYS[way])
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 4, 5, 3)).astype(np.float32)
    want = BY_HAND[way](pixels.astype(np.float64))
    np.testing.assert_allclose(said.apply(pixels), want, atol=1e-4)
    shape: Any = ["n", "h", "w", 3]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "g",
        [value("x", onnx.TensorProto.FLOAT, shape)], [value("y", onnx.TensorProto.FLOAT, shape)],
    )  # fmt: skip
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(said.prepended(made, 0).SerializeToString())
    (got,) = session.run(None, {session.get_inputs()[0].name: pixels})
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_flags_say_it_again() -> None:
    assert in_command(_normalization.read().named()) == ""
    assert in_command(_normalization.read(*WAYS["by 255"]).named()) == "--scale 1/255"
    assert in_command(_normalization.read(*WAYS["minus one to one"]).named()) == "--scale 1/127.5 --mean 1"
    assert in_command(_normalization.read(*CAFFE).named()) == "--channels BGR --mean 103.939,116.779,123.68"
    torch = _normalization.read(*WAYS["torch"])
    assert in_command(torch.named()) == "--scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"


@pytest.mark.parametrize(
    ("said", "complains"),
    [
        ({"scale": 0}, "scale is 0"),
        ({"scale": "1/0"}, "'1/0' is not a number"),
        ({"scale": "nan"}, "'nan' is not a number"),
        ({"scale": 1e39}, "not a number"),
        ({"scale": "1,2,3"}, "scale takes one number, not 3"),
        ({"mean": "1,2"}, "mean takes one number, or one for each of three channels, not 2"),
        ({"mean": "1,,2"}, "'' is not a number"),
        ({"std": [1, 0, 1]}, "std has a 0"),
        ({"channels": "RBG"}, "channels is RGB or BGR, not 'RBG'"),
    ],
)
def test_what_is_no_normalization_is_refused(said: dict[str, Any], complains: str, tmp_path: Path) -> None:
    with pytest.raises(forgo.ExportError, match=complains):
        forgo.export("model.keras", tmp_path / "m.forgo", examples=PICTURES, **said)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_a_model_in_memory(tmp_path: Path, engine: str) -> None:
    model = network()
    forgo.export(
        model, tmp_path / "m.forgo", examples=PICTURES, labels=["a", "b", "c"], engine=engine,
        channels="BGR", scale=1 / 64, mean=(0.3, 0.2, 0.1), std=(0.5, 0.4, 0.3),
    )  # fmt: skip
    done = run_forgo("predict", "--json", "--top", "0", tmp_path / "m.forgo", *PICTURES)
    assert done.code == 0, done.err
    preprocess = Preprocessor(build(16, 16))
    for file, line in zip(PICTURES, done.out.splitlines(), strict=True):
        pixels = preprocess(decode(file.read_bytes()))
        want = model.predict(BY_HAND["all at once"](pixels[None].astype(np.float64)), verbose=0)[0]
        scores = {c["label"]: c["score"] for c in json.loads(line)["classes"]}
        assert np.allclose([scores[label] for label in "abc"], want, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_a_saved_model_on_the_command_line(tmp_path: Path, engine: str) -> None:
    """What the bundle says in its graph is what the same flags say to predict without a bundle."""
    flags: list[str | Path] = [
        "--channels",
        "BGR",
        "--scale",
        "1/2",
        "--mean",
        "51.9695,58.3895,61.84",
        "--std",
        "2",
    ]
    saved = ROOT / "conformance" / "savedmodels" / "forGo"
    names: list[str | Path] = ["--tag", "tags", "--input", "input_1", "--output", "inferenceLayer/Softmax"]
    (tmp_path / "labels.txt").write_text("a\nb\n")
    labels: list[str | Path] = ["--labels", tmp_path / "labels.txt"]
    done = run_forgo(
        "export", saved, "-o", tmp_path / "m.forgo", "--examples", PICTURES[0].parent, "--engine", engine,
        *names, *labels, *flags,
    )  # fmt: skip
    assert done.code == 0, done.err
    bundled = run_forgo("predict", "--json", "--top", "0", tmp_path / "m.forgo", *PICTURES)
    bare = run_forgo("predict", "--json", "--top", "0", saved, *names, *labels, *flags, *PICTURES)
    assert (bundled.code, bare.code) == (0, 0), bundled.err + bare.err
    for one, other in zip(bundled.out.splitlines(), bare.out.splitlines(), strict=True):
        got, want = ({c["label"]: c["score"] for c in json.loads(x)["classes"]} for x in (one, other))
        assert got == pytest.approx(want, abs=1e-4)


@pytest.mark.slow
def test_a_bare_saved_model_keeps_the_old_names(tmp_path: Path) -> None:
    network().save(tmp_path / "m.keras")
    done = run_forgo(
        "export", tmp_path / "m.keras", "-o", tmp_path / "forGo", "--tag", "tags", "--examples", PICTURES[0].parent,
        "--scale", "1/255",
    )  # fmt: skip
    assert done.code == 0, done.err
    arguments: list[str | Path] = [
        "--tag",
        "tags",
        "--input",
        "input_1",
        "--output",
        "inferenceLayer/Softmax",
        *PICTURES,
    ]
    with_graph = run_forgo("predict", "--json", "--top", "0", tmp_path / "forGo", *arguments)
    assert with_graph.code == 0, with_graph.err
    want = network().predict(
        np.stack([Preprocessor(build(16, 16))(decode(p.read_bytes())) for p in PICTURES]) / 255, verbose=0
    )
    for line, scores in zip(with_graph.out.splitlines(), want, strict=True):
        got = {c["label"]: c["score"] for c in json.loads(line)["classes"]}
        assert [got[str(i)] for i in range(3)] == pytest.approx(scores.tolist(), abs=1e-4)


@pytest.mark.slow
def test_the_bundle_says_it(tmp_path: Path) -> None:
    channels, scale, mean, std = CAFFE
    forgo.export(
        network(), tmp_path / "m.forgo", examples=PICTURES, channels=channels, scale=scale, mean=mean, std=std
    )
    done = run_forgo("inspect", tmp_path / "m.forgo")
    assert "BGR, (pixel * 1 - 103.939,116.779,123.68) / 1, in the graph" in done.out
    said = json.loads(run_forgo("inspect", "--json", tmp_path / "m.forgo").out)["bundle"]["normalization"]
    assert said == {"channels": "BGR", "scale": 1, "mean": list(mean), "std": [1, 1, 1]}
    assert "103.939" in (tmp_path / "m.forgo" / "card.md").read_text()
    assert "103.939" in (tmp_path / "m.forgo" / "report.html").read_text()


@pytest.mark.slow
def test_a_model_without_pictures_takes_none(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(forgo.ExportError, match=r"scale='1/255': .* this model takes none"):
        forgo.export(model, tmp_path / "m.forgo", examples=np.ones((3, 4), np.float32), scale=1 / 255)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_picture_beside_other_inputs(tmp_path: Path) -> None:
    keras.utils.set_random_seed(8)
    photo, rooms = keras.Input((16, 16, 3), name="photo"), keras.Input((2,), name="rooms")
    seen = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3, activation="tanh")(photo))
    price = keras.layers.Dense(1)(keras.layers.Concatenate()([rooms, seen]))
    model = keras.Model([rooms, photo], price)
    rows = np.random.default_rng(2).normal(size=(len(PICTURES), 2)).astype(np.float32)
    forgo.export(
        model, tmp_path / "m.forgo", examples={"photo": PICTURES, "rooms": rows}, task="regression",
        scale="1/127.5", mean=1,
    )  # fmt: skip
