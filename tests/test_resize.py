"""Pictures are brought to a size as the libraries do it that people train with.

docs/pictures.md lists the libraries' calls and how far each rule is from its own; both are held here, on the pictures of
conformance/pictures, on photographs and on noise of odd sizes.
"""

from __future__ import annotations

import functools
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from conformance.prepared import CALLS, Floats, Pixels, torchvision
from forgo import ForgoError, PictureError
from forgo._picture import decode
from forgo._preprocess import Preprocessor, build
from forgo._rules import FITS, RESIZES, Rules
from tests.conftest import FORGO, ROOT

R = Image.Resampling

GUIDE = (ROOT / "docs" / "pictures.md").read_text()
_ROW = re.compile(r"^\| `([\w-]+)` \| (.+) \| (\S+) \|$", re.MULTILINE)
LARGEST = {m[1]: float(m[3]) for m in _ROW.finditer(GUIDE.partition("## Filters")[2].partition("\n## ")[0])}


@functools.cache
def corpus() -> list[Pixels]:
    """Every picture of the corpus that is decoded, two photographs, and noise."""
    from sklearn.datasets import load_sample_image

    pictures: dict[bytes, Pixels] = {}
    for path in sorted((ROOT / "conformance" / "pictures").iterdir()):
        try:
            pixels = decode(path.read_bytes())
        except PictureError:
            continue
        pictures.setdefault(pixels.tobytes(), pixels)  # many decode alike
    random = np.random.default_rng(0)
    sizes = [(1, 1), (9, 9), (5, 7), (300, 2), (1, 90), (500, 33), *random.integers(1, 400, (8, 2)).tolist()]
    noise = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    return [
        *pictures.values(), *noise, load_sample_image("china.jpg"), load_sample_image("flower.jpg").transpose(1, 0, 2).copy()
    ]  # fmt: skip


def worst(ours: Preprocessor, theirs: Callable[[Pixels], Floats]) -> float:
    assert len(corpus()) > 100
    return max(float(np.abs(ours(x) - theirs(x)).max()) for x in corpus())


def test_the_guide_has_every_filter() -> None:
    assert set(LARGEST) == set(RESIZES) == set(CALLS)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (31, 97)])
def test_filters_are_their_librarys(resize: Any, size: tuple[int, int]) -> None:
    off = worst(Preprocessor(build(*size, resize=resize)), lambda x: CALLS[resize](x, *size))
    assert off <= LARGEST[resize]


@pytest.mark.parametrize(
    ("resize", "arguments"),
    [(r, {"interpolation": r.removesuffix("-antialias"), "antialias": r.endswith("-antialias")}) for r in RESIZES if r.split("-")[-1] in ("bilinear", "bicubic", "lanczos3", "lanczos5", "antialias")],
)  # fmt: skip
def test_keras_layer(resize: Any, arguments: dict[str, Any]) -> None:
    import keras

    layer = keras.layers.Resizing(37, 53, **arguments)
    for x in corpus()[-3:]:
        off = np.abs(
            Preprocessor(build(37, 53, resize=resize))(x) - np.asarray(layer(x.astype(np.float32)))
        ).max()
        assert off <= LARGEST[resize]


@pytest.mark.parametrize(
    ("side", "height", "width"), [(32, 32, 32), (36, 32, 31), (73, 64, 64), (50, 20, 50)]
)
@pytest.mark.parametrize("way", [R.BILINEAR, R.BICUBIC, R.NEAREST])
def test_shorter_side_is_torchvisions(side: int, height: int, width: int, way: Any) -> None:
    resize: Any = "nearest" if way == R.NEAREST else f"{way.name.lower()}-pillow"
    ours = Preprocessor(build(height, width, resize=resize, fit="shorter-side", shorter_side=side))
    assert worst(ours, lambda x: torchvision(x, side, height, width, way)) == 0


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 20), (20, 47)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (114, 114, 114), (255, 1, 7)])
def test_pad_is_pillows(height: int, width: int, colour: tuple[int, int, int]) -> None:
    ours = Preprocessor(build(height, width, resize="bicubic-pillow", fit="pad", pad_colour=colour))

    def theirs(x: Pixels) -> Floats:
        return np.asarray(ImageOps.pad(Image.fromarray(x), (width, height), R.BICUBIC, colour), np.float32)

    assert worst(ours, theirs) == 0


@pytest.mark.parametrize("resize", RESIZES)
def test_grey_is_made_first(resize: Any) -> None:
    for fit in FITS:
        colour: Any = (10, 200, 30) if fit == "pad" else (0, 0, 0)
        rules = Rules(resize, fit, pad_colour=colour)  # type: ignore[arg-type]
        for x in corpus()[-4:]:
            grey = np.asarray(Image.fromarray(x).convert("L"))
            ground = (*Image.new("RGB", (1, 1), colour).convert("L").get_flattened_data() * 3,)
            whole = Rules(resize, fit, pad_colour=ground)  # type: ignore[arg-type]
            want = Preprocessor(build(20, 24, whole))(np.repeat(grey[:, :, None], 3, axis=2))
            assert (Preprocessor(build(20, 24, rules, channels=1))(x) == want[:, :, :1]).all()


@pytest.mark.parametrize("resize", RESIZES)
def test_what_is_cropped_away_does_not_count(resize: Any) -> None:
    """Computing the wanted part alone gives what cutting it out of the whole gives."""
    for x in corpus()[-4:]:
        height, width = x.shape[:2]
        side = 40
        total = (side * height // min(height, width), side * width // min(height, width))
        if max(total) > 4000:
            continue
        whole = Preprocessor(build(*total, resize=resize))(x)
        top, left = round((total[0] - 24) / 2), round((total[1] - 32) / 2)
        ours = Preprocessor(build(24, 32, resize=resize, fit="shorter-side", shorter_side=side))(x)
        assert np.abs(ours - whole[top : top + 24, left : left + 32]).max() <= 1e-4


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"resize": "cubic"}, "resize must be one of bilinear, .*, not 'cubic'"),
        ({"fit": "letterbox"}, "fit must be one of stretch, crop, shorter-side, pad, not 'letterbox'"),
        ({"shorter_side": 256}, "shorter_side needs fit='shorter-side'"),
        ({"fit": "shorter-side", "shorter_side": 0}, "shorter_side must be from 1 to 65536, not 0"),
        ({"fit": "shorter-side", "shorter_side": 20}, "20, less than the 24 x 32 pixels .* give 32 or more"),
        ({"pad_colour": (1, 2, 3)}, "pad_colour needs fit='pad'"),
        ({"fit": "pad", "pad_colour": (1, 2)}, "red, green and blue from 0 to 255, not 1, 2"),
        ({"fit": "pad", "pad_colour": (1, 2, 256)}, "not 1, 2, 256"),
    ],
)
def test_rules_that_cannot_be(rules: dict[str, Any], says: str) -> None:
    with pytest.raises(ForgoError, match=says):
        build(24, 32, **rules)


SIDE = 9459
"""Of the largest square picture that is taken."""


@pytest.fixture(scope="module")
def large_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey PNG of a hundred kilobytes, written row by row."""
    row = b"\0" + bytes(range(256)) * (SIDE // 256 + 1)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row[: SIDE + 1]) for _ in range(SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    path = tmp_path_factory.mktemp("large") / "large.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", zlib.crc32(name + content)))
    return path


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process between: a child's ru_maxrss begins with what its parent has at the fork."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize("resize", RESIZES)
def test_a_large_picture_takes_no_float_copy(large_picture: Path, resize: str) -> None:
    """The whole process stays below what two bytes a sample would take; floats take four."""
    model = ROOT / "conformance" / "graphs" / "free-planes.onnx"
    command: list[str | Path] = [
        FORGO,
        "predict",
        model,
        "--image-size",
        "224",
        "--resize",
        resize,
        "--json",
        large_picture,
    ]
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 2 * 3 * SIDE * SIDE
