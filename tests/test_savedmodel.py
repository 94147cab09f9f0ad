"""Models as TensorFlow people have them, without a bundle, from Python to the Go binary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import forgo

pytestmark = pytest.mark.slow

LABELS = ["female", "male"]
BY_NAMES = ["--tag", "tags", "--input", "input_1", "--output", "inferenceLayer/Softmax"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs as PNG and as JPEG; both sides see the same pixels."""
    from sklearn.datasets import load_sample_images

    folder = tmp_path_factory.mktemp("photos")
    made = []
    for number, pixels in enumerate(load_sample_images().images):
        image = Image.fromarray(pixels)
        for kind in ("png", "jpg"):
            made.append(folder / f"{number}.{kind}")
            image.save(made[-1])
    return made


@pytest.fixture(scope="module")
def old_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A model as the old tag adder wrote it, with TensorFlow 1's API; and how Python runs it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    path = tmp_path_factory.mktemp("old") / "forGo"
    graph = tf.Graph()
    with graph.as_default():
        v1.set_random_seed(11)
        x = v1.placeholder(tf.float32, [None, 32, 32, 3], "input_1")
        kernel = v1.get_variable("conv/kernel", [5, 5, 3, 8])
        hidden = tf.nn.relu(tf.nn.conv2d(x / 64.0, kernel, 2, "SAME"))
        pooled = tf.reduce_mean(hidden, [1, 2])
        weights = v1.get_variable("inferenceLayer/kernel", [8, 2], initializer=v1.random_normal_initializer())
        tf.nn.softmax(tf.matmul(pooled, weights), name="inferenceLayer/Softmax")
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["tags"])
        builder.save()

    def run(pictures: Any) -> Any:
        return session.run("inferenceLayer/Softmax:0", {"input_1:0": pictures})

    return path, run


def answers(*arguments: str | Path) -> list[list[float]]:
    done = forgo("predict", "--json", "--top", "0", *arguments)
    assert done.code == 0, done.err
    found = []
    for line in done.out.splitlines():
        by_label = {c["label"]: c["score"] for c in json.loads(line)["classes"]}
        found.append([by_label[label] for label in sorted(by_label)])
    return found


def test_old_model_by_its_three_names(
    old_model: tuple[Path, Any], photos: list[Path], tmp_path: Path
) -> None:
    import tensorflow as tf

    path, run = old_model
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(LABELS))
    pixels = [np.asarray(Image.open(p), np.float32) for p in photos]
    ways: dict[str, Callable[[Any], Any]] = {
        "bilinear": lambda x: tf.image.resize(x, (32, 32)),
        "bilinear-tf1": lambda x: tf.compat.v1.image.resize_bilinear(x[None], (32, 32))[0],
    }
    mean = np.array([103.939, 116.779, 123.68], np.float32)
    for resize, way in ways.items():
        resized = np.stack([np.asarray(way(x)) for x in pixels])
        got = answers(path, *BY_NAMES, "--labels", labels, "--resize", resize, *photos)
        np.testing.assert_allclose(got, run(resized), atol=1e-4)
        got = answers(
            path, *BY_NAMES, "--labels", labels, "--resize", resize,
            "--channels", "BGR", "--mean", "103.939,116.779,123.68", *photos,
        )  # fmt: skip
        np.testing.assert_allclose(got, run(resized[..., ::-1] - mean), atol=1e-4)
    # What is said makes a difference: the answers above do not agree by being all the same.
    plain = answers(path, *BY_NAMES, *photos)
    other = answers(path, *BY_NAMES, "--mean", "117", *photos)
    assert np.abs(np.subtract(plain, other)).max() > 1e-3


def test_old_model_called_wrongly(old_model: tuple[Path, Any], photos: list[Path], tmp_path: Path) -> None:
    path, _ = old_model
    for wrong, says in {
        ("--tag", "serve"): "[tags]",
        ("--input", "input_2"): "input_1",
        ("--output", "softmax"): "inferenceLayer/Softmax",
        ("--image-size", "33"): "height 32",
    }.items():
        arguments = [*BY_NAMES, *wrong] if wrong[0] == "--image-size" else list(BY_NAMES)
        if wrong[0] in arguments:
            arguments[arguments.index(wrong[0]) + 1] = wrong[1]
        done = forgo("predict", path, *arguments, photos[0])
        assert done.code == 1, wrong
        assert says in done.err, (wrong, done.err)
        assert done.err.count("\n") == 1, (wrong, done.err)
    (path / "variables").rename(tmp_path / "variables")
    try:
        done = forgo("predict", path, *BY_NAMES, photos[0])
        assert done.code == 1
        assert "variables/" in done.err
        assert done.err.count("\n") == 1
    finally:
        (tmp_path / "variables").rename(path / "variables")


def test_inspect_old_model(old_model: tuple[Path, Any]) -> None:
    (graph,) = json.loads(forgo("inspect", "--json", old_model[0]).out)["graphs"]
    assert graph["tags"] == ["tags"]
    assert graph["signatures"] == []
    assert graph["placeholders"] == [{"name": "input_1", "dtype": "float32", "shape": [-1, 32, 32, 3]}]
    assert graph["unconsumed"] == [{"name": "inferenceLayer/Softmax", "dtype": "float32", "shape": [-1, 2]}]


def test_keras_model_as_saved_model_and_as_file(photos: list[Path], tmp_path: Path) -> None:
    """Of a Keras export the signature says everything; the .keras file can be looked at."""
    import keras

    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3), name="photo"),
            keras.layers.Rescaling(1 / 64),
            keras.layers.Conv2D(6, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax", name="inferenceLayer"),
        ]
    )
    model.export(tmp_path / "exported", verbose=False)
    model.save(tmp_path / "model.keras")
    loaded = np.stack(
        [
            keras.utils.img_to_array(keras.utils.load_img(p, target_size=(24, 24), interpolation="nearest"))
            for p in photos
        ]
    )
    got = answers(tmp_path / "exported", "--resize", "nearest", *photos)
    np.testing.assert_allclose(got, model.predict(loaded, verbose=0), atol=1e-4)

    found = json.loads(forgo("inspect", "--json", tmp_path / "model.keras").out)
    assert found["kind"] == "keras"
    assert found["keras"]["keras_version"] == keras.__version__
    assert found["inputs"] == [{"name": "photo", "dtype": "float32", "shape": [-1, 24, 24, 3]}]
    assert found["outputs"] == [{"name": "inferenceLayer", "dtype": "float32", "shape": [-1, 2]}]
    assert found["operations"]["Conv2D"] == 1


def test_no_operation_that_reaches_files_is_listed() -> None:
    """No operation of this TensorFlow that names a file, a folder or an address may be in a model."""
    import re

    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    operations = op_def_pb2.OpList.FromString(
        pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    )
    text = 7  # DataType.DT_STRING
    suspect = re.compile(
        r"file|path|(^|_)dir$|log_dir|url|uri|address|prefix|db_uri|output_stream|descriptor_source|logdir|patterns$"
    )
    harmless = {
        "SetStatsAggregatorDataset", "ExperimentalSetStatsAggregatorDataset",  # a prefix of counters' names
        "ShardedFilename", "ShardedFilespec", "IdentityReader", "IdentityReaderV2",  # only names
    }  # fmt: skip
    source = (Path(__file__).parent.parent / "predict" / "tensorflow" / "listed.go").read_text()
    (text_of_list,) = re.findall(r"var listed = set\(`(.*?)`\)", source, re.DOTALL)
    listed = set(re.sub(r"#.*", "", text_of_list).split())
    assert len(listed) > 500
    found = set()
    for op in operations.op:
        names = [a.name for a in op.input_arg if a.type == text]
        names += [a.name for a in op.attr if a.type in ("string", "list(string)")]
        if any(suspect.search(n) for n in names) or re.search(r"Reader(V2)?$", op.name):
            found.add(op.name)
    assert len(found) > 50
    assert found & listed - harmless == set()
