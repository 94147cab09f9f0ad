"""Models of texts, and of a picture beside a table row: from Keras to every protocol."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

import forgo
from forgo.exporting._arrays import read, typed, write
from tests.clients.servers import running
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

TOPICS = ["iris", "wine", "breast_cancer", "diabetes"]


def sentences() -> tuple[list[str], list[int]]:
    """What scikit-learn says of its data sets, a sentence each, with the number of the data set."""
    texts, topics = [], []
    for topic, name in enumerate(TOPICS):
        for sentence in re.split(r"(?<=[.:])\s+", getattr(datasets, f"load_{name}")().DESCR):
            if len(words := sentence.split()) >= 4:
                texts.append(" ".join(words))
                topics.append(topic)
    return texts, topics


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[str], Path]:
    """A TextVectorization classifier, its texts, and its bundle."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    texts, topics = sentences()
    vectorize = keras.layers.TextVectorization(max_tokens=800, output_mode="tf_idf")
    vectorize.adapt(texts)
    model = keras.Sequential(
        [
            keras.Input((), dtype="string", name="text"),
            vectorize,
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(len(TOPICS), activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(tf.constant(texts), np.array(topics), epochs=30, verbose=0)
    assert model.evaluate(tf.constant(texts), np.array(topics), verbose=0)[1] > 0.9
    path = tmp_path_factory.mktemp("text") / "topics.forgo"
    result = forgo.export(model, path, examples=np.array(texts), labels=TOPICS, engine="tensorflow")
    assert result.parity["top1_agreement"] == 1
    return model, texts, path


@pytest.fixture(scope="module")
def mixed_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any], Path]:
    """Digits by the picture of their upper half and, in a table row, the ink in each line of the lower."""
    import keras

    keras.utils.set_random_seed(4)
    digits = datasets.load_digits()
    folder = tmp_path_factory.mktemp("mixed")
    pictures = []
    for i, image in enumerate(digits.images[:400]):
        pictures.append(folder / f"{i:03d}.{'png' if i % 2 else 'jpg'}")
        grey = Image.fromarray((image[:4] * 15.9).astype(np.uint8)).resize((32, 16), Image.Resampling.NEAREST)
        grey.convert("RGB").save(pictures[-1])
    ink = digits.images[:400, 4:].sum(axis=2).astype(np.float32)
    seen = np.stack([np.asarray(Image.open(p), np.float32) for p in pictures])
    photo, row = keras.Input((16, 32, 3), name="photo"), keras.Input((4,), name="ink")
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(photo)))
    x = keras.layers.Concatenate()([x, keras.layers.Rescaling(1 / 64)(row)])
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.Dense(32, activation="relu")(x))
    model = keras.Model([photo, row], x)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    model.fit([seen, ink], digits.target[:400], epochs=20, verbose=0)
    path = folder / "halves.forgo"
    examples = {"photo": pictures, "ink": ink}
    labels = [str(i) for i in range(10)]
    result = forgo.export(model, path, examples=examples, labels=labels, engine="tensorflow")
    assert result.parity["top1_agreement"] == 1
    return model, {**examples, "seen": seen}, path


def asked(path: Path, row: Any, folder: Path) -> dict[str, float]:
    """What forgo predict answers to a JSON row."""
    file = folder / "row.json"
    file.write_text(json.dumps(row))
    done = run_forgo("predict", "--json", "--top", "0", path, file)
    assert done.code == 0, done.err
    return {c["label"]: c["score"] for c in json.loads(done.out)["classes"]}


def test_strings(text_model: tuple[Any, list[str], Path], tmp_path: Path) -> None:
    import tensorflow as tf

    model, texts, path = text_model
    manifest = json.loads((path / "forgo.json").read_text())
    assert manifest["inputs"] == [{"name": "text", "graph_name": "text", "dtype": "string", "shape": [None]}]
    for text in [texts[5], "Grüße: the wine's alcohol — 葡萄酒", ""]:
        want = model.predict(tf.constant([text]), verbose=0)[0]
        got = asked(path, text, tmp_path)
        np.testing.assert_allclose([got[t] for t in TOPICS], want, atol=1e-4)


def test_a_picture_beside_a_row(mixed_model: tuple[Any, dict[str, Any], Path], tmp_path: Path) -> None:
    model, data, path = mixed_model
    manifest = json.loads((path / "forgo.json").read_text())
    assert [i["name"] for i in manifest["inputs"]] == ["photo", "ink"]
    assert manifest["picture"]["input"] == "photo"
    cases = manifest["golden"]["cases"]
    assert {c["content_type"] for c in cases} == {"application/json"}
    assert all("pixels" in c for c in cases)
    for i in (0, 7):
        want = model.predict([data["seen"][i : i + 1], data["ink"][i : i + 1]], verbose=0)[0]
        picture = {"b64": base64.b64encode(data["photo"][i].read_bytes()).decode()}
        got = asked(path, {"ink": data["ink"][i].tolist(), "image": picture}, tmp_path)
        np.testing.assert_allclose([got[str(n)] for n in range(10)], want, atol=1e-4)


def test_on_every_protocol(
    text_model: tuple[Any, list[str], Path], mixed_model: tuple[Any, dict[str, Any], Path]
) -> None:
    with running(text_model[2], mixed_model[2]) as places:
        urls = ["--url", f"http://{places['http']}", "--url", f"grpc://{places['grpc']}"]
        for bundle in (text_model[2], mixed_model[2]):
            done = run_forgo("verify", "--json", *urls, bundle)
            report = json.loads(done.out)
            assert done.code == 0, report
            assert {p["protocol"] for p in report["protocols"]} == {
                "oip",
                "oip-grpc",
                "tensorflow",
                "tensorflow-grpc",
                "native",
            }
            for protocol in report["protocols"]:
                assert protocol["top1_agreement"] == 1
                assert protocol["rows"] >= 32


def test_examples_in_a_file(mixed_model: tuple[Any, dict[str, Any], Path], tmp_path: Path) -> None:
    model, data, _ = mixed_model
    model.save(tmp_path / "m.keras")
    shutil.copytree(data["photo"][0].parent, tmp_path / "photos", ignore=shutil.ignore_patterns("*.forgo"))
    rows = [
        {"image": {"file": f"photos/{p.name}"}, "ink": ink.tolist()}
        for p, ink in zip(data["photo"][:40], data["ink"], strict=False)
    ]
    (tmp_path / "photos" / "000.jpg").write_bytes(b"no picture")
    file = tmp_path / "examples.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    command: list[str | Path] = [
        "export",
        tmp_path / "m.keras",
        "--examples",
        file,
        "-o",
        tmp_path / "m.forgo",
    ]
    done = run_forgo(*command)
    assert done.code == 0, done.err
    assert "000.jpg" in done.err
    assert json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["engine"] == "onnxruntime"
    file.write_text(json.dumps(rows[1]) + "\n" + json.dumps({"ink": rows[1]["ink"]}))
    done = run_forgo(*command, "--force")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "line 2: its inputs differ from the first line's" in done.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ink": None}, "the input 'ink' is missing"),
        ({"ink": [[1.0, 2.0]]}, "'ink' has shape .1, 2., but the model takes .None, 4."),
        ({"ink": [[1.0] * 4] * 3}, "different numbers of rows"),
        ({"ink": [["a"] * 4]}, "'ink' is not float32"),
        ({"ink": [[1.0] * 4], "other": [1.0]}, "no input 'other'"),
        ({"photo": [Path("nowhere.jpg")]}, "nowhere.jpg: cannot read the example: No such file"),
        ({"photo": None, "thumbnail": 1}, "pictures need a model with 'thumbnail'"),
    ],
)
def test_examples_that_do_not_fit(
    mixed_model: tuple[Any, dict[str, Any], Path], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    model, data, _ = mixed_model
    examples = {"photo": data["photo"][:1], "ink": data["ink"][:1], **change}
    if "thumbnail" in change:
        examples["thumbnail"] = data["photo"][:1]
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export(
            model, tmp_path / "m.forgo", examples={k: v for k, v in examples.items() if v is not None}
        )
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_strings(text_model: tuple[Any, list[str], Path], tmp_path: Path) -> None:
    for rows, says in (
        (np.array(["a", 1], object), "neither numbers nor strings"),
        (np.ones(3), "is not a string"),
    ):
        with pytest.raises(forgo.ExportError, match=says):
            forgo.export(text_model[0], tmp_path / "m.forgo", examples=rows, engine="tensorflow")


@pytest.mark.parametrize(
    ("values", "dtype", "says"),
    [
        ([1.5], "int64", "1.5 does not fit"),
        ([300], "uint8", "300 does not fit"),
        ([-1], "uint64", "-1 does not fit"),
        ([1e300], "float32", "1e[+]300 does not fit"),
        ([1], "bool", "the values are int64"),
        ([True], "float32", "the values are bool"),
        (["1"], "float32", "the values are strings"),
        ([1], "string", "is not a string"),
    ],
)
def test_examples_are_never_changed_to_fit(values: list[Any], dtype: str, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        typed(np.array(values), dtype)


def test_strings_in_files(tmp_path: Path) -> None:
    given = typed(np.array([["a", ""], ["Grüße", "\0"]], object), "string")
    write(tmp_path / "a.npz", {"x": given, "x.lengths": np.arange(3)})
    back = read(tmp_path / "a.npz")
    assert back["x"].tolist() == given.tolist()
    assert back["x.lengths"].tolist() == [0, 1, 2]
