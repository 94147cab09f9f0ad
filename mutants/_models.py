"""Bundles to plant skews in that no trainer makes: ``python -m mutants._models FOLDER``.

``caffe.forgo`` takes pictures as ResNet50's weights want them, BGR with means taken off;
among its cases are JPEGs without Huffman tables, one in CMYK, PNGs with alpha and with 16 bits, an
animated GIF, a lossy WebP and a TIFF with a predictor.
``normalized.forgo`` does not normalize them itself: export put that before its graph. ``texts.forgo`` takes texts. ``tags.forgo`` holds a SavedModel with two graphs of two signatures each, all of the same shape.
``cut.forgo`` and ``padded.forgo`` bring pictures to their size as torchvision and Pillow's ImageOps.pad do, and
``area.forgo`` as TensorFlow does, by sums of floats.
``kernels.forgo`` has what the kernels of the engine in pure Go can get wrong, in one graph; its cases hold what
ONNX Runtime answers.
``table.forgo`` takes columns of a table: numbers, some of them missing, texts that training did not know, categories.
``numbers.forgo`` takes columns of numbers alone.
``precise.forgo`` has trees whose thresholds float32 cannot tell apart, ``categories.forgo`` such that split by categories
too.
``grey.forgo`` takes grey pictures, ``ripe.forgo`` three rows at once, with several labels.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import forgo

BUNDLES = Path(__file__).parent.parent / "conformance" / "bundles"
SIGNATURES = ("serving_default", "other")
CUT, GROUND = 19, (114, 114, 114)
TAGS = (["serve"], ["serve", "other"])


def caffe(path: Path) -> None:
    """Write the bundle of a small network behind the normalization of ResNet50."""
    import keras

    from forgo.training._network import caffe_normalization

    keras.utils.set_random_seed(11)
    pixels = keras.Input((16, 16, 3), name="input_1")
    x = keras.layers.Conv2D(16, 3, activation="relu")(
        keras.layers.Rescaling(1 / 64)(caffe_normalization()(pixels))
    )
    x = keras.layers.GlobalMaxPooling2D()(x)
    scores = keras.layers.Dense(3, activation="softmax", name="inferenceLayer")(x)
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    # Two of them, so that one comes after a picture with tables, whatever the order of the cases.
    pictures += sorted((BUNDLES.parent / "pictures").glob("no-huffman-tables*.jpg"))
    others = (
        "cmyk.jpg",
        "translucent.png",
        "sixteen-bit-rgb.png",
        "animated.gif",
        "lossy-10.webp",
        "differences.tif",
    )
    pictures += [BUNDLES.parent / "pictures" / name for name in others]
    forgo.export(keras.Model(pixels, scores), path, examples=pictures, labels=["cat", "dog", "horse"])


def normalized(path: Path) -> None:
    """Write the bundle of a network whose pixels were normalized outside it, in all the ways there are at once."""
    import keras

    keras.utils.set_random_seed(13)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(16, 3, activation="tanh")(pixels))
    scores = keras.layers.Dense(3, activation="softmax")(x)
    forgo.export(
        keras.Model(pixels, scores), path, examples=sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg")),
        labels=["cat", "dog", "horse"],
        channels="BGR", scale=1 / 255, mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229),
    )  # fmt: skip


def resized(path: Path, **rules: Any) -> None:
    """Write the bundle of a small network whose pictures are brought to its size by other rules than the usual ones."""
    import keras

    keras.utils.set_random_seed(15)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(16, 3, activation="tanh")(pixels))
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.Rescaling(1 / 255)(x))
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    forgo.export(
        keras.Model(pixels, scores), path, examples=pictures, labels=["cat", "dog", "horse"], **rules
    )


def tags(path: Path) -> None:
    """Write the bundle of a classifier of rows, the first signature of the first graph."""
    import tensorflow as tf
    from sklearn.datasets import load_iris

    v1 = tf.compat.v1
    generator = np.random.default_rng(12)
    builder = v1.saved_model.Builder(str(path.with_suffix("")))
    for number, tag in enumerate(TAGS):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 4], "input_1")
            weights = v1.get_variable("kernel", initializer=generator.normal(size=(4, 3)).astype(np.float32))
            signatures = {
                name: v1.saved_model.predict_signature_def(
                    {"input_1": x}, {"scores": tf.nn.softmax(x @ weights * (1 + 0.1 * (2 * number + i)))}
                )
                for i, name in enumerate(SIGNATURES)
            }
            if number == 0:
                session.run(v1.global_variables_initializer())
                builder.add_meta_graph_and_variables(session, tag, signature_def_map=signatures)
            else:
                builder.add_meta_graph(tag, signature_def_map=signatures)
    builder.save()
    forgo.export(
        path.with_suffix(""), path, tag=",".join(TAGS[0]), signature=SIGNATURES[0], engine="tensorflow",
        examples=load_iris().data.astype(np.float32), labels=["setosa", "versicolor", "virginica"],
    )  # fmt: skip


def texts(path: Path) -> None:
    """Write the bundle of a classifier of texts, by their length and their letters."""
    import tensorflow as tf

    v1 = tf.compat.v1
    words = ["Go", "Python", "forgo: train, predict", "Grüße", "葡萄酒", "a\tb", "UPPER and lower", ""]
    with tf.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [None], "text")
        letters = tf.strings.to_hash_bucket_fast(text, 97)
        facts = tf.stack([tf.strings.length(text), tf.cast(letters, tf.int32)], axis=1)
        weights = v1.get_variable("kernel", initializer=np.array([[0.1, -0.1], [0.01, 0.02]], np.float32))
        scores = tf.nn.softmax(tf.cast(facts, tf.float32) @ weights)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path.with_suffix("")), {"text": text}, {"scores": scores})
    forgo.export(
        path.with_suffix(""), path, examples=np.array(words), labels=["short", "long"], engine="tensorflow"
    )


def grey(path: Path) -> None:
    """Write the bundle of a classifier of grey pictures whose one sigmoid tells two labels apart."""
    import keras

    keras.utils.set_random_seed(13)
    pixels = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 64)(pixels))
    p = keras.layers.Dense(1, activation="sigmoid", name="is_dog")(keras.layers.GlobalMaxPooling2D()(x))
    pictures = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
    forgo.export(keras.Model(pixels, p), path, examples=pictures, labels=["cat", "dog"])


def ripe(path: Path) -> None:
    """Write the bundle of a multi-label model of rows that takes three at once."""
    import keras

    keras.utils.set_random_seed(14)
    row = keras.Input(batch_shape=(3, 4), name="row")
    scores = keras.layers.Dense(3, activation="sigmoid", name="scores")(row)
    rows = np.random.default_rng(14).normal(size=(40, 4)).astype(np.float32)
    forgo.export(
        keras.Model(row, scores), path, examples=rows, labels=["red", "round", "ripe"],
        task="multi-label", thresholds=[0.3, 0.5, 0.7],
    )  # fmt: skip


def table(path: Path) -> None:
    """Write the bundle of a classifier of a table's rows; every fourth income is missing, every fifth city is unknown."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    generator, known, count = np.random.default_rng(16), ["Lima", "Oslo", "Rome"], 120
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 80, count),
            "income": generator.normal(3e4, 1e4, count).round(2),
            "spend": generator.normal(2e4, 5e3, count).round(2),
            "city": generator.choice(known, count),
            "plan": pd.Categorical(generator.choice(["basic", "plus"], count)),
        }
    )
    score = (
        frame["income"] - frame["spend"] + 1e4 * (frame["city"] == "Oslo") + 5e3 * (frame["plan"] == "plus")
    )
    target = np.array(["low", "middle", "high"])[np.searchsorted(np.quantile(score, [1 / 3, 2 / 3]), score)]
    frame.loc[::4, "income"] = np.nan
    frame.loc[::5, "city"] = "Bergen"
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income", "spend"]),
        (OneHotEncoder(categories=[known], handle_unknown="ignore"), ["city"]), (OneHotEncoder(), ["plan"]),
    )  # fmt: skip
    model = make_pipeline(columns, LogisticRegression(C=10, max_iter=500)).fit(frame, target)
    forgo.export(model, path, examples=frame)


def numbers(path: Path) -> None:
    """Write the bundle of a classifier of columns of numbers, which clients may send as one matrix."""
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator, count = np.random.default_rng(22), 120
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 80, count),
            "income": generator.normal(3e4, 1e4, count).round(2),
            "share": generator.random(count).round(3),
        }
    )
    frame.loc[::4, "income"] = np.nan
    target = frame["age"] * frame["share"] > 20
    forgo.export(HistGradientBoostingClassifier(max_iter=9).fit(frame, target), path, examples=frame)


def precise(path: Path, *, categories: bool = False) -> None:
    """Write the bundle of trees on float64 that hang on what float32 rounds away, and on categories if these are there."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(18)
    rows = np.round(generator.normal(size=(2000, 3)), 3) + 1e-9 * generator.normal(size=(2000, 3))
    target = np.sin(rows[:, 0] * 1e9) > 0
    if categories:
        kinds = generator.integers(0, 8, 2000)
        rows, target = np.c_[rows, kinds], np.where(np.isin(kinds, (1, 4, 6)), 1, target)
    columns = [3] if categories else None
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0, categorical_features=columns)
    model.fit(rows, target.astype(int))
    forgo.export(model, path, examples=rows, labels=["even", "odd"], precision="float64")


def seal(bundle: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest with every digest made right."""
    for name, entry in manifest["files"].items():
        data = (bundle / name).read_bytes()
        entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    text = json.dumps(manifest).encode()
    (bundle / "forgo.json").write_bytes(text)
    (bundle / "forgo.sha256").write_text(f"{hashlib.sha256(text).hexdigest()}  forgo.json\n")


def _kernels() -> bytes:
    """Make a graph of iris's ends: trees with missing values and rows on their thresholds, a padded convolution,
    matrices whose sizes are no multiple of a vector's, and scales, biases and activations that become part of these.
    """
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(21)
    nodes, constants = [], []

    def constant(name: str, array: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def normal(name: str, *shape: int) -> str:
        return constant(name, rng.normal(size=shape).astype(np.float32))

    def node(op: str, inputs: list[str], output: str, domain: str = "", **settings: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], domain=domain, **settings))
        return output

    # Whole numbers lie on the thresholds, and small ones are missing.
    whole = node("Floor", ["input"], "whole")
    small = node("Less", [whole, constant("one", np.float32(1))], "small")
    gaps = node("Where", [small, constant("nan", np.float32(np.nan)), whole], "gaps")
    trees = range(7)
    each: dict[str, list[Any]] = {
        "ids": [0, 1, 2],
        "yes": [1, 0, 0],
        "no": [2, 0, 0],
    }

    def forest(rows: str, output: str, *modes: str, **settings: Any) -> str:
        return node(
            "TreeEnsembleRegressor", [rows], output, "ai.onnx.ml", n_targets=3, post_transform="NONE",
            base_values=[0.5, -0.25, 0.125],
            nodes_treeids=[t for t in trees for _ in range(3)], nodes_nodeids=each["ids"] * 7,
            nodes_featureids=[f for t in trees for f in (t % 4, 0, 0)],
            nodes_truenodeids=each["yes"] * 7, nodes_falsenodeids=each["no"] * 7,
            nodes_modes=[m for t in trees for m in (modes[t % len(modes)], "LEAF", "LEAF")],
            nodes_values=[v for t in trees for v in (float((6, 3, 4, 1)[t % 4] - t // 4), 0.0, 0.0)],
            target_treeids=[t for t in trees for _ in range(2)], target_nodeids=[1, 2] * 7,
            target_ids=[t % 3 for t in trees for _ in range(2)],
            target_weights=[float(w) for w in rng.normal(size=14)], **settings,
        )  # fmt: skip

    # Rows are walked down eight trees at once, and down one after another if some test for equality.
    tracks = [m for t in trees for m in (t % 2, 0, 0)]
    missing = forest(gaps, "missing", "BRANCH_LEQ", nodes_missing_value_tracks_true=tracks)
    strict = forest(gaps, "strict", "BRANCH_LT", "BRANCH_GTE", nodes_missing_value_tracks_true=tracks)
    mixed = forest(gaps, "mixed", "BRANCH_LEQ", "BRANCH_EQ", nodes_missing_value_tracks_true=tracks)
    scores = node("Sum", [missing, strict, mixed, forest(whole, "present", "BRANCH_LEQ")], "trees")

    plane = node("Reshape", ["input", constant("plane", np.array([-1, 1, 2, 2]))], "picture")
    constants.append(numpy_helper.from_array(np.array(0.3, np.float32), "dim"))
    dimmed = node("Mul", [plane, "dim"], "dimmed")
    shares = node("Div", ["input", constant("whole_sizes", np.array([2, 3, 5, 7], np.float32))], "shares")
    direct = node("MatMul", [shares, normal("direct_weights", 4, 3)], "direct")
    convolved = node(
        "Conv", [dimmed, normal("filters", 3, 1, 3, 3), normal("shift", 3)], "convolved", pads=[1, 1, 1, 1]
    )
    spread = [constant(f"spread{i}", rng.uniform(0.5, 1.5, 3).astype(np.float32)) for i in range(4)]
    active = node("Relu", [node("BatchNormalization", [convolved, *spread], "normalized")], "active")
    flat = node("Flatten", [active], "flat")
    wide = node("Gemm", [flat, normal("wide_weights", 12, 21), normal("wide_bias", 21)], "wide")
    turned = node("Tanh", [wide], "turned")
    across = node("MatMul", [turned, normal("across_weights", 21, 11)], "across")
    scaled = node(
        "Mul", [node("Add", [across, normal("across_bias", 11)], "shifted"), normal("factors", 11)], "scaled"
    )
    leaky = node("LeakyRelu", [scaled], "leaky", alpha=0.25)
    narrow = node("MatMul", [leaky, normal("narrow_weights", 11, 3)], "narrow")
    logits = node("Sum", [scores, narrow, direct, node("Sigmoid", [narrow], "gate")], "logits")
    node("Softmax", [logits], "probabilities")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "kernels", [value("input", TensorProto.FLOAT, [None, 4])],
        [value(name, TensorProto.FLOAT, [None, 3]) for name in ("probabilities", "logits")], constants,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def kernels(path: Path) -> None:
    """Write a copy of iris's bundle with another graph."""
    import onnxruntime
    from safetensors.numpy import load_file, save_file

    shutil.copytree(BUNDLES / "iris.forgo", path)
    manifest = json.loads((path / "forgo.json").read_text())
    manifest["name"] = "kernels"
    (path / "model.onnx").write_bytes(_kernels())
    session = onnxruntime.InferenceSession(path / "model.onnx")
    for case in manifest["golden"]["cases"]:
        tensors = load_file(path / case["tensors"])
        names = ["probabilities", "logits"]
        made = session.run(names, {"input": tensors["input.input"]})
        tensors.update({f"output.{name}": array for name, array in zip(names, made, strict=True)})
        save_file(tensors, path / case["tensors"])
        case["label"] = manifest["labels"][int(made[0].argmax())]
    seal(path, manifest)


def opaque(bundle: Path, path: Path) -> None:
    """Write a copy of a bundle whose preprocessing graph is no longer the one that its rules give, so that it is run."""
    import onnx

    shutil.copytree(bundle, path)
    manifest = json.loads((path / "forgo.json").read_text())
    file = path / manifest["picture"]["preprocess"]
    model = onnx.load(file)
    last = model.graph.node[-1]
    model.graph.node.append(onnx.helper.make_node("Identity", ["inner"], [last.output[0]]))
    last.output[0] = "inner"
    file.write_bytes(model.SerializeToString())
    seal(path, manifest)


MODELS: dict[str, Callable[[Path], None]] = {
    "caffe": caffe,
    "normalized": normalized,
    "cut": partial(resized, resize="bicubic-pillow", fit="shorter-side", shorter_side=CUT),
    "padded": partial(resized, resize="bilinear-pillow", fit="pad", pad_colour=GROUND),
    "area": partial(resized, resize="area"),
    "tags": tags,
    "texts": texts,
    "grey": grey,
    "ripe": ripe,
    "kernels": kernels,
    "table": table,
    "numbers": numbers,
    "precise": precise,
    "categories": partial(precise, categories=True),
}


def make(path: Path) -> None:
    """Write the bundle of the model that a path names."""
    MODELS[path.stem](path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(make, [folder / f"{name}.forgo" for name in MODELS]))
    for name in ("cut", "padded"):
        opaque(folder / f"{name}.forgo", folder / f"{name}-graph.forgo")
    (folder / "ready").touch()
