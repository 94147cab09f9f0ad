"""Pictures of all kinds, and the largest ones, at once: answers are those of a fresh process, and memory is what is reserved."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import forgo
from forgo import _binary
from mutants._bundle_skews import BundleSkew, Manifest, apply
from mutants._serve_skews import Server, serving
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


LARGE = 9459
"""The side of the largest square picture that is taken."""
MB = 1 << 20
ROOM, MARGIN = 512 * MB, 64 * MB


def large_picture() -> bytes:
    """A grey PNG of less than a megabyte."""
    row = b"\0" + bytes(range(256)) * (LARGE // 256 + 1)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row[: LARGE + 1]) for _ in range(LARGE)) + packer.flush()
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", LARGE, LARGE, 8, 0, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    ):
        made += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    return made


def resident(server: Server, what: str) -> int:
    """The server's VmRSS, or VmHWM: the most that it ever was."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) << 10


def asked(url: str, picture: bytes) -> tuple[int, bytes]:
    ask = urllib.request.Request(url, picture, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(ask, timeout=300) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def crowd_of_large_ones(bundle: Path) -> tuple[list[tuple[int, bytes]], int, int]:
    """The answers to four of the largest pictures at once, how far the server's memory rose, and what stays of it."""
    picture = large_picture()
    with (
        serving(_binary.path(), bundle, "--max-memory", f"{ROOM // MB}MiB") as server,
        ThreadPoolExecutor(4) as pool,
    ):
        url = f"{server.http}/models/{bundle.stem}"
        before = resident(server, "VmRSS")
        answers = list(pool.map(lambda _: asked(url, picture), range(4)))
        return answers, resident(server, "VmHWM") - before, resident(server, "VmRSS") - before


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@linux
@pytest.mark.slow
@pytest.mark.parametrize("resize", ["bilinear", "lanczos-pillow"])
def test_the_largest_pictures_at_once_take_what_is_reserved(tmp_path: Path, resize: Any) -> None:
    bundle = tmp_path / "large.forgo"
    forgo.export(averaging(), bundle, examples=[PICTURES / "420-baseline.jpg"], resize=resize)
    answers, rise, stays = crowd_of_large_ones(bundle)
    assert {status for status, _ in answers} <= {200, 429}
    assert [status for status, _ in answers].count(200) >= 1
    assert rise < ROOM + MARGIN
    assert stays < ROOM


def lying(bundle: Path, manifest: Manifest) -> None:
    """Say of a graph that makes floats of the whole picture that it takes single pixels."""
    del bundle
    manifest["picture"]["rules"] = {"resize": "nearest", "fit": "crop"}


@linux
@pytest.mark.slow
def test_a_bundle_that_lies_about_its_graph_takes_no_more(tmp_path: Path) -> None:
    """What is reserved for preprocessing is not what the rules say, where the graph is another."""
    bundle = tmp_path / "lying.forgo"
    shutil.copytree(ROOT / "conformance" / "bundles" / "shapes.forgo", bundle)
    apply(BundleSkew("rules of another graph", "", lying), bundle)
    answers, rise, _ = crowd_of_large_ones(bundle)
    for status, said in answers:
        assert status == 400
        assert re.search(rb"needs \d{10} bytes of memory \(limit for one request", said)
    assert rise < ROOM + MARGIN
