"""forgo train on small folders of real pictures."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forgo._errors import ForgoError
from forgo._preprocess import Preprocessor, build
from forgo.training import _data, _metrics
from tests.conftest import FORGO, TrainedBundle, forgo

SOURCE = _data.Source(Preprocessor(build(16, 16)))


def folder_of_classes(path: Path, digits: TrainedBundle, each: int = 12) -> Path:
    """A tree of class folders from real digits, not yet split."""
    for name in ("one", "seven", "zero"):
        (path / name).mkdir(parents=True)
        for file in sorted((digits.pictures / name).iterdir())[:each]:
            shutil.copy(file, path / name)
    return path


def digest_of(folder: Path) -> str:
    h = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            h.update(str(file).encode() + file.read_bytes())
    return h.hexdigest()


def pictures(n: int) -> list[_data.Picture]:
    return [_data.Picture(Path(f"{i}.png"), i % 2, f"digest {i // 3}") for i in range(n)]


def test_split_is_stratified_seeded_and_keeps_copies_together() -> None:
    train, valid = _data.split(pictures(60), 0.25, seed=7)
    assert (train, valid) == _data.split(pictures(60), 0.25, seed=7)
    assert (train, valid) != _data.split(pictures(60), 0.25, seed=8)
    assert len(train) + len(valid) == 60
    for label in (0, 1):
        assert 6 <= sum(p.label == label for p in valid) <= 10
        here = {p.digest for p in valid if p.label == label}
        assert not here & {p.digest for p in train if p.label == label}


def test_metrics_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    m = _metrics.measure(scores, np.array([0, 0, 1, 1]), ["a", "b"])
    assert m["accuracy"] == 0.75
    assert m["confusion"] == [[2, 0], [1, 1]]
    assert m["classes"][0] == {"label": "a", "count": 2, "precision": 2 / 3, "recall": 1.0}
    assert m["loss"] == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())


@pytest.mark.slow
def test_one_tree_is_split_and_bad_files_are_set_aside_unchanged(
    tmp_path: Path, digits: TrainedBundle
) -> None:
    data = folder_of_classes(tmp_path / "data", digits)
    (data / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (data / "one" / "notes.txt").write_text("ignored")
    (data / "zero" / "old.gif").write_bytes(b"GIF89a")
    before = digest_of(data)
    done = forgo("train", data, "-o", tmp_path / "m.forgo", "--image-size", "16", "--epochs", "2", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert {Path(path).name for path, _ in result["set_aside"]} == {"broken.jpg", "old.gif"}
    assert "broken.jpg" in done.err
    assert digest_of(data) == before
    assert result["held_out"] == 6 or result["held_out"] == 7
    report = (tmp_path / "m.forgo" / "report.html").read_text()
    assert "broken.jpg" in report
    assert "<svg" in report
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["labels"] == ["one", "seven", "zero"]
    assert manifest["provenance"]["data"]["train"] + manifest["provenance"]["data"]["valid"] == 36
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def long_training(tmp_path: Path, digits: TrainedBundle) -> list[str | Path]:
    """A command that trains until it is stopped."""
    data = folder_of_classes(tmp_path / "data", digits, each=30)
    return [
        FORGO, "train", data, "-o", tmp_path / "m.forgo", "--image-size", "16",
        "--epochs", "5000", "--patience", "5000", "--json",
    ]  # fmt: skip


def wait_for_epoch(running: subprocess.Popen[str], number: int) -> None:
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(f"epoch {number}/"):
            return
    raise AssertionError("training ended before")


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_model_so_far(tmp_path: Path, digits: TrainedBundle) -> None:
    command = long_training(tmp_path, digits)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        wait_for_epoch(running, 3)
        running.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "interrupted: the best model so far" in err
    assert json.loads(out)["interrupted"] is True
    assert time.monotonic() - start < 120
    assert forgo("verify", tmp_path / "m.forgo").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "interrupted; nothing was written"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_impatient_signals_leave_nothing_behind(
    tmp_path: Path, digits: TrainedBundle, number: signal.Signals, code: int, says: str
) -> None:
    command = long_training(tmp_path, digits)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        wait_for_epoch(running, 2)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".m.forgo.")] != []
        for _ in range(1200):  # until it is gone: several arrive in the clean-up
            if running.poll() is not None:
                break
            running.send_signal(number)
            time.sleep(0.05)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (code, "")
    assert says in err
    ours = ("epoch ", "forgo: interrupted", "interrupted: the best model", "held out")
    foreign = [x for x in err.splitlines() if x and not x.startswith(ours)]
    assert foreign == []  # no traceback, and nothing of TensorFlow's
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


@pytest.mark.slow
def test_a_model_at_chance_is_written_with_a_warning(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("heads", "tails"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            noise = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / name / f"{i}.png")
    command: list[str | Path] = ["train", tmp_path / "data", "-o", tmp_path / "m.forgo"]
    command += ["--image-size", "8", "--epochs", "1", "--augment", "none", "--valid", "0.5", "--json"]
    done = forgo(*command)
    assert done.code == 0, done.err
    (warning,) = json.loads(done.out)["warnings"]
    assert "is no better than always answering" in warning
    assert f"warning: {warning}" in done.err
    assert warning in (tmp_path / "m.forgo" / "card.md").read_text()
    report = (tmp_path / "m.forgo" / "report.html").read_text()
    assert "is no better than always answering" in report
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["provenance"]["warnings"] == [warning]
    # and it is replaced only when that is asked for
    assert forgo(*command).code == 1
    assert forgo(*command, "--force").code == 0
    assert forgo("verify", tmp_path / "m.forgo").code == 0


@pytest.mark.slow
def test_resnet50_from_a_weights_file(tmp_path: Path, digits: TrainedBundle) -> None:
    import keras

    base = keras.applications.ResNet50(
        include_top=False, pooling="avg", input_shape=(32, 32, 3), weights=None
    )
    base.save_weights(tmp_path / "base.weights.h5")
    data = folder_of_classes(tmp_path / "data", digits, each=6)
    done = forgo(
        "train", data, "-o", tmp_path / "m.forgo", "--backbone", "resnet50", "--image-size", "32", "--epochs", "1",
        "--weights", tmp_path / "base.weights.h5", "--trainable", "first:30", "--augment", "classic",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "parity proven in Go" in done.err


@pytest.mark.slow
def test_imagenet_weights_that_cannot_be_had_name_the_way_out(tmp_path: Path, digits: TrainedBundle) -> None:
    data = folder_of_classes(tmp_path / "data", digits, each=6)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
        "KERAS_HOME": str(tmp_path),
    }
    done = forgo(
        "train",
        data,
        "-o",
        tmp_path / "m.forgo",
        "--backbone",
        "resnet50",
        "--image-size",
        "32",
        env=environment,
    )
    assert done.code == 1
    assert "--weights none" in done.err
    assert "Traceback" not in done.err


def test_normalization_is_caffes_exactly() -> None:
    import keras

    from forgo.training import _network

    image = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype(np.float32)
    want = keras.applications.resnet50.preprocess_input(image.copy())
    assert np.abs(np.asarray(_network.caffe_normalization()(image)) - want).max() < 1e-4


def test_trainable_layers() -> None:
    from forgo.training import _network

    def chosen(trainable: str) -> list[str]:
        model: Any = _network.build("small", 16, 2, weights="none", trainable=trainable)
        base = model.get_layer("small")
        return [layer.name for layer in base.layers if layer.trainable and layer.weights]

    assert chosen("head") == []
    assert len(chosen("all")) == 8
    assert chosen("conv[12]") == ["conv1", "conv2"]
    assert chosen("first:3") == ["conv1"]
    assert chosen("last:4") == ["conv4", "bn4"]


def test_leaks_are_found(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for part in ("train", "valid"):
        for n, name in enumerate(("a", "b")):
            (tmp_path / part / name).mkdir(parents=True)
            image.putpixel((0, 0), (n, 0, 0))
            image.save(tmp_path / part / name / "same.png")
    found = _data.find(tmp_path, 0.2, 0, SOURCE)
    assert len(found.leaked) == 2


def celeba(path: Path, pictures: list[Path], form: str = "txt") -> tuple[Path, Path, Path]:
    """Pictures with CelebA's lists beside them: every other one is Male."""
    images = path / "img_align_celeba"
    images.mkdir(parents=True)
    names = [f"{n:06d}{p.suffix}" for n, p in enumerate(pictures, 1)]
    for name, p in zip(names, pictures, strict=True):
        shutil.copy(p, images / name)
    comma = "," if form == "csv" else "  "
    head = f"image_id{comma}" if form == "csv" else f"{len(names)}\n"
    rows = [comma.join([n, "-1", "1" if i % 2 else "-1"]) for i, n in enumerate(names)]
    attributes, partition = path / f"list_attr_celeba.{form}", path / f"list_eval_partition.{form}"
    attributes.write_text(head + f"Bald{comma}Male\n" + "\n".join(rows) + "\n")
    parts = [f"{n}{comma}{0 if i % 10 < 6 else 1 if i % 10 < 8 else 2}" for i, n in enumerate(names)]
    partition.write_text(("image_id,partition\n" if form == "csv" else "") + "\n".join(parts) + "\n")
    return images, attributes, partition


def one_colour_pictures(path: Path, n: int = 20) -> list[Path]:
    """Pictures that differ, so that none is a copy of another."""
    path.mkdir()
    paths = []
    for i in range(n):
        paths.append(path / f"{i}.png")
        Image.new("RGB", (20, 24), (10 * i, 200 if i % 2 else 30, 5)).save(paths[-1])
    return paths


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_annotations_give_the_classes_and_the_parts(tmp_path: Path, form: str) -> None:
    images, attributes, partition = celeba(tmp_path, one_colour_pictures(tmp_path / "p"), form)
    (images / "000020.png").unlink()
    (images / "unlisted.png").write_bytes((images / "000001.png").read_bytes())
    listed = _data.Annotations(attributes, "Male", None, partition)
    found = _data.find_annotated(images, listed, 0.2, 0, SOURCE)
    assert found.labels == ["not Male", "Male"]
    assert (len(found.train), len(found.valid), len(found.test)) == (12, 4, 3)
    assert [p.label for p in found.train[:4]] == [0, 1, 0, 1]
    assert [Path(p).name for p, _ in found.set_aside] == ["000020.png"]
    assert "does not exist" in found.set_aside[0][1]
    whole = _data.find_annotated(images, _data.Annotations(attributes, "Male", ("f", "m")), 0.25, 0, SOURCE)
    assert whole.labels == ["f", "m"]
    assert (len(whole.train), len(whole.valid), len(whole.test)) == (15, 4, 0)


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"attributes": "2\nMale\na.png 1\nb.png -1 1\n"}, ":4: a line must have a file name and 1 values"),
        ({"attributes": "2\nMale\na.png yes\n"}, ":3: a line must have a file name"),
        ({"attributes": "2\nMale\na.png 1\na.png 1\n"}, "a.png appears twice"),
        ({"attributes": "2\nBald Young\na.png 1 1\n"}, "no such attribute; it has Bald, Young"),
        ({"attributes": ""}, "no such attribute; it has none"),
        ({"attributes": "1\nMale\n../x.png 1\n"}, "../x.png lies outside"),
        ({"attributes": "1\nMale\nmissing.png 1\n"}, "no usable train picture"),
        (
            {"attributes": "1\nMale\na.png 1\n", "partition": "a.png 0\nb.png 3\n"},
            ":2: a line must have a file name and 0",
        ),
        ({"attributes": "1\nMale\na.png 1\n", "partition": "\n"}, "no line has a file name and 0"),
    ],
)
def test_annotations_that_cannot_be_used(tmp_path: Path, lists: dict[str, str], says: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (9, 9)).save(images / "a.png")
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text)
    listed = _data.Annotations(
        tmp_path / "attributes.txt",
        "Male",
        None,
        tmp_path / "partition.txt" if "partition" in lists else None,
    )
    with pytest.raises(ForgoError, match=re.escape(says)):
        _data.find_annotated(images, listed, 0.2, 0, SOURCE)


def test_arguments_that_do_not_go_together(tmp_path: Path) -> None:
    for arguments, says in (
        (["--attribute", "Male"], "go together"),
        (["--partition", "p.txt"], "need them"),
        (["--recipe", "modern"], "--recipe must be one of standard, classic"),
        (["--class-names", "one", "--annotations", "a", "--attribute", "b"], "two names"),
    ):
        done = forgo("train", tmp_path, "-o", tmp_path / "m.forgo", *arguments)
        assert done.code == 1, arguments
        assert says in done.err


def test_the_classic_network() -> None:
    from forgo.training import _network
    from forgo.training._settings import RECIPES

    r = RECIPES["classic"]
    model: Any = _network.build(
        r.backbone, 32, 2, weights="none", trainable=r.trainable, dropout=r.dropout, input_name=r.input_name
    )
    assert [layer.name for layer in model.layers] == [
        "input_1",
        "normalization",
        "resnet50",
        "inferenceLayer",
    ]
    base = model.get_layer("resnet50").layers
    assert [layer.trainable for layer in base] == [True] * 30 + [False] * (len(base) - 30)
