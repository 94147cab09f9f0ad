"""TensorFlow Serving's own test models, made by their recipes, exported and served: its documented calls and answers.

https://github.com/tensorflow/serving/tree/master/tensorflow_serving/servables/tensorflow/testdata
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import forgo as package
from forgo.exporting import _pipeline
from forgo.exporting._request import Request, Result
from forgo.exporting._saved_model import SavedModel
from tests import serving_models
from tests.clients.servers import running
from tests.conftest import forgo

pytestmark = pytest.mark.slow

NUMBERS = np.array([[1], [2], [5], [0.5], [-3.25], [80]], np.float32)
HALF = ["classify_x2_to_y3", "classify_x_to_y", "regress_x2_to_y3", "regress_x_to_y", "regress_x_to_y2"]
B64 = {"b64": "Cg8KDQoBeBIIEgYKBAAAgD8="}  # the tf.Example {x: 1.0}


@pytest.fixture(scope="module")
def half_plus_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, written by the command as a user would."""
    folder = tmp_path_factory.mktemp("half")
    saved = serving_models.half_plus_two(folder / "half_plus_two")
    np.save(folder / "rows.npy", NUMBERS)
    done = forgo(
        "export", saved, "-o", folder / "half_plus_two.forgo", "--engine", "tensorflow", "--examples", folder / "rows.npy"
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (
        f"6 signatures are kept: serving_default, which answers clients that name none, {', '.join(HALF)}"
        in done.err + done.out
    )
    return folder / "half_plus_two.forgo"


@pytest.fixture(scope="module")
def url(half_plus_two: Path) -> Iterator[str]:
    with running(half_plus_two) as places:
        yield f"http://{places['http']}/v1/models/half_plus_two"


@pytest.mark.parametrize(
    ("verb", "body", "answer"),
    [
        ("predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),  # its front page
        ("predict", {"inputs": [[1.0], [2.0]]}, {"outputs": [[2.5], [3.0]]}),
        (
            "predict",
            {"signature_name": "regress_x2_to_y3", "instances": [[2.0]]},
            {"predictions": [[4.0]]},
        ),
        ("predict", {"instances": [B64], "signature_name": "regress_x_to_y"}, {"predictions": [[2.5]]}),
        (
            "regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": [20.0]}]},
            {"results": [42.0, 12.0]},
        ),
        (
            "regress",
            {"signature_name": "regress_x_to_y2", "context": {"x": 2.0}, "examples": [{}]},
            {"results": [4.0]},
        ),
        (
            "classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 80.0}, {"x": 20.0}]},
            {"results": [[["", 42.0]], [["", 12.0]]]},
        ),
    ],
)
def test_half_plus_two(url: str, verb: str, body: Any, answer: Any) -> None:
    got = requests.post(f"{url}:{verb}", json=body, timeout=60)
    assert (got.status_code, got.json()) == (200, answer)


def test_half_plus_two_says_what_it_has(half_plus_two: Path, url: str) -> None:
    described = requests.get(f"{url}/metadata", timeout=60).json()["metadata"]["signature_def"][
        "signature_def"
    ]
    assert sorted(described) == [*HALF, "serving_default"]
    methods = {name: s["method_name"].removeprefix("tensorflow/serving/") for name, s in described.items()}
    assert methods == {"serving_default": "predict", **{name: name.split("_")[0] for name in HALF}}
    for body in ({"signature_name": "nowhere", "instances": [1.0]}, {"signature_name": "x", "inputs": 1.0}):
        refused = requests.post(f"{url}:predict", json=body, timeout=60)
        assert refused.status_code == 400
        assert all(name in refused.json()["error"] for name in [body["signature_name"], *HALF])
    seen = json.loads(forgo("inspect", "--json", half_plus_two).out)["bundle"]["signatures"]
    assert [s["name"] for s in seen] == ["serving_default", *HALF]
    assert {s["golden_cases"] for s in seen} == {len(NUMBERS)}
    assert "36 of 36 cases of 6 signatures" in forgo("verify", half_plus_two).out
    row = half_plus_two.parent / "row.json"
    row.write_text(json.dumps({"inputs": B64}))
    done = forgo("predict", "--json", "--signature", "regress_x_to_y2", half_plus_two, row)
    assert json.loads(done.out)["outputs"] == {"outputs": [3.5]}
    assert "nowhere" in forgo("predict", "--signature", "nowhere", half_plus_two, row).err
    document = requests.get(url.split("/v1/")[0] + "/openapi.json", timeout=60).text
    assert all(name in document for name in HALF)
    described = requests.get(url.split("/v1/")[0] + "/v2/models/half_plus_two", timeout=60).json()
    assert [i["name"] for i in described["inputs"]] == ["x"]  # a protocol without signatures


def test_half_plus_three(tmp_path: Path) -> None:
    """A signature of tensors of any rank, by a scalar too."""
    saved = serving_models.half_plus_three(tmp_path / "half_plus_three")
    package.export(saved, tmp_path / "half_plus_three.forgo", engine="tensorflow", examples=NUMBERS[:, 0])
    with running(tmp_path / "half_plus_three.forgo") as places:
        url = f"http://{places['http']}/v1/models/half_plus_three:predict"
        for body, answer in (
            ({"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}),
            ({"inputs": 1.0}, {"outputs": 3.5}),
            ({"inputs": {"x": 1.0}}, {"outputs": 3.5}),
            ({"inputs": [1.0, 2.0]}, {"outputs": [3.5, 4.0]}),
        ):
            got = requests.post(url, json=body, timeout=60)
            assert (got.status_code, got.json()) == (200, answer)


@pytest.mark.parametrize(("engine", "batch"), [("onnxruntime", None), ("tensorflow", 2)])
def test_mnist_by_its_own_name(tmp_path: Path, engine: str, batch: int | None) -> None:
    """mnist_client asks for predict_images, images and scores, whatever engine answers."""
    saved = serving_models.mnist(tmp_path / "saved", batch)
    pictures = np.random.default_rng(1).random((5, 784)).astype(np.float32)
    package.export(saved, tmp_path / "mnist.forgo", engine=engine, examples=pictures)
    want: Any = SavedModel(saved, trust=True).predict({"images": pictures})["scores"]
    with running(tmp_path / "mnist.forgo") as places:
        url = f"http://{places['http']}/v1/models/mnist"
        for name in ("predict_images", "serving_default", ""):
            body = {"signature_name": name, "inputs": {"images": pictures[:3].tolist()}}
            got = requests.post(f"{url}:predict", json=body, timeout=60)
            np.testing.assert_allclose(got.json()["outputs"], want[:3], atol=1e-4)
        described = requests.get(f"{url}/metadata", timeout=60).json()["metadata"]["signature_def"]
        assert list(described["signature_def"]["predict_images"]["outputs"]) == ["scores"]


def run(folder: Path, saved: SavedModel, **request: Any) -> tuple[Result, Any]:
    path = folder / "m.forgo"
    result = _pipeline.run(saved, Request(path, engine="tensorflow", **request))
    return result, json.loads((path / "forgo.json").read_text())


def test_what_cannot_be_proven_is_left_out_and_said(tmp_path: Path) -> None:
    saved = SavedModel(several(tmp_path / "saved"), several=True)
    result, manifest = run(tmp_path, saved, rows={"x": NUMBERS})
    assert manifest["graph"]["signature"] == "serving_default"
    assert [s["name"] for s in manifest["signatures"]] == ["twice"]
    said = "\n".join(result.notes)
    assert "2 signatures are kept: serving_default, which answers clients that name none, twice" in said
    assert "signature counts is left out: it answers 'y' differently when it runs again" in said
    assert "signature nothing is left out: 'nothing' has no inputs" in said
    assert "signature pairs is left out: the examples do not fit its inputs (pair int32[None, 2])" in said
    assert "give rows for 'pairs' with signature_examples" in said


def test_examples_of_a_signature(tmp_path: Path) -> None:
    saved = SavedModel(several(tmp_path / "saved"), signature="twice,pairs", several=True)
    pairs = np.arange(8, dtype=np.int32).reshape(4, 2)
    _, manifest = run(
        tmp_path, saved, rows={"": NUMBERS}, signature="twice,pairs", signature_rows={"pairs": {"": pairs}}
    )
    assert manifest["graph"]["signature"] == "twice"
    (kept,) = manifest["signatures"]
    assert (kept["name"], kept["method"], len(kept["golden"]["cases"])) == ("pairs", "predict", 4)


@pytest.mark.parametrize(
    ("signature", "given", "says"),
    [
        ("twice,nowhere", {}, "it has no signature 'nowhere', only counts"),
        ("twice,twice", {}, "appears twice"),
        ("twice,pairs", {}, "'pairs' cannot be kept: the examples do not fit its inputs"),
        ("twice,counts", {}, "'counts' cannot be kept: it answers 'y' differently"),
        ("twice", {"pairs": NUMBERS}, "signature_examples needs a bundle"),
        (None, {"nowhere": NUMBERS}, "the signature 'nowhere'; beside 'serving_default' it has counts, nothing"),
        (None, {"pairs": NUMBERS}, "input 'pair' is not int32"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, signature: str | None, given: dict[str, Any], says: str) -> None:
    folder = several(tmp_path / "saved")
    rows = {name: {"": array} for name, array in given.items()}
    with pytest.raises(package.ExportError, match=says):  # noqa: PT012 - the first of them may say it
        saved = SavedModel(folder, signature=signature, several=True)
        run(tmp_path, saved, rows={"": NUMBERS}, signature=signature, signature_rows=rows)
    assert not (tmp_path / "m.forgo").exists()


def test_one_alone_with_the_default_engine(tmp_path: Path) -> None:
    """ONNX has one signature: the others are named, with what keeps them."""
    saved = SavedModel(several(tmp_path / "saved"))
    result = _pipeline.run(saved, Request(tmp_path / "m.forgo", rows={"": NUMBERS}))
    assert result.notes == [
        "only the signature serving_default is kept, not counts, nothing, pairs, twice: engine='tensorflow' keeps all"
    ]
    assert result.notes[0].as_command().endswith(": --engine tensorflow keeps all")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """tf.Examples as the model's own input, from a file, in base64."""
    saved = serving_models.half_plus_two(tmp_path / "half_plus_two")
    raw = base64.b64decode(B64["b64"])
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"inputs": B64}) + "\n" for _ in range(2)))
    path = tmp_path / "m.forgo"
    result = package.export(
        saved, path, engine="tensorflow", signature="regress_x_to_y", examples=rows, task="regression"
    )
    assert result.parity["cases"] == 2
    manifest = json.loads((path / "forgo.json").read_text())
    assert manifest["graph"]["method"] == "regress"
    case = json.loads((path / manifest["golden"]["cases"][0]["input"]).read_text())
    assert base64.b64decode(case["inputs"]["b64"]) == raw
    with running(path) as places:
        url = f"http://{places['http']}/v1/models/m"
        body = {"examples": [{"x": 80.0}]}
        assert requests.post(f"{url}:regress", json=body, timeout=60).json() == {"results": [42.0]}


def several(path: Path) -> Path:
    """TensorFlow 2: signatures that can be proven, and some that cannot."""
    import tensorflow as tf

    x = tf.TensorSpec([None, 1], tf.float32, name="x")
    module = tf.Module()
    module.count = tf.Variable(0.0)
    module.half = tf.function(lambda x: {"y": x / 2}, input_signature=[x])
    module.twice = tf.function(lambda x: {"y": x * 2}, input_signature=[x])
    module.counts = tf.function(lambda x: {"y": x + module.count.assign_add(1.0)}, input_signature=[x])
    module.nothing = tf.function(lambda: {"y": tf.constant([1.0])}, input_signature=[])
    pair = tf.TensorSpec([None, 2], tf.int32, name="pair")
    module.pairs = tf.function(lambda pair: {"sum": tf.reduce_sum(pair, 1)}, input_signature=[pair])
    signatures = {
        "serving_default": module.half, "twice": module.twice, "counts": module.counts,
        "nothing": module.nothing, "pairs": module.pairs,
    }  # fmt: skip
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path
