"""A thousand pictures of all kinds at once: each gets the answer that it has alone in a fresh process."""

from __future__ import annotations

import json
import random
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import forgo
from forgo import _binary
from mutants._serve_skews import serving
from tests.conftest import ROOT

PICTURES = ROOT / "conformance" / "pictures"
SIDE = 24


def averaging() -> Any:
    """A model that answers the mean of each column and channel, in which every pixel shows."""
    keras = pytest.importorskip("keras")
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.AveragePooling2D((SIDE, 1)),
            keras.layers.Flatten(),
        ]
    )


def alone(bundle: Path, picture: Path) -> Any:
    """The answer of a fresh process, or None where it refuses the picture."""
    done = subprocess.run(
        [_binary.path(), "predict", "--json", bundle, picture],
        capture_output=True,
        env=_binary.environment(),
        check=False,
    )
    return json.loads(done.stdout)["outputs"] if done.returncode == 0 else None


def crowded(url: str, picture: Path) -> Any:
    """The answer of a server, or None where it refuses the picture."""
    ask = urllib.request.Request(url, picture.read_bytes(), {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(ask, timeout=120) as answer:
            return json.load(answer)["outputs"]
    except urllib.error.HTTPError as e:
        if e.code != 400:
            raise
        return None


@pytest.mark.slow
def test_a_thousand_pictures_at_once_are_answered_as_alone(tmp_path: Path) -> None:
    chance = random.Random(3)
    bundle = tmp_path / "sums.forgo"
    examples = [PICTURES / f"{name}" for name in ("420-baseline.jpg", "rgb.png", "lossy-75.webp")]
    forgo.export(averaging(), bundle, examples=examples, resize="nearest")
    cases = json.loads((ROOT / "conformance" / "pictures.json").read_text())
    kinds: dict[str, list[Path]] = {}
    for case in cases:
        if "height" not in case or case["height"] * case["width"] < 1_000_000:
            path = PICTURES / case["file"]
            kinds.setdefault(path.suffix, []).append(path)
    assert len(kinds) >= 6
    some = [p for found in kinds.values() for p in chance.sample(found, min(40, len(found)))]
    with ThreadPoolExecutor(4) as pool:
        want = dict(zip(some, pool.map(lambda p: alone(bundle, p), some), strict=True))
    assert sum(answer is not None for answer in want.values()) > 100
    assert len({json.dumps(answer) for answer in want.values()}) > 60
    crowd = [chance.choice(some) for _ in range(1000)]
    with serving(_binary.path(), bundle) as server, ThreadPoolExecutor(32) as pool:
        url = f"{server.http}/models/sums"
        for picture, got in zip(crowd, pool.map(lambda p: crowded(url, p), crowd), strict=True):
            assert got == want[picture], picture.name
