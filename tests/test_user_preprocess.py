"""preprocess=: the picture rules must agree with the user's own function."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

import forgo
from forgo._preprocess import Preprocessor, build
from forgo.exporting import _user_preprocess
from forgo.exporting._examples import read_pictures
from forgo.exporting._model import TensorInfo
from forgo.exporting._normalization import Normalization
from forgo.exporting._request import Request
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo

PICTURES = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))
SIZE = (16, 16)


def nearest(image: Image.Image) -> Any:
    return np.asarray(image.resize(SIZE, Image.Resampling.NEAREST), np.float32)


def by_path(path: Path) -> Any:
    return nearest(ImageOps.exif_transpose(Image.open(path)).convert("RGB")) / 255


def by_text(path: str) -> Any:
    assert isinstance(path, Path)
    return by_path(path)


def torchvisions(image: Image.Image, side: int, size: tuple[int, int], way: Image.Resampling) -> Any:
    """What torchvision's Resize(side) and CenterCrop(size) make of a Pillow image."""
    w, h = image.size
    image = image.resize((side, int(side * h / w)) if w <= h else (int(side * w / h), side), way)
    height, width = size
    top, left = round((image.height - height) / 2.0), round((image.width - width) / 2.0)
    return image.crop((left, top, left + width, top + height))


class Loader:
    def __call__(self, path: str | Path) -> Any:
        return by_path(Path(path))


@pytest.mark.parametrize(
    ("function", "path"),
    [(functools.partial(by_path), True), (nearest, False), (by_path, True), (by_text, True), (Loader(), True), (lambda im: im, False), (np.asarray, False)],
)  # fmt: skip
def test_a_path_is_given_to_those_that_say_so(function: Any, path: bool) -> None:
    assert _user_preprocess.takes_path(function) is path


def checked(function: Any, **rules: Any) -> dict[str, Any]:
    """Hold rules to a function, as an export does."""
    normalization = rules.pop("normalization", Normalization())
    examples, _ = read_pictures(
        PICTURES, Preprocessor(build(*SIZE, **rules)), TensorInfo("x", "float32", (None, *SIZE, 3))
    )
    request = Request(
        Path("m.forgo"), pictures=PICTURES, normalization=normalization,
        prepared=_user_preprocess.apply(function, PICTURES), **rules,
    )  # fmt: skip
    return _user_preprocess.check([e for e in examples if e is not None], "x", request)


def test_a_function_that_leaves_pictures_turned_is_told_so() -> None:
    def turned(path: Path) -> Any:
        return nearest(Image.open(path).convert("RGB"))

    with pytest.raises(
        forgo.ExportError,
        match=r"without an EXIF orientation it matches resize='nearest'; .*exif_transpose",
    ):
        checked(turned, resize="nearest")


def test_grey() -> None:
    def grey(image: Image.Image) -> Any:
        return nearest(image)[..., 1] / 255

    given = _user_preprocess.apply(grey, PICTURES)
    assert given.shape == (len(PICTURES), *SIZE, 1)
    preprocess = Preprocessor(build(*SIZE, resize="nearest"))
    examples, _ = read_pictures(PICTURES, preprocess, TensorInfo("x", "float32", (None, *SIZE, 3)))
    one = [replace(e, inputs={"x": e.inputs["x"][..., 1:2]}) for e in examples if e is not None]
    by_255 = Request(Path("m.forgo"), prepared=given, normalization=Normalization(scale=1 / 255))
    assert _user_preprocess.check(one, "x", by_255)["largest_difference"] < 1e-3
    with pytest.raises(forgo.ExportError, match="differs from resize='bilinear': by up to"):
        _user_preprocess.check(one, "x", Request(Path("m.forgo"), prepared=given))


def test_rules_that_match() -> None:
    found = checked(
        lambda im: nearest(im) / 255, resize="nearest", normalization=Normalization(scale=1 / 255)
    )
    assert found["examples"] == len(PICTURES)
    assert found["largest_difference"] < 1e-3


@pytest.mark.parametrize(
    ("function", "rules", "says"),
    [
        (lambda im: nearest(im) / 255, {}, r"matches resize='nearest', scale=1/255$"),
        (lambda im: nearest(im)[..., ::-1], {"resize": "nearest"}, r"matches resize='nearest', channels='BGR'$"),
        (
            lambda im: nearest(im)[..., ::-1] - np.array([103.939, 116.779, 123.68]),
            {"normalization": Normalization(scale=1 / 255)},
            r"matches resize='nearest', channels='BGR', mean=\(103.939, 116.779, 123.68\)$",
        ),
        (  # what no framework of note does: found by a straight line
            lambda im: (nearest(im) / 255 - np.array([0.48145, 0.45783, 0.40821])) / np.array([0.26863, 0.2613, 0.27578]),
            {"resize": "nearest"},
            r"matches resize='nearest', scale=1/255, mean=\(0.4814\d*, 0.4578\d*, 0.4082\d*\), std=\(0.2686\d*, 0.2613\d*, 0.2757\d*\)$",
        ),
        (  # one pixel's channel differs
            lambda im: nearest(im) + np.eye(16)[:, :, None] * (1, 0, 0),
            {"resize": "nearest"},
            r"by up to 1 of 255, .*No rules match it; the closest, resize='nearest'.*, differ by up to",
        ),
        (
            lambda im: np.asarray(im.resize(SIZE, Image.Resampling.BILINEAR)),
            {},
            r"matches resize='bilinear-pillow'$",
        ),
        (
            lambda im: np.asarray(im.resize(SIZE, Image.Resampling.LANCZOS)) / 127.5 - 1,
            {"resize": "bicubic-pillow", "normalization": Normalization(scale=1 / 127.5, mean=(1, 1, 1))},
            r"matches resize='lanczos-pillow', scale=1/127.5, mean=1$",
        ),
        (
            lambda im: np.asarray(torchvisions(im, 18, SIZE, Image.Resampling.BICUBIC)),
            {"resize": "bicubic-pillow"},
            r"matches resize='bicubic-pillow', fit='shorter-side', shorter_side=18$",
        ),
        (
            lambda im: np.asarray(ImageOps.pad(im, SIZE, Image.Resampling.BILINEAR, (114, 114, 114))),
            {"resize": "bilinear-pillow", "fit": "pad"},
            r"matches resize='bilinear-pillow', fit='pad', pad_colour=\(114, 114, 114\)$",
        ),
    ],
)  # fmt: skip
def test_rules_that_differ_name_those_that_match(function: Any, rules: dict[str, Any], says: str) -> None:
    with pytest.raises(forgo.ExportError, match=says) as caught:
        checked(function, **rules)
    assert "of 255, on 0" in str(caught.value)  # which example


def in_lines() -> None:
    raise RuntimeError("one\ntwo")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda im: 1 / 0, "preprocess fails on .*ZeroDivisionError"),
        (lambda im: in_lines(), "preprocess fails on .*: RuntimeError: one$"),
        (lambda im: None, "preprocess gives object"),
        (lambda im: np.asarray(im.convert("CMYK")), r"not numbers \[height, width, 3\]"),
        (lambda im: np.asarray(im), "but .* for an earlier picture"),
        (lambda im: nearest(im) * np.float32("nan"), "not finite"),
    ],
)
def test_functions_that_fail(function: Any, says: str, tmp_path: Path) -> None:
    files = [*PICTURES, tmp_path / "other.png"]
    Image.new("RGB", (3, 5)).save(files[-1])
    with pytest.raises(forgo.ExportError, match=says) as refused:
        forgo.export("model.keras", tmp_path / "m.forgo", examples=files, preprocess=function)
    assert "\n" not in str(refused.value)


def test_it_is_for_pictures(tmp_path: Path) -> None:
    with pytest.raises(forgo.ExportError, match="preprocess needs a picture model"):
        forgo.export("m.keras", tmp_path / "m.forgo", examples=np.ones((3, 4)), preprocess=nearest)


@pytest.mark.slow
@pytest.mark.parametrize("in_memory", [True, False])
def test_its_answers_are_the_golden_ones(tmp_path: Path, in_memory: bool) -> None:
    keras.utils.set_random_seed(9)
    model = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Conv2D(8, 3, activation="tanh"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(tmp_path / "m.keras")
    bundle = tmp_path / "m.forgo"
    calls = []

    def mine(path: Path) -> Any:
        calls.append(path)
        return by_path(path)

    given = model if in_memory else tmp_path / "m.keras"
    arguments: dict[str, Any] = {"examples": PICTURES, "labels": ["a", "b", "c"], "preprocess": mine}
    with pytest.raises(forgo.ExportError, match="matches resize='nearest', scale=1/255"):
        forgo.export(given, bundle, **arguments)
    assert not bundle.exists()
    calls.clear()
    forgo.export(given, bundle, resize="nearest", scale=1 / 255, **arguments)
    assert calls == PICTURES
    done = run_forgo("predict", "--json", "--top", "0", bundle, *PICTURES)
    want = model.predict(np.stack([by_path(p) for p in PICTURES]), verbose=0)
    for line, scores in zip(done.out.splitlines(), want, strict=True):
        got = {c["label"]: c["score"] for c in json.loads(line)["classes"]}
        assert [got[label] for label in "abc"] == pytest.approx(scores.tolist(), abs=1e-4)
    said = json.loads((bundle / "forgo.json").read_text())["provenance"]["preprocess"]
    assert said["examples"] == len(PICTURES)
    assert said["largest_difference"] <= said["tolerance"] == 0.05
