"""The old chain in one script: the classic recipe, forGo by its three names, and the bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples import classic
from forgo.training._settings import RECIPES
from tests.conftest import ROOT, forgo
from tests.test_train import celeba, one_colour_pictures

BUNDLE: classic.Answers = {"a.jpg": {"not Male": 0.9, "Male": 0.1}, "b.jpg": {"not Male": 0.2, "Male": 0.8}}


@pytest.mark.parametrize(
    ("by_names", "says"),
    [
        (BUNDLE | {"b.jpg": {"not Male": 0.8, "Male": 0.2}}, "b.jpg: not Male 0.800000 and 0.200000"),
        (BUNDLE | {"a.jpg": {"not Male": 0.9, "Male": 0.1002}}, "a.jpg: Male 0.100200 and 0.100000"),
        (BUNDLE | {"a.jpg": {"not Male": 0.9, "Male": float("nan")}}, "a.jpg: Male nan and 0.100000"),
        (BUNDLE | {"a.jpg": {"0": 0.9, "1": 0.1}}, "a.jpg: labelled 0, 1 and not Male, Male"),
        ({"a.jpg": BUNDLE["a.jpg"]}, "b.jpg: answered once only"),
    ],
)
def test_any_difference_is_found(by_names: classic.Answers, says: str) -> None:
    assert classic.differences(by_names, BUNDLE) == [says]
    assert classic.differences(BUNDLE, BUNDLE) == []


@pytest.mark.slow
def test_the_whole_chain(tmp_path: Path) -> None:
    images, _, _ = celeba(tmp_path / "celeba", one_colour_pictures(tmp_path / "p"))
    script: list[str | Path] = [
        sys.executable,
        ROOT / "examples" / "classic.py",
        tmp_path / "celeba",
        "-o",
        tmp_path / "out",
    ]
    done = subprocess.run(
        [*script, "--weights", "none", "--image-size", "32", "--epochs", "1"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same answers by names and from the bundle: 8 pictures, every label" in done.stdout
    assert "parity proven in Go" in done.stderr
    for shown in ("tags tags", "= input_1:0", "= inferenceLayer/Softmax:0"):
        assert shown in done.stdout, shown

    out, photos = tmp_path / "out", sorted(images.iterdir())[:2]
    manifest = json.loads((out / "faces.forgo" / "forgo.json").read_text())
    assert manifest["labels"] == ["not Male", "Male"]
    settings = manifest["provenance"]["settings"]
    assert {"recipe": "classic", "attribute": "Male", "trainable": "first:30"}.items() <= settings.items()

    # The answers agree because the pixels do, not by being all the same: what the old Go did is found.
    proven = classic.predict(out / "faces.forgo", *photos)
    assert {label for answer in proven.values() for label in answer} == {"not Male", "Male"}
    by_names: list[str | Path] = [out / "forGo", *classic.NAMES, "--labels", out / "labels.txt"]
    assert classic.differences(classic.predict(*by_names, *photos), proven) == []
    assert len(classic.differences(classic.predict(*by_names, "--mean", "117", *photos), proven)) == 2
    (out / "labels.txt").write_text("Male\nnot Male\n")
    assert len(classic.differences(classic.predict(*by_names, *photos), proven)) == 2


def test_the_recipe_is_the_old_trainers() -> None:
    recipe = RECIPES["classic"]
    assert (recipe.backbone, recipe.weights, recipe.trainable) == ("resnet50", "imagenet", "first:30")
    assert (recipe.learning_rate, recipe.decay, recipe.patience) == (1e-4, False, 10)
    assert (recipe.augment, recipe.dropout, recipe.input_name) == ("classic", 0.0, "input_1")


@pytest.mark.slow
def test_its_augmentation_and_its_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed to Keras: rotation 40 degrees, shifts, shear and zoom 0.2, a flip; Adam 1e-4; patience 10."""
    import keras
    import numpy as np
    from rich.console import Console

    from forgo.training import _augmentation, _fit

    rotation, shift, shear, zoom, flip = (layer.get_config() for layer in _augmentation.layers("classic", 0))
    assert np.allclose(np.abs(rotation["factor"]), 40 / 360)
    assert np.allclose(np.abs([shift["height_factor"], shift["width_factor"]]), 0.2)
    for factor in (shear["x_factor"], shear["y_factor"], zoom["height_factor"]):
        assert np.max(np.abs(factor)) == pytest.approx(0.2)
    assert flip["mode"] == "horizontal"

    recipe = RECIPES["classic"]
    seen: dict[str, object] = {}

    def fit(self: object, *args: object, callbacks: list[object], **options: object) -> None:
        seen["optimizer"] = self.optimizer  # type: ignore[attr-defined]
        seen["callbacks"] = callbacks
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "fit", fit)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])

    class Pictures:
        pictures = (0, 1)
        labels = np.zeros(2)

    with pytest.raises(KeyboardInterrupt):
        _fit.fit(
            model, Pictures(), Pictures(), tmp_path / "best.keras", Console(quiet=True), epochs=3,  # type: ignore[arg-type]
            batch_size=2, seed=0, augment=recipe.augment, learning_rate=recipe.learning_rate or 0,
            decay=recipe.decay, patience=recipe.patience,
        )  # fmt: skip
    optimizer = seen["optimizer"]
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == pytest.approx(1e-4)
    (stopping,) = [c for c in seen["callbacks"] if isinstance(c, keras.callbacks.EarlyStopping)]  # type: ignore[attr-defined]
    assert (stopping.patience, stopping.monitor) == (10, "val_loss")


@pytest.mark.slow
def test_the_recipe_on_class_folders(tmp_path: Path) -> None:
    for i, picture in enumerate(one_colour_pictures(tmp_path / "p")):
        target = tmp_path / "data" / ("odd" if i % 2 else "even") / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.rename(target)
    path = tmp_path / "m.forgo"
    done = forgo(
        "train", tmp_path / "data", "-o", path, "--recipe", "classic", "--weights", "none",
        "--image-size", "32", "--epochs", "1",
    )  # fmt: skip
    assert done.code == 0, done.err
    manifest = json.loads((path / "forgo.json").read_text())
    assert manifest["labels"] == ["even", "odd"]
    settings = manifest["provenance"]["settings"]
    expected = {
        "recipe": "classic",
        "backbone": "resnet50",
        "augment": "classic",
        "trainable": "first:30",
        "learning rate": 1e-4,
    }
    assert expected.items() <= settings.items()
