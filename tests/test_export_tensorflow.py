"""forgo export from the files that TensorFlow people have, and to SavedModels by tag."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

import forgo
from tests.conftest import BUNDLES, ROOT
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

ROWS = load_iris().data.astype(np.float32)
LABELS = ["setosa", "versicolor", "virginica"]
PICTURES = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
SAVED = ROOT / "conformance" / "savedmodels"

# Keras 2 and Keras 3 want a process each: their models must not know of one another.
LEGACY = """
import sys
import numpy as np
import tf_keras as keras

place = sys.argv[1]
keras.utils.set_random_seed(7)
layers = keras.layers


def network(size):
    pixels = keras.Input((size, size, 3), name="input_1")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.BatchNormalization(momentum=0.5)(layers.Conv2D(4, 3, activation="relu")(x))
    return pixels, layers.GlobalAveragePooling2D()(x)


pixels, x = network(16)
keras.Model(pixels, layers.Dense(3, activation="softmax", name="inferenceLayer")(x)).save(f"{place}/flat.h5")
nested = keras.Sequential([
    keras.Input((16, 16, 3), name="input_1"), layers.RandomFlip(), layers.RandomRotation(0.2),
    keras.Model(*network(16)), layers.Dropout(0.5), layers.Dense(3, activation="softmax", name="inferenceLayer"),
])
nested.save(f"{place}/nested.h5")
nested.save(f"{place}/keras2")
code = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2, name="doubled"), layers.Dense(2)])
code.save(f"{place}/lambda.h5")
code.save_weights(f"{place}/weights.h5")
for name, model in (("flat", keras.models.load_model(f"{place}/flat.h5", compile=False)), ("nested", nested)):
    np.save(f"{place}/{name}.npy", model.predict(np.arange(768, dtype=np.float32).reshape(1, 16, 16, 3) / 3, verbose=0))
"""


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("legacy")
    done = subprocess.run([sys.executable, "-c", LEGACY, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def manifest(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "forgo.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
@pytest.mark.parametrize(("name", "framework"), [("flat", "keras"), ("nested", "tf_keras")])
def test_h5_of_keras_2(legacy: Path, tmp_path: Path, name: str, framework: str, engine: str) -> None:
    path = tmp_path / "m.forgo"
    result = forgo.export(
        legacy / f"{name}.h5", path, examples=PICTURES, labels=["a", "b", "c"], engine=engine
    )
    assert result.parity["cases"] >= 1
    assert result.parity["top1_agreement"] == 1
    written = manifest(path)
    assert written["engine"] == engine
    assert written["provenance"]["versions"]["framework"].startswith(f"{framework} ")
    assert [o["name"] for o in written["outputs"]] == ["inferenceLayer", "logits"]


def test_tag_and_back(legacy: Path, tmp_path: Path) -> None:
    old = tmp_path / "forGo"
    done = run_forgo(
        "export", legacy / "nested.h5", "-o", old, "--tag", "tags", "--examples", PICTURES[0].parent
    )
    assert done.code == 0, done.err
    assert "a SavedModel" in done.err
    assert sorted(p.name for p in old.iterdir()) == ["saved_model.pb", "variables"]
    assert [p.name for p in tmp_path.iterdir()] == ["forGo"]
    check = """
import sys
import numpy as np
import tensorflow as tf

with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.load(session, ["tags"], sys.argv[1])
    pixels = np.arange(768, dtype=np.float32).reshape(1, 16, 16, 3) / 3
    got = session.run("inferenceLayer/Softmax:0", {"input_1:0": pixels})
    assert np.allclose(got, np.load(sys.argv[2]), atol=1e-5), got
    placeholders = [n.name for n in meta.graph_def.node if n.op == "Placeholder"]
    assert placeholders == ["input_1", "saver_filename"] or placeholders == ["input_1"], placeholders
    kinds = {n.op for n in meta.graph_def.node}
    assert "VarHandleOp" in kinds and not any("PartitionedCall" in k for k in kinds), kinds
"""
    done_check = subprocess.run(
        [sys.executable, "-c", check, old, legacy / "nested.npy"], capture_output=True, text=True, check=False
    )
    assert done_check.returncode == 0, done_check.stderr

    for engine in ("onnxruntime", "tensorflow"):
        bundle = tmp_path / f"{engine}.forgo"
        result = forgo.export(
            old, bundle, tag="tags", examples=PICTURES, labels=["a", "b", "c"], engine=engine
        )
        assert result.parity["top1_agreement"] == 1
    assert manifest(bundle)["graph"]["tags"] == ["tags"]
    done = run_forgo(
        "export", legacy / "flat.h5", "-o", bundle, "--tag", "tags", "--engine", "tensorflow",
        "--examples", PICTURES[0].parent, "--force",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert manifest(bundle)["graph"] == {
        "path": "saved_model",
        "tags": ["tags"],
        "signature": "serving_default",
    }


def test_saved_model_of_keras_2(legacy: Path, tmp_path: Path) -> None:
    forgo.export(legacy / "keras2", tmp_path / "m.forgo", examples=PICTURES, labels=["a", "b", "c"])
    forgo.export(
        legacy / "keras2",
        tmp_path / "m.forgo",
        examples=PICTURES,
        labels=["a", "b", "c"],
        engine="tensorflow",
        force=True,
    )
    assert manifest(tmp_path / "m.forgo")["outputs"][0]["name"] == "inferenceLayer"


def test_saved_model_without_signature(tmp_path: Path) -> None:
    """As the old tag adder left it."""
    for engine in ("onnxruntime", "tensorflow"):
        path = tmp_path / f"{engine}.forgo"
        done = run_forgo(
            "export", SAVED / "forGo", "-o", path, "--input", "input_1", "--output", "inferenceLayer/Softmax",
            "--engine", engine, "--examples", PICTURES[0].parent,
        )  # fmt: skip
        assert done.code == 0, done.err
        assert "parity proven" in done.err
    written = manifest(path)
    assert written["inputs"][0]["graph_name"] == "input_1"
    assert written["outputs"][0]["graph_name"] == "inferenceLayer/Softmax"
    assert "signature" not in written["graph"]
    assert not (path / "saved_model" / "assets.extra").exists()  # requests name a signature


def test_no_examples(tmp_path: Path) -> None:
    path = tmp_path / "m.forgo"
    command: list[str | Path] = ["export", SAVED / "iris", "-o", path, "--engine", "tensorflow"]
    done = run_forgo(*command)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "parity cannot be proven" in done.err
    assert "--no-goldens" in done.err
    assert list(tmp_path.iterdir()) == []
    done = run_forgo(*command, "--no-goldens")
    assert done.code == 0, done.err
    assert "NOT PROVEN" in done.err
    assert manifest(path)["golden"] == {"cases": [], "none": "none were given when it was exported"}
    done = run_forgo("verify", path)
    assert (done.code, done.out) == (1, "")
    assert "none were given" in done.err
    for show in (["verify", "--allow-unproven"], ["inspect"]):
        done = run_forgo(*show, path)
        assert done.code == 0, done.err
        assert "none were given" in done.out
    row = tmp_path / "row.json"
    row.write_text("[5.1, 3.5, 1.4, 0.2]")
    done = run_forgo("predict", path, row)
    assert done.code == 0, done.err
    assert "parity NOT PROVEN" in done.err
    for page in ("report.html", "card.md"):
        assert "not proven" in (path / page).read_text().lower()


def test_code_in_a_file_needs_trust(legacy: Path, tmp_path: Path) -> None:
    command: list[str | Path] = ["export", legacy / "lambda.h5", "-o", tmp_path / "m.forgo"]
    rows = tmp_path / "rows.npy"
    np.save(rows, ROWS)
    done = run_forgo(*command, "--examples", rows)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "'doubled' is a Lambda" in done.err
    assert "--trust" in done.err
    done = run_forgo(*command, "--examples", rows, "--trust")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("model", "change", "says"),
    [
        ("two", {"tag": "tags"}, r"no graph with the tags \[tags\], only \[serve\]"),
        ("several", {}, r"choose one by its tags with tag: \[serve\], \[serve, tpu\]"),
        ("several", {"tag": "serve", "engine": "onnxruntime"}, "with signature: difference, sum"),
        ("several", {"tag": "serve", "signature": "product"}, "no signature 'product', only difference, sum"),
        ("two", {"outputs": ["product"]}, "no output 'product', only difference, sum"),
        ("forGo", {"outputs": ["scores"]}, "no output 'scores', only inferenceLayer/Softmax"),
        ("forGo", {"signature": "serving_default"}, "nor any other"),
        ("reads", {}, "ReadFile.*trust=True"),
        ("prints", {}, "PrintV2.*trust=True"),
        ("table-outside", {}, "InitializeTableFromTextFileV2.*trust=True"),
        ("writes-at-load", {}, "WriteFile.*trust=True"),
        ("../hostile/swapped", {}, "WriteFile.*trust=True"),
        ("../hostile/leaks", {}, "ImmutableConst.*trust=True"),
        ("../hostile/aborts", {}, "Abort.*trust=True"),
        ("../hostile/restored-by-saving", {}, "one of its objects can call it.*trust=True"),
        ("../hostile/initialized-by-saving", {}, "SaveV2.*trust=True|MergeV2Checkpoints.*trust=True"),
        ("missing", {}, "no such file"),
        ("", {}, "it has no saved_model.pb"),
    ],
)  # fmt: skip
def test_wrong_names(tmp_path: Path, model: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(forgo.ExportError, match=says) as caught:
        forgo.export(
            SAVED / model, tmp_path / "m.forgo", no_goldens=True, **({"engine": "tensorflow"} | change)
        )
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_model_would_write_is_not_written(tmp_path: Path) -> None:
    """It is refused before any of it is run here."""
    target = Path("/tmp/forgo-prints-here")
    target.unlink(missing_ok=True)
    with pytest.raises(forgo.ExportError, match="PrintV2"):
        forgo.export(
            SAVED / "prints", tmp_path / "m.forgo", examples=np.ones((3, 2), np.float32), engine="tensorflow"
        )
    assert not target.exists()


def test_what_creating_an_object_would_write_is_not_written(tmp_path: Path) -> None:
    """Python runs an object's own initializer as it loads a SavedModel, which Go never does."""
    import tensorflow as tf

    target = tmp_path / "written"

    class Writer(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.int64)

        def _initialize(self) -> None:
            tf.io.write_file(str(target), "written")

        def _destroy_resource(self) -> None:
            pass

    module = tf.Module()
    module.writer = Writer()
    module.answer = tf.function(
        lambda x: {
            "y": x
            + tf.cast(tf.raw_ops.LookupTableSizeV2(table_handle=module.writer.resource_handle), tf.float32)
        },
        input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")],
    )
    tf.saved_model.save(module, str(tmp_path / "writes"), signatures=module.answer)
    target.unlink(missing_ok=True)
    tf.saved_model.load(str(tmp_path / "writes"))
    assert target.exists()  # so it would be
    target.unlink()
    with pytest.raises(forgo.ExportError, match=r"WriteFile.*trust=True"):
        forgo.export(
            tmp_path / "writes",
            tmp_path / "m.forgo",
            examples=np.ones((3, 2), np.float32),
            engine="tensorflow",
        )
    assert not target.exists()


def test_a_saved_model_gets_another_tag(tmp_path: Path) -> None:
    forgo.export(SAVED / "iris", tmp_path / "forGo", tag="tags", examples=ROWS[:20])
    (graph,) = json.loads(run_forgo("inspect", "--json", tmp_path / "forGo").out)["graphs"]
    assert graph["tags"] == ["tags"]


def test_a_bare_saved_model_has_the_old_names(tmp_path: Path) -> None:
    """Whatever the Keras layers are called."""
    import keras

    keras.utils.set_random_seed(6)
    model = keras.Sequential(
        [keras.Input((4,), name="measures"), keras.layers.Dense(3, activation="softmax", name="species")]
    )
    forgo.export(model, tmp_path / "forGo", tag="tags", examples=ROWS)
    row = tmp_path / "row.json"
    row.write_text(json.dumps(ROWS[70].tolist()))
    names = ["--tag", "tags", "--input", "input_1", "--output", "inferenceLayer/Softmax"]
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    done = run_forgo(
        "predict",
        "--json",
        "--top",
        "0",
        *names,
        "--labels",
        tmp_path / "labels.txt",
        tmp_path / "forGo",
        row,
    )
    assert done.code == 0, done.err
    scores = {c["label"]: c["score"] for c in json.loads(done.out)["classes"]}
    np.testing.assert_allclose(
        [scores[label] for label in LABELS], model.predict(ROWS[70:71], verbose=0)[0], atol=1e-4
    )


def test_without_a_tag_only_bundles_are_written(tmp_path: Path) -> None:
    with pytest.raises(forgo.ExportError, match=r"ends in \.forgo"):
        forgo.export(SAVED / "iris", tmp_path / "forGo", examples=ROWS, engine="tensorflow")


def test_several_are_told_apart_by_tag_and_signature(tmp_path: Path) -> None:
    rows = {"a": ROWS[:, :2], "b": ROWS[:, 2:]}
    for signature in ("sum", "difference"):
        path = tmp_path / f"{signature}.forgo"
        forgo.export(
            SAVED / "several", path, tag="serve", signature=signature, engine="tensorflow", examples=rows
        )
        assert manifest(path)["graph"]["signature"] == signature


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("m.keras", "{", "config.json is not JSON"),
        ("m.keras", "\xff", "config.json is not JSON"),
        ("m.keras", "[" * 100_000, "config.json is not JSON"),
        ("m.keras", '{"class_name": "Lambda", "config": []}', "'lambda' is a Lambda"),
    ],
)
def test_broken_keras_files(tmp_path: Path, name: str, text: str, says: str) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("config.json", text.encode("latin-1"))
        archive.writestr("metadata.json", "[]")
    done = run_forgo("export", tmp_path / name, "-o", tmp_path / "m.forgo", "--no-goldens")
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert says in done.err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("r.jsonl", "", "no rows"),
        ("r.jsonl", "{}\n{}", "no rows"),
        ("r.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("r.jsonl", '["5.1", "3.5", "1.4", "0.2"]', "the values are strings"),
        ("r.jsonl", "[true, false, true, true]", "the values are bool"),
        ("r.npy", "", "cannot read the rows"),
    ],
)
def test_broken_rows(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    done = run_forgo(
        "export",
        SAVED / "iris",
        "-o",
        tmp_path / "m.forgo",
        "--engine",
        "tensorflow",
        "--examples",
        tmp_path / name,
    )
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert says in done.err


@pytest.mark.parametrize(
    ("file", "says"),
    [("weights.h5", "only weights"), ("flat.npy", "must be a SavedModel's folder, a .keras or .h5 file")],
)
def test_files_that_are_no_models(legacy: Path, tmp_path: Path, file: str, says: str) -> None:
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export(legacy / file, tmp_path / "m.forgo", examples=ROWS)
