"""What adapters of Keras, SavedModels and ONNX files refuse: one line that says what to do, and no bundle."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from onnx import TensorProto, helper

import forgo
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


@keras.saving.register_keras_serializable("forgo-tests")
class Singular(keras.layers.Layer):  # type: ignore[misc]
    """An operation that ONNX lacks."""

    def call(self, rows: Any) -> Any:
        return tf.linalg.svd(tf.reshape(rows, (-1, 2, 2)), compute_uv=False)


def dense() -> Any:
    return keras.Sequential([keras.Input((4,), name="row"), keras.layers.Dense(3, "softmax")])


def singular() -> Any:
    row = keras.Input((4,))
    return keras.Model(row, Singular()(row))


BAD: dict[str, tuple[Any, Any, str]] = {
    "no examples": (dense, None, "parity cannot be proven without examples: give examples"),
    "no rows": (dense, ROWS[:0], "none of the given ones can be used"),
    "rows of another shape": (dense, ROWS[:, :3], "input 'row' has shape (9, 3), but the model takes (None, 4)"),
    "another input": (dense, {"z": ROWS}, "the model has no input 'z'; it has ['row']"),
    "strings": (dense, np.array(["a", "b"], dtype=object), "input 'row' is not float32: the values are strings"),
    "an operation that ONNX lacks": (singular, ROWS, "ONNX has no operation Svd"),
    "not built": (lambda: keras.Sequential([keras.layers.Dense(3)]), ROWS, "the model has no inputs yet: call it on data"),
    "a layer": (lambda: keras.layers.Dense(3), ROWS, "Dense cannot be exported: give a Keras 3 model, "),
    "a class": (lambda: keras.Sequential, ROWS, "builtins.type cannot be exported: give a Keras 3 model, "),
    "weights alone": (OrderedDict, ROWS, "OrderedDict cannot be exported: give a Keras 3 model, "),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make, examples, says = BAD[name]
    with pytest.raises(forgo.ExportError) as refused:
        forgo.export(make(), tmp_path / "m.forgo", examples=examples)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    model = dense()
    for name in ("m.keras", "m.h5"):
        model.save(folder / name)
    model.export(folder / "saved", verbose=False)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["row"], ["p"])], "g",
        [value("row", TensorProto.FLOAT, [None, 4])], [value("p", TensorProto.FLOAT, [None, 4])],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    np.save(folder / "rows.npy", ROWS)
    return folder


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.onnx", "saved/saved_model.pb"])
def test_a_file_that_was_cut_off(name: str, whole: Path, tmp_path: Path) -> None:
    top = name.split("/", maxsplit=1)[0]
    copied = tmp_path / top
    if (whole / top).is_dir():
        shutil.copytree(whole / top, copied)
    data = (whole / name).read_bytes()
    for size in (len(data) // 2,) if copied.is_dir() else (0, 1, len(data) // 2, len(data) - 1):
        (tmp_path / name).write_bytes(data[:size])
        with pytest.raises(forgo.ExportError) as refused:
            forgo.export(copied, tmp_path / "m.forgo", examples=ROWS)
        assert str(refused.value).startswith(f"{copied}: "), refused.value
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [copied]


def test_the_command_says_it_in_one_line(whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "m.keras"
    cut.write_bytes((whole / "m.keras").read_bytes()[:999])
    done = run_forgo("export", cut, "-o", tmp_path / "m.forgo", "--examples", whole / "rows.npy")
    assert (done.code, done.out) == (1, "")
    assert (
        done.err == f"forgo: {cut}: Keras cannot load it: it is not a .keras file: File is not a zip file\n"
    )
    assert list(tmp_path.iterdir()) == [cut]
