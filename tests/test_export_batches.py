"""Models that take one row at a time, so many rows at once, or tensors of any rank; and what keeps state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import ml_dtypes  # noqa: F401 - NumPy knows bfloat16 with it
import numpy as np
import pytest
from keras import layers
from PIL import Image

import forgo
from forgo import _preprocess
from forgo._picture import decode
from forgo.exporting import _keras, _pipeline
from forgo.exporting._request import Request
from forgo.exporting._saved_model import SavedModel
from tests import serving_models
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = np.random.default_rng(4).normal(size=(20, 4)).astype(np.float32)
NUMBERS = np.arange(7, dtype=np.float32)


def answered(path: Path, row: Any, folder: Path) -> Any:
    (folder / "row.json").write_text(json.dumps(row))
    done = run_forgo("predict", "--json", path, folder / "row.json")
    assert done.code == 0, done.err
    return json.loads(done.out)["outputs"]


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch(tmp_path: Path, engine: str, batch: int) -> None:
    """Go runs the rows of its callers in parts of so many; the replay asks it with more and with fewer."""
    keras.utils.set_random_seed(6)
    model = keras.Sequential([keras.Input(batch_shape=(batch, 4)), layers.Dense(2, name="scores")])
    adapter = _keras.KerasModel(model, picture=False)
    path = tmp_path / "m.forgo"
    result = _pipeline.run(adapter, Request(path, rows={"": ROWS}, engine=engine))
    assert result.parity["cases"] == 16
    manifest = json.loads((path / "forgo.json").read_text())
    assert manifest["graph"]["batch"] == batch
    assert manifest["inputs"][0]["shape"] == [None, 4]
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(
        answered(path, ROWS[5].tolist(), tmp_path)["scores"], ROWS[5] @ kernel + bias, atol=1e-4
    )


@pytest.mark.parametrize(
    ("dtype", "engine"),
    [
        ("int32", "onnxruntime"),
        ("int32", "tensorflow"),
        ("float16", "onnxruntime"),
        ("bfloat16", "tensorflow"),
    ],
)
def test_types_that_are_not_float32(tmp_path: Path, dtype: str, engine: str) -> None:
    rows = (np.arange(24).reshape(8, 3) * (0.1 if dtype == "bfloat16" else 1)).astype(dtype)
    path = tmp_path / "m.forgo"
    saved = SavedModel(serving_models.typed_sum(tmp_path / "saved", dtype))
    result = _pipeline.run(saved, Request(path, rows={"x": rows}, engine=engine))
    assert result.parity["mode"] == "full"
    manifest = json.loads((path / "forgo.json").read_text())
    assert [manifest["inputs"][0]["dtype"], manifest["outputs"][0]["dtype"]] == [dtype, dtype]
    np.testing.assert_array_equal(answered(path, rows[5].tolist(), tmp_path)["y"], rows[5] + 1)


def test_bfloat16_names_the_engine_that_runs_it(tmp_path: Path) -> None:
    saved = SavedModel(serving_models.typed_sum(tmp_path / "saved", "bfloat16"))
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    with pytest.raises(forgo.ExportError, match="engine='tensorflow' runs it as it is"):
        _pipeline.run(saved, Request(tmp_path / "m.forgo", rows={"x": rows}))


@pytest.mark.parametrize(
    ("make", "engine", "rows", "shape"),
    [
        (serving_models.half_plus_three, "tensorflow", NUMBERS, [None]),
        (serving_models.half_plus_three, "onnxruntime", NUMBERS[:, None], [None, None]),
        (serving_models.halved_scalar, "tensorflow", NUMBERS, [None]),
        (serving_models.halved_scalar, "onnxruntime", NUMBERS, [None]),
        (lambda path: serving_models.mnist(path, batch=2), "tensorflow", np.eye(5, 784, dtype=np.float32), [None, 784]),
    ],
)  # fmt: skip
def test_signatures_of_tensorflow_servings_examples(
    tmp_path: Path, make: Callable[[Path], Path], engine: str, rows: Any, shape: Any
) -> None:
    model = SavedModel(make(tmp_path / "saved"))
    model.settle({"": rows})
    path = tmp_path / "m.forgo"
    _pipeline.run(model, Request(path, rows={"": rows}, engine=engine))
    assert json.loads((path / "forgo.json").read_text())["inputs"][0]["shape"] == shape
    if make is not serving_models.half_plus_three:
        return
    got = answered(path, rows[3].tolist(), tmp_path)["y"]
    np.testing.assert_allclose(got, rows[3] / 2 + 3)


@pytest.mark.parametrize(
    ("make", "options", "rows", "says"),
    [
        (serving_models.half_plus_three, {}, None, "tensors of any rank: give examples"),
        (serving_models.counter, {"signature": "get_counter"}, NUMBERS, "has no inputs"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, make: Any, options: Any, rows: Any, says: str) -> None:
    with pytest.raises(forgo.ExportError, match=says):
        SavedModel(make(tmp_path / "saved"), **options).settle({"": rows} if rows is not None else None)


def test_a_model_with_a_state_is_refused(tmp_path: Path) -> None:
    model = SavedModel(serving_models.counter(tmp_path / "saved"), signature="incr_counter_by", trust=True)
    request = Request(tmp_path / "m.forgo", rows={"": NUMBERS + 1}, engine="tensorflow")
    with pytest.raises(forgo.ExportError, match="keeps state"):
        _pipeline.run(model, request)
    assert not (tmp_path / "m.forgo").exists()


def test_grey_as_pillow_makes_it() -> None:
    """Every sum of weighed colours that can round otherwise is among so many."""
    colours = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    prepare = _preprocess.Preprocessor(_preprocess.build(256, 256, channels=1))
    want = np.asarray(Image.fromarray(colours).convert("L"), np.float32)
    np.testing.assert_array_equal(prepare(colours)[:, :, 0], want)
    for resize in ("bilinear-antialias", "nearest", "bilinear-tf1"):
        made = _preprocess.build(64, 48, channels=1, resize=resize, fit="crop")
        assert _preprocess.Preprocessor(made)(colours).shape == (64, 48, 1)
    half = np.asarray(Image.fromarray(colours).convert("L").resize((128, 128), Image.Resampling.BILINEAR))
    made = _preprocess.build(128, 128, channels=1, resize="bilinear-antialias")
    assert np.abs(_preprocess.Preprocessor(made)(colours)[:, :, 0] - half).max() <= 1


def test_pictures_of_one_channel(tmp_path: Path) -> None:
    """With one probability for two labels, and a normalization of one number."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    labels = ["left", "right"]
    path = tmp_path / "m.forgo"
    result = forgo.export(model, path, examples=pictures, labels=labels, scale="1/255", mean=0.5)
    assert result.parity["top1_agreement"] == 1
    grey = Image.fromarray(decode(pictures[0].read_bytes())).convert("L")
    prepare = _preprocess.Preprocessor(_preprocess.build(16, 16, channels=1))
    pixels = prepare(np.asarray(grey.convert("RGB")))[None] / 255 - 0.5
    p = float(model.predict(pixels, verbose=0)[0, 0])
    done = run_forgo("predict", "--json", "--top", "0", path, pictures[0])
    got = {c["label"]: c["score"] for c in json.loads(done.out)["classes"]}
    assert got == pytest.approx({"left": 1 - p, "right": p}, abs=1e-4)
    with pytest.raises(forgo.ExportError, match="one number for its one channel"):
        forgo.export(model, tmp_path / "n.forgo", examples=pictures, labels=labels, mean="1,2,3")
