"""What ONNX can say after all: TensorFlow operations that tf2onnx leaves out or gets wrong, by parity."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import forgo
from forgo.exporting import _graph, _keras
from forgo.exporting._golden import difference
from tests import serving_models

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(1)
ROWS = np.concatenate(
    [GENERATOR.normal(size=(6, 4)) * 3, [[-0.0, 0.0, 0.0, -1.0], [0.0, -0.0, -2.0, -0.0]]]
).astype(np.float32)
IMAGES = GENERATOR.uniform(0, 255, (3, 16, 12, 4)).astype(np.float32)
WHOLE = np.array([[-7, -1, 0, 1], [7, 6, -6, 3]], np.int32)


def function(body: Callable[[Any], Any], rows: Any) -> Any:
    given = keras.Input(rows.shape[1:], dtype=rows.dtype.name)
    return keras.Model(given, body(given))


def resized(**options: Any) -> Any:
    return lambda x: layers.Resizing(7, 9, **options)(x)


@pytest.mark.parametrize(
    ("name", "body", "rows"),
    [
        ("exact gelu", lambda x: keras.activations.gelu(x, approximate=False), ROWS),
        ("celu", keras.activations.celu, ROWS),
        ("argmax", lambda x: ops.argmax(x, axis=-1), ROWS),
        ("argmin", lambda x: ops.argmin(x, axis=-1), ROWS),
        ("discretization", layers.Discretization([-1.0, 0.0, 2.5]), ROWS),
        ("discretization of integers", layers.Discretization([-1.0, 0.0, 2.5]), WHOLE),
        ("grouped convolution", lambda x: layers.Conv2D(8, 3, groups=2)(x), IMAGES),
        ("depth in groups, strided", lambda x: layers.Conv2D(8, 3, groups=4, strides=2, padding="same")(x), IMAGES),
        ("grouped in one dimension", lambda x: layers.Conv1D(8, 3, groups=2)(x), IMAGES[:, :, 0, :]),
        ("antialias", resized(antialias=True), IMAGES),
        ("antialias, cropped", resized(antialias=True, crop_to_aspect_ratio=True), IMAGES),
        ("antialias, larger", lambda x: layers.Resizing(30, 20, antialias=True)(x), IMAGES),
        ("bicubic antialias", resized(antialias=True, interpolation="bicubic"), IMAGES),
        ("lanczos", resized(interpolation="lanczos3"), IMAGES),
        ("area", resized(interpolation="area"), IMAGES),
        ("padded", resized(pad_to_aspect_ratio=True), IMAGES),
        ("floor of a quotient", lambda x: x // 2, WHOLE),
        ("floor of a negative quotient", lambda x: x // -3, WHOLE),
        ("floor of a quotient of numbers", lambda x: x // 2, ROWS),
    ],
)  # fmt: skip
def test_operations(name: str, body: Any, rows: Any) -> None:
    keras.utils.set_random_seed(2)
    model = _keras.KerasModel(function(body, rows), picture=False)
    given = {model.inputs[0].name: rows}
    want = model.predict(given)
    runtime = _graph.OnnxModel(
        _graph.rename_tensors(model.to_onnx(), model.inputs, model.outputs), model.outputs
    )
    for batch in (given, {k: v[:1] for k, v in given.items()}):
        for output, got in runtime.predict(batch).items():
            assert got.dtype == want[output].dtype
            assert difference(got, want[output][: len(got)]) < 1e-4, name


def test_a_nan_is_above_all_boundaries() -> None:
    rows = np.array([[np.nan, 0.0, -np.inf, np.inf]], np.float32)
    model = _keras.KerasModel(function(layers.Discretization([0.0, 1.0]), rows), picture=False)
    runtime = _graph.OnnxModel(
        _graph.rename_tensors(model.to_onnx(), model.inputs, model.outputs), model.outputs
    )
    (got,) = runtime.predict({model.inputs[0].name: rows}).values()
    assert got.tolist() == [[2, 1, 0, 2]]


@pytest.mark.parametrize(
    ("name", "layer", "rows", "says"),
    [
        ("texts", lambda: layers.TextVectorization(vocabulary=["a", "b"]), np.array(["a b", "c"], object), "tables"),
        ("string lookup", lambda: layers.StringLookup(vocabulary=["a"]), np.array([["a"], ["b"]], object), "tables"),
        ("integer lookup", lambda: layers.IntegerLookup(vocabulary=[1, 2]), np.array([[1], [3]], np.int64), "tables"),
        ("hashing", lambda: layers.Hashing(5), np.array([[1], [3]], np.int64), "StringToHashBucketFast"),
        ("a function without a rule", lambda: ops.erfinv, ROWS, "no operation Erfinv"),
    ],
)  # fmt: skip
def test_the_engine_that_is_needed_is_named(
    name: str, layer: Any, rows: Any, says: str, tmp_path: Path
) -> None:
    dtype = "string" if rows.dtype == object else rows.dtype.name
    given = keras.Input(rows.shape[1:], dtype=dtype)
    model = keras.Model(given, layer()(given))
    with pytest.raises(forgo.ExportError, match=says) as caught:
        _keras.KerasModel(model, picture=False).to_onnx()
    assert "engine='tensorflow'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_models_from_beginning_to_end(tmp_path: Path) -> None:
    """The whole command: one line, exit 1, nothing left behind; with the engine it names, a bundle."""
    vectorize = layers.TextVectorization(vocabulary=["go", "python"], output_mode="multi_hot")
    model = keras.Sequential([keras.Input((), dtype="string", name="text"), vectorize, layers.Dense(2)])
    rows = np.array(["go", "python go", "neither\r\nof them", ""])  # not all of which a CSV can carry
    with pytest.raises(forgo.ExportError, match="engine='tensorflow'"):
        forgo.export(model, tmp_path / "m.forgo", examples=rows)
    assert list(tmp_path.iterdir()) == []
    assert forgo.export(model, tmp_path / "m.forgo", examples=rows, engine="tensorflow").parity["cases"] == 4


def test_half_plus_two_with_the_default_engine(tmp_path: Path) -> None:
    saved = serving_models.half_plus_two(tmp_path / "half_plus_two")
    rows = np.array([[1.0], [2.0], [5.0]], np.float32)
    forgo.export(saved, tmp_path / "m.forgo", examples=rows)
    with pytest.raises(forgo.ExportError, match=r"engine='tensorflow'") as caught:
        forgo.export(saved, tmp_path / "n.forgo", no_goldens=True, signature="regress_x_to_y")
    assert "ParseExample" in str(caught.value)
    old = serving_models.half_plus_two(tmp_path / "old", references=True)
    with pytest.raises(forgo.ExportError, match=r"engine='tensorflow'"):
        forgo.export(old, tmp_path / "n.forgo", examples=rows)
    forgo.export(old, tmp_path / "n.forgo", examples=rows, engine="tensorflow")


def test_mixed_precision_is_rebuilt_in_float32(tmp_path: Path) -> None:
    """With what else people put into such models; the rounding that was lost is recorded."""
    keras.utils.set_random_seed(3)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [
                keras.Input((16, 12, 4), name="planes"),
                layers.Resizing(8, 8, antialias=True),
                layers.Rescaling(1 / 255),
                layers.Conv2D(8, 3, groups=2, activation="gelu"),
                keras.Sequential([layers.BatchNormalization(), layers.Activation("celu")]),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    finally:
        keras.config.set_dtype_policy(policy)
    result = forgo.export(model, tmp_path / "m.forgo", examples=IMAGES, labels=["a", "b", "c"])
    assert result.parity["top1_agreement"] == 1
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert {e["dtype"] for e in [*manifest["inputs"], *manifest["outputs"]]} == {"float32"}
    assert manifest["provenance"]["mixed_precision"]["rebuilt_in"] == "float32"
    assert 0 < manifest["provenance"]["mixed_precision"]["difference"] < 0.01


def test_a_rebuilt_model_that_answers_otherwise_is_refused() -> None:
    from forgo.exporting import _precision

    with pytest.raises(forgo.ExportError, match="more than rounding"):
        _precision.check_close({"a": np.array([[0.1]], np.float32)}, {"a": np.array([[0.2]], np.float16)})


def test_code_of_the_callers_own(tmp_path: Path) -> None:
    """A layer that no other process knows: the model in memory has it."""

    class Doubled(layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * 2

    given = keras.Input((4,))
    model = keras.Model(given, layers.Dense(3, activation="softmax", name="scores")(Doubled()(given)))
    forgo.export(model, tmp_path / "m.forgo", examples=ROWS, labels=["a", "b", "c"])
    model.save(tmp_path / "m.keras")
    with pytest.raises(forgo.ExportError, match=r"Doubled is code of yours: load the model in Python"):
        forgo.export(tmp_path / "m.keras", tmp_path / "n.forgo", examples=ROWS)


def test_a_models_own_names_are_kept(tmp_path: Path) -> None:
    """And in a dict of outputs each name keeps its values, whatever the order it was written in."""
    given = keras.Input((4,), name="measures")
    outputs = {"q": layers.Dense(1, name="d1")(given), "p": layers.Dense(2, name="d2")(given)}
    model = keras.Model(given, outputs)
    adapter = _keras.KerasModel(model, picture=False)
    assert {e.name: e.shape for e in adapter.outputs} == {"p": (None, 2), "q": (None, 1)}
    want = model.predict(ROWS, verbose=0)
    for name, got in adapter.predict({"measures": ROWS}).items():
        np.testing.assert_array_equal(got, want[name])
    forgo.export(model, tmp_path / "m.forgo", examples=ROWS, engine="tensorflow")

    def names(*stack: Any) -> list[tuple[str, bool]]:
        made = _keras.KerasModel(keras.Sequential([keras.Input((4,)), *stack]), picture=False)
        return [(e.name, e.hidden) for e in made.outputs]

    assert names(layers.Dense(3, activation="softmax", name="scores")) == [
        ("scores", False),
        ("logits", True),
    ]
    assert names(layers.Dense(3, activation="softmax")) == [("probabilities", False), ("logits", True)]
    assert names(layers.Dense(3), layers.Softmax(name="logits")) == [
        ("logits", False),
        ("logits_before", True),
    ]
    assert names(layers.Dense(1, name="price")) == [("price", False)]
    assert names(layers.Dense(1)) == [("output", False)]
