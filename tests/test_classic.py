"""The old chain in one script: the classic recipe, forGo by its three names, and the bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples import classic
from tests.conftest import ROOT
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
