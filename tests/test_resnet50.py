"""A whole ResNet50, from a legacy .h5 file to ONNX Runtime and TensorFlow in Go, held to Keras's logits on photographs."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import requests
from PIL import Image
from sklearn.datasets import load_sample_images

import forgo
from forgo import _binary, _preprocess
from forgo._picture import decode
from mutants._bundle_skews import BundleSkew, apply, preprocess_of, values_changed
from tests.clients.servers import running
from tests.conftest import forgo as run_forgo

pytestmark = pytest.mark.slow

SIZE = 224
RELATIVE = 1e-4

# Keras 2, in a process of its own. Random weights hide faults (the facts of this network say little
# about a picture) unless its batch statistics are those of photographs.
LEGACY = """
import sys
import numpy as np
import tf_keras as keras

place, size = sys.argv[1], int(sys.argv[2])
keras.utils.set_random_seed(5)
layers = keras.layers
photographs = np.load(f"{place}/training.npy")


def network(weights):
    pixels = keras.Input((size, size, 3), name="input_1")
    caffe = layers.Conv2D(3, 1, name="normalization", trainable=False)
    x = caffe(pixels)
    means = np.array([103.939, 116.779, 123.68], np.float32)
    caffe.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -means])
    base = keras.applications.ResNet50(include_top=False, pooling="avg", weights=weights, input_shape=(size, size, 3))
    x = layers.Dense(100, activation="softmax", name="inferenceLayer")(base(x))
    return keras.Model(pixels, x), base, caffe


_, base, caffe = network(None)
norms = [l for l in base.layers if isinstance(l, layers.BatchNormalization)]
for step in range(8):
    for norm in norms:
        norm.momentum = step / (step + 1)
    base(caffe(photographs[4 * step : 4 * step + 4]), training=True)
base.save_weights(f"{place}/resnet50.weights.h5")

model, _, _ = network(f"{place}/resnet50.weights.h5")
model.save(f"{place}/resnet50.h5")
last = model.layers[-1]
features = keras.Model(model.input, last.input).predict(np.load(f"{place}/held_out.npy"), verbose=0)
kernel, bias = last.get_weights()
np.save(f"{place}/logits.npy", features @ kernel + bias)
"""


@dataclass(frozen=True)
class ResNet50:
    """The model's file, held-out photographs with Keras's logits, and what Go runs."""

    folder: Path
    photos: list[Path]
    logits: npt.NDArray[np.float32]

    def bundle(self, engine: str) -> Path:
        return self.folder / f"{engine}.forgo"

    @property
    def saved(self) -> Path:
        """As the old tag adder wrote it; it is what the bundle of that engine holds."""
        return self.bundle("tensorflow") / "saved_model"

    def difference(self, got: npt.NDArray[Any]) -> float:
        """The largest, relative to the largest logit of each photograph."""
        want = self.logits[: len(got)]
        return float((np.abs(got - want) / np.abs(want).max(axis=1, keepdims=True)).max())


def photographs(folder: Path, n: int, seed: int) -> list[Path]:
    """Parts of scikit-learn's two photographs, as JPEG and PNG files of many sizes."""
    generator = np.random.default_rng(seed)
    folder.mkdir()
    files = []
    for i in range(n):
        image = Image.fromarray(load_sample_images().images[i % 2])
        width, height = (int(generator.integers(160, side)) for side in image.size)
        x, y = (
            int(generator.integers(0, side - part + 1))
            for side, part in zip(image.size, (width, height), strict=True)
        )
        files.append(folder / f"{i:02d}.{'png' if i % 4 == 3 else 'jpg'}")
        image.crop((x, y, x + width, y + height)).save(files[-1])
    return files


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory: pytest.TempPathFactory) -> ResNet50:
    folder = tmp_path_factory.mktemp("resnet50")
    prepare = _preprocess.Preprocessor(_preprocess.build(SIZE, SIZE))
    examples = photographs(folder / "examples", 32, 0)
    held_out = photographs(folder / "photos", 8, 1)
    for name, files in (("training", examples), ("held_out", held_out)):
        np.save(folder / f"{name}.npy", np.stack([prepare(decode(f.read_bytes())) for f in files]))
    done = subprocess.run(
        [sys.executable, "-c", LEGACY, folder, str(SIZE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = ResNet50(folder, held_out, np.load(folder / "logits.npy"))
    for engine in ("onnxruntime", "tensorflow"):
        result = forgo.export(
            folder / "resnet50.h5", made.bundle(engine), engine=engine, examples=examples[:16],
            tag="tags" if engine == "tensorflow" else None,
        )  # fmt: skip
        assert result.parity["largest_difference"] < RELATIVE
    return made


def logits(bundle: Path, photos: list[Path]) -> npt.NDArray[np.float32]:
    """What the Go server answers from a bundle; logits are hidden, and asked for by name."""
    rows = []
    with running(bundle) as places:
        for photo in photos:
            data = [base64.b64encode(photo.read_bytes()).decode()]
            image = {"name": "image", "datatype": "BYTES", "shape": [1, 1], "data": data}
            done = requests.post(
                f"http://{places['http']}/v2/models/{bundle.stem}/infer",
                json={"inputs": [image], "outputs": [{"name": "logits"}]}, timeout=60,
            )  # fmt: skip
            assert done.status_code == 200, done.text
            rows.append(done.json()["outputs"][0]["data"])
    return np.array(rows, np.float32)


def logits_by_names(model: Path, photos: list[Path], *options: str) -> npt.NDArray[np.float32]:
    """What it answers from a SavedModel, told tag and output: the scores of each number."""
    names = ["--tag", "tags", "--output", "logits", "--top", "0"]
    done = run_forgo("predict", "--json", *names, *options, model, *photos)
    assert done.code == 0, done.err
    answers = [json.loads(line)["classes"] for line in done.out.splitlines()]
    return np.array(
        [[c["score"] for c in sorted(a, key=lambda c: int(c["label"]))] for a in answers], np.float32
    )


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_go_answers_as_keras_does(resnet50: ResNet50, engine: str) -> None:
    assert np.abs(resnet50.logits).max() > 0.5  # they say something
    assert np.abs(resnet50.logits - resnet50.logits.mean(axis=0)).max() > 0.1  # and not the same of all
    assert resnet50.difference(logits(resnet50.bundle(engine), resnet50.photos)) < RELATIVE


FAULTS = {
    "BGR": ["--channels", "BGR"],
    "minus 117": ["--mean", "117"],
    "scaled to 0..1": ["--scale", "1/255"],
    "nearest": ["--resize", "nearest"],
    "corner-origin": ["--resize", "bilinear-tf1"],
    "antialiased": ["--resize", "bilinear-antialias"],
}


def test_the_saved_model_by_its_names(resnet50: ResNet50) -> None:
    assert resnet50.difference(logits_by_names(resnet50.saved, resnet50.photos)) < RELATIVE


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_preprocessing_is_seen(resnet50: ResNet50, fault: str) -> None:
    got = logits_by_names(resnet50.saved, resnet50.photos[:4], *FAULTS[fault])
    assert resnet50.difference(got) > 10 * RELATIVE


PLANTED = [
    BundleSkew("BGR", "preprocess", values_changed("Gather", np.array([2, 1, 0], np.int64), axis=2)),
    BundleSkew("minus 117", "preprocess", values_changed("Sub", np.array(117, np.float32))),
    BundleSkew("scaled to 0..1", "preprocess", values_changed("Div", np.array(255, np.float32))),
    BundleSkew("nearest", "preprocess", preprocess_of(resize="nearest")),
    BundleSkew("corner-origin", "preprocess", preprocess_of(resize="bilinear-tf1")),
    BundleSkew("antialiased", "preprocess", preprocess_of(resize="bilinear-antialias")),
]


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_fault_in_a_bundle_is_refused(resnet50: ResNet50, tmp_path: Path, fault: BundleSkew) -> None:
    bundle = tmp_path / "resnet50.forgo"
    shutil.copytree(resnet50.bundle("onnxruntime"), bundle)
    apply(fault, bundle)
    with pytest.raises(forgo.ParityError) as refused:
        _binary.verify(bundle)
    assert refused.value.stage == "preprocess"
