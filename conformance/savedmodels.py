"""Writes the SavedModels that the Go tests open, and what TensorFlow answers for them.

    make conformance

savedmodels/: the graphs of the engine conformance kit, models with and without signatures, of
TensorFlow 1 and 2, and some that reach for files.
savedmodels.json: inputs, and the outputs that this TensorFlow gives for them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parent.parent))
from conformance import prepared

v1 = tf.compat.v1
HERE = Path(__file__).parent / "savedmodels"

TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "string",
)  # fmt: skip

Ends = dict[str, Any]


def save(
    name: str,
    build: Callable[[], tuple[Ends, Ends]],
    *,
    tags: tuple[str, ...] = ("serve",),
    signature: bool = True,
    feed: Ends | None = None,
    **meta: Any,
) -> dict[str, Any]:
    """Write a graph with TensorFlow 1's builder; answer for ``feed``, by tensor name."""
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(3)
        inputs, outputs = build()
        session.run(v1.global_variables_initializer())
        answers = {}
        if feed is not None:
            got = session.run(outputs, {inputs[key]: value for key, value in feed.items()})
            answers = {key: np.asarray(value).tolist() for key, value in got.items()}
        signatures = {"serving_default": v1.saved_model.predict_signature_def(inputs, outputs)}
        builder = v1.saved_model.Builder(str(path))
        meta = {key: make() for key, make in meta.items()}
        builder.add_meta_graph_and_variables(
            session, list(tags), signature_def_map=signatures if signature else None, **meta
        )
        builder.save()
    return answers


def affine() -> tuple[Ends, Ends]:
    """Twice the input and one, where 2 and 1 are variables."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    two, one = v1.get_variable("two", initializer=2.0), v1.get_variable("one", initializer=1.0)
    return {"x": x}, {"y": tf.add(x * two, one, "y")}


def two() -> tuple[Ends, Ends]:
    """The sum and the difference of two inputs."""
    a, b = (v1.placeholder(tf.float32, [None, 2], name) for name in "ab")
    return {"a": a, "b": b}, {"sum": a + b, "difference": a - b}


def same(dtype: str) -> tuple[Ends, Ends]:
    """The input, unchanged."""
    x = v1.placeholder(dtype, [None, 2], "x")
    return {"x": x}, {"y": tf.identity(x, "y")}


def slow() -> tuple[Ends, Ends]:
    """Minutes of square roots."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    _, y = tf.while_loop(lambda i, _: i < 2_000_000_000, lambda i, y: (i + 1, tf.sqrt(y)), (0, x))
    return {"x": x}, {"y": tf.identity(y, "y")}


def old_classifier() -> tuple[Ends, Ends]:
    """A classifier as the old tag adder left it: `input_1`, `inferenceLayer/Softmax`, no signature."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], "input_1")
    kernel = v1.get_variable("conv/kernel", [3, 3, 3, 4])
    hidden = tf.nn.relu(tf.nn.conv2d(x / 255.0, kernel, 2, "SAME", name="conv/Conv2D"))
    hidden = tf.reduce_mean(hidden, [1, 2], name="pool")
    weights = v1.get_variable("inferenceLayer/kernel", [4, 2])
    bias = v1.get_variable("inferenceLayer/bias", initializer=np.array([0.1, -0.1], np.float32))
    logits = tf.nn.bias_add(tf.matmul(hidden, weights), bias, name="inferenceLayer/BiasAdd")
    return {"input_1": x}, {"inferenceLayer/Softmax": tf.nn.softmax(logits, name="inferenceLayer/Softmax")}


def reads() -> tuple[Ends, Ends]:
    """The content of files."""
    path = v1.placeholder(tf.string, [None], "path")
    return {"path": path}, {"content": tf.map_fn(tf.io.read_file, path)}


def prints() -> tuple[Ends, Ends]:
    """The input, written to a file on the way."""
    x = v1.placeholder(tf.float32, [None], "x")
    with tf.control_dependencies([tf.print(x, output_stream="file:///tmp/forgo-prints-here")]):
        return {"x": x}, {"y": tf.identity(x)}


def several() -> None:
    """Two meta graphs, and several signatures without a default."""
    path = HERE / "several"
    shutil.rmtree(path, ignore_errors=True)
    builder = v1.saved_model.Builder(str(path))
    with tf.Graph().as_default(), v1.Session() as session:
        ends, out = two()
        session.run(v1.global_variables_initializer())
        signatures = {
            key: v1.saved_model.predict_signature_def(ends, {key: value}) for key, value in out.items()
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
    with tf.Graph().as_default(), v1.Session():
        two()
        builder.add_meta_graph(["serve", "tpu"])
    builder.save()


class Text(tf.Module):  # type: ignore[misc]
    """Words to numbers, by a vocabulary that lies in assets/."""

    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        self.file = tf.saved_model.Asset(str(vocabulary))
        table = tf.lookup.TextFileInitializer(
            self.file,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(table, -1)
        self.scale = tf.Variable([1, 1], dtype=tf.int64)

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([None, 2], tf.string, "words")]
    )
    def __call__(self, words: Any) -> Ends:
        """Answer with each word's number, and the word in capitals."""
        return {"number": self.table.lookup(words) * self.scale, "loud": tf.strings.upper(words)}


def table(vocabulary: Path) -> tuple[Ends, Ends]:
    """The numbers of words, as TensorFlow 1 keeps vocabularies."""
    words = v1.placeholder(tf.string, [None, 2], "words")
    file = tf.lookup.TextFileInitializer(
        str(vocabulary),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    return {"words": words}, {"number": v1.lookup.StaticHashTable(file, -1).lookup(words)}


def table_outside(vocabulary: Path) -> tuple[Ends, Ends]:
    """The same, where the vocabulary stays where it was."""
    ends = table(vocabulary)
    v1.get_default_graph().clear_collection(v1.GraphKeys.ASSET_FILEPATHS)
    return ends


def text() -> None:
    """Models with a vocabulary in a file: inside their folder, and outside."""
    vocabulary = HERE / "words.txt"
    vocabulary.write_text("forgo\npredict\nserve\n")
    try:
        for name in ("text", "asset-outside"):
            shutil.rmtree(HERE / name, ignore_errors=True)
            module = Text(vocabulary)
            tf.saved_model.save(module, str(HERE / name), signatures=module.__call__)
        save(
            "text-v1",
            lambda: table(vocabulary),
            main_op=v1.tables_initializer,
            assets_collection=lambda: v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        save("table-outside", lambda: table_outside(vocabulary), main_op=v1.tables_initializer)
    finally:
        vocabulary.unlink()
    path = HERE / "asset-outside" / "saved_model.pb"
    data = path.read_bytes()
    assert b"words.txt" in data
    # Of the same length, so that the lengths around it stay true.
    path.write_bytes(data.replace(b"words.txt", b"../../x.t"))


def iris() -> tuple[Ends, Ends]:
    """The network of bundles/iris.forgo, for its golden cases to be replayed in TensorFlow."""
    graph = onnx.load(HERE.parent / "bundles" / "iris.forgo" / "model.onnx").graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}

    def weight(end: str) -> Any:
        (name,) = (name for name in weights if name.endswith(end))
        return v1.get_variable(f"weight_{len(v1.global_variables())}", initializer=weights[name])

    x = v1.placeholder(tf.float32, [None, 4], "rows")
    hidden = (x - weight("normalization_1/Sub/y:0")) * weight("truediv_recip:0")
    hidden = tf.nn.relu(
        hidden @ weight("dense_1/Cast/ReadVariableOp:0") + weight("dense_1/BiasAdd/ReadVariableOp:0")
    )
    logits = hidden @ weight("logits_1/Cast/ReadVariableOp:0") + weight("logits_1/BiasAdd/ReadVariableOp:0")
    return {"input": x}, {"logits": logits, "probabilities": tf.nn.softmax(logits, name="softmax")}


def keras_classifier() -> dict[str, Any]:
    """What Keras 3 exports: functions, a signature, names that it made up."""
    import keras

    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((4,), name="measurements"),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(3, activation="softmax", name="inferenceLayer"),
        ]
    )
    shutil.rmtree(HERE / "keras", ignore_errors=True)
    model.export(HERE / "keras", verbose=False)
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)
    return {"inputs": {"measurements": x.tolist()}, "outputs": {"output_0": np.asarray(model(x)).tolist()}}


def main() -> None:
    """Write everything anew."""
    HERE.mkdir(exist_ok=True)
    save("affine", affine)
    save("two", two)
    save("slow", slow)
    for dtype in TYPES:
        save(f"same-{dtype}", lambda dtype=dtype: same(dtype))  # type: ignore[misc]
    save("iris", iris)
    save("reads", reads)
    save("prints", prints)
    save(
        "writes-at-load",
        two,
        main_op=lambda: tf.group(tf.io.write_file("/tmp/forgo-writes-here", "written"), name="main"),
    )
    several()
    text()
    picture = np.random.default_rng(7).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    picture[1] = np.array(prepared.cases()[0]["values"])
    answers = {
        "forGo": {
            "inputs": {"input_1": picture.tolist()},
            "outputs": save(
                "forGo", old_classifier, tags=("tags",), signature=False, feed={"input_1": picture}
            ),
        },
        "keras": keras_classifier(),
    }
    (HERE.parent / "savedmodels.json").write_text(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
