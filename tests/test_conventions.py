"""Known networks are recognized by name, and what they take is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

import forgo
from forgo._errors import in_command
from forgo.exporting import _conventions
from forgo.exporting._normalization import USUAL, Normalization
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo

PICTURES = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
CAFFE, MINUS_ONE = USUAL["minus caffe's means, BGR"], USUAL["pixels from -1 to 1"]


def network(name: str, *before: Any) -> Any:
    """A network that has the name of a known one, in a model as people build them."""
    base = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, activation="tanh"), keras.layers.GlobalMaxPooling2D()],
        name=name,
    )  # fmt: skip
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [keras.Input((16, 16, 3)), *before, base, keras.layers.Dense(3, activation="softmax")]
    )


def said(model: Any, given: Normalization | None = None) -> str:
    return in_command("\n".join(_conventions.notes(SimpleNamespace(model=model), given or Normalization())))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("resnet50", "--channels BGR --mean 103.939,116.779,123.68"),
        ("vgg19", "--channels BGR --mean 103.939,116.779,123.68"),
        ("resnet152v2", "--scale 1/127.5 --mean 1"),
        ("mobilenet_1.00_224", "--scale 1/127.5 --mean 1"),
        ("mobilenetv2_0.35_96", "--scale 1/127.5 --mean 1"),
        ("xception", "--scale 1/127.5 --mean 1"),
        ("densenet121", "--scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
        ("convnext_tiny", "--scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
    ],
)
def test_names_of_models(name: str, flags: str) -> None:
    assert f"{name} of keras.applications takes" in said(network(name))
    assert said(network(name)).endswith(flags)
    assert said(network(f"my_{name}_and_more")) == ""


def test_layers_of_a_network_that_lost_its_name() -> None:
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    assert "layers of mobilenetv2" in said(keras.Model(base.input, base.output))


def test_networks_that_normalize_themselves() -> None:
    own = keras.layers.Rescaling(1 / 127.5, -1)
    assert said(network("mobilenetv2_1.00_224", own)) == ""
    assert "normalized twice" in said(network("mobilenetv2_1.00_224", own), MINUS_ONE)
    built_in = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(32, 32, 3))
    assert said(built_in) == ""
    assert "Rescaling 'rescaling" in said(built_in, MINUS_ONE)
    pixels = keras.Input((16, 16, 3))
    prepared = keras.applications.mobilenet_v2.preprocess_input(pixels)
    inside = keras.Model(pixels, network("mobilenetv2_1.00_224")(prepared))
    assert said(inside) == ""


def test_flags_that_fit_and_flags_that_do_not() -> None:
    assert said(network("resnet50"), CAFFE) == ""
    assert "this export gives it --scale 1/127.5 --mean 1" in said(network("resnet50"), MINUS_ONE)


def test_scopes_of_a_saved_model() -> None:
    scopes = {"functional", "resnet50_1", "conv1_conv", "convolution"}
    (line,) = _conventions.notes(SimpleNamespace(scopes=scopes), Normalization())
    assert "resnet50 of keras.applications" in line
    assert _conventions.notes(SimpleNamespace(scopes=scopes | {"rescaling_1"}), Normalization()) == []


@pytest.mark.slow
def test_export_says_it(tmp_path: Path) -> None:
    result = forgo.export(network("resnet50"), tmp_path / "m.forgo", examples=PICTURES)
    assert [
        n
        for n in result.notes
        if "channels='BGR' mean='103.939" in n and "--channels BGR --mean 103.939" in n.as_command()
    ]


def test_the_help_names_the_convention() -> None:
    shown = " ".join(run_forgo("export", "--help").out.replace("│", " ").split())
    assert "Pixels reach MODEL as RGB, float32, 0 to 255." in shown
    assert "(pixel * scale - mean) / std" in shown
