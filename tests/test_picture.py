from __future__ import annotations

import hashlib
import io
import json
import subprocess
import urllib.request
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageOps

from forgo import PictureError, _binary
from forgo._picture import FORMATS, decode
from forgo._preprocess import Preprocessor, build, build_bare, digests
from forgo._rules import FITS, RESIZES
from tests.conftest import FORGO, ROOT

CASES = json.loads((ROOT / "conformance" / "pictures.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["file"])
def test_decodes_as_recorded(case: dict[str, Any]) -> None:
    data = (ROOT / "conformance" / "pictures" / case["file"]).read_bytes()
    if "refused" in case:
        with pytest.raises(PictureError) as caught:
            decode(data)
        assert str(caught.value) == case["refused"]
        return
    pixels = decode(data)
    assert pixels.shape == (case["height"], case["width"], 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == case["sha256"]
    for ground in ("white", "black"):
        over = decode(data, ground)
        assert hashlib.sha256(over.tobytes()).hexdigest() == case.get(ground, case["sha256"])


def bare_pillow(data: bytes) -> Any:
    """The pixels that Pillow gives to who asks for no rule, or None where it refuses."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            # It turns TIFFs by itself.
            upright = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
            return np.asarray(upright.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


TURNED = {"exif-as-long.jpg", "odd-orientation.tif"}
"""Whose orientation is of another type than the rule's."""
GREY_16 = {
    "sixteen-bit-grey.png",
    "type-0-16-bit.png",
    "type-0-16-bit-interlaced.png",
    "mode-i-16.tif",
    "encoded-grey-16-big.tif",
    "encoded-grey-16-little.tif",
}
"""Of 16 bits a sample, which Pillow makes white."""


@dataclass
class Kind:
    """What becomes of the files of one kind."""

    files: int = 0
    refused: int = 0
    taken_by_pillow: int = 0
    refused_by_pillow: int = 0
    equal: int = 0
    turned: int = 0
    differences: list[int] = field(default_factory=list)

    def add(self, name: str, ours: Any, theirs: Any) -> None:
        self.files += 1
        if ours is None:
            self.refused += 1
            self.taken_by_pillow += theirs is not None
        elif theirs is None:
            self.refused_by_pillow += 1
        elif name in TURNED:
            assert (ours == np.rot90(theirs)).all(), name
            self.turned += 1
        elif (ours == theirs).all():
            self.equal += 1
        else:
            assert name in GREY_16, name
            self.differences.append(int(np.abs(ours.astype(int) - theirs).max()))

    def row(self, name: str) -> str:
        largest = f"{max(self.differences)} in {len(self.differences)}" if self.differences else "0"
        if self.turned:
            largest += f"; {self.turned} turned"
        if self.refused == self.files:
            largest = "-"
        cells = (self.equal, largest, self.refused_by_pillow, self.refused, self.taken_by_pillow)
        return f"| {name} | {self.files} | " + " | ".join(map(str, cells)) + " |"


def test_the_table_of_differences_from_pillow() -> None:
    """Pixels are Pillow's, except where a rule of our own holds."""
    kinds: dict[str, Kind] = {name: Kind() for name in [*FORMATS, "others"]}
    names = {ending: name for name, (_, *endings) in FORMATS.items() for ending in endings}
    for case in CASES:
        path = ROOT / "conformance" / "pictures" / case["file"]
        data = path.read_bytes()
        ours = None if "refused" in case else decode(data)
        kinds[names.get(path.suffix, "others")].add(case["file"], ours, bare_pillow(data))
    table = [
        "| kind | files | equal to Pillow | largest difference | only Pillow refuses | both halves refuse | of these, Pillow accepts |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(kind.row(name) for name, kind in kinds.items()),
    ]
    document = (ROOT / "docs" / "pictures.md").read_text()
    assert [line for line in document.splitlines() if line in table] == table, "\n".join(table)


@pytest.mark.parametrize(
    ("ending", "name"),
    [("avif", "AVIF"), ("heic", "HEIC"), ("heif", "HEIC"), ("jp2", "JPEG 2000"), ("j2k", "JPEG 2000"), ("jxl", "JPEG XL")],
)  # fmt: skip
def test_a_format_without_a_rule_is_refused_by_its_name(ending: str, name: str) -> None:
    cases = [c for c in CASES if c["file"].endswith("." + ending) and not c["file"].startswith("cut-")]
    assert cases
    for case in cases:
        assert case["refused"] == f"it is {name}, which is not decoded: convert it to PNG or JPEG", case


def photograph() -> Any:
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")


def test_orientation_is_applied_as_pillow_does() -> None:
    for orientation in range(1, 9):
        data = (ROOT / "conformance" / "pictures" / f"exif-{orientation}.jpg").read_bytes()
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        assert (decode(data) == np.asarray(upright)).all()


def test_nearest_is_pillows() -> None:
    sizes = np.random.default_rng(0).integers(1, 700, (40, 4)).tolist()
    for h, w, height, width in [(427, 640, 224, 224), (1, 1, 3, 2), (9, 9, 1, 1), *sizes]:
        image = np.random.default_rng(h).integers(0, 256, (h, w, 3), np.uint8)
        theirs = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
        assert (Preprocessor(build(height, width, resize="nearest"))(image) == np.asarray(theirs)).all()


@pytest.mark.parametrize("resize", RESIZES)
def test_graphs_of_the_go_library_are_these(resize: Any) -> None:
    written = (ROOT / "predict" / "preprocess" / f"{resize}.onnx").read_bytes()
    assert written == build_bare(resize).SerializeToString(deterministic=True), "run make preprocess"


def test_go_knows_the_graphs_of_bundles() -> None:
    written = (ROOT / "predict" / "preprocess" / "graphs.json").read_text()
    assert json.loads(written) == digests(), "run make preprocess"


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 40), (48, 16)])
@pytest.mark.parametrize("size", [(41, 53), (53, 41), (1, 1), (7, 300)])
def test_crop_keeps_the_largest_centred_part(height: int, width: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    cropped_h = min(size[0], max(1, size[1] * height // width))
    cropped_w = min(size[1], max(1, size[0] * width // height))
    y, x = (size[0] - cropped_h) // 2, (size[1] - cropped_w) // 2
    want = Preprocessor(build(height, width))(
        np.ascontiguousarray(image[y : y + cropped_h, x : x + cropped_w])
    )
    assert (Preprocessor(build(height, width, fit="crop"))(image) == want).all()


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("fit", FITS)
def test_graph_needs_nothing_but_standard_operations(resize: Any, fit: Any) -> None:
    graph = build(8, 8, resize=resize, fit=fit)
    assert {o.domain for o in graph.opset_import} == {""}
    onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.slow
def test_what_training_saw_is_said(tmp_path: Path) -> None:
    """A bundle whose training saw JPEG alone says so wherever it is looked at, and takes other formats as before."""
    import forgo
    from mutants._serve_skews import serving
    from tests.test_picture_crowd import averaging

    pictures = ROOT / "conformance" / "pictures"
    says = "training saw only image/jpeg"
    for names, only in ((["420-baseline.jpg", "grey.jpg"], True), (["420-baseline.jpg", "rgb.png"], False)):
        bundle = tmp_path / f"{'one' if only else 'both'}.forgo"
        forgo.export(
            averaging(), bundle, examples=[pictures / name for name in names], resize="bicubic-pillow"
        )
        formats = ["image/jpeg"] if only else ["image/jpeg", "image/png"]
        assert json.loads((bundle / "forgo.json").read_text())["provenance"]["formats"] == formats
        assert (says in (bundle / "card.md").read_text().replace("Training", "training")) == only
        for verb in ("inspect", "verify"):
            done = subprocess.run([FORGO, verb, bundle], capture_output=True, text=True, check=True)
            assert (says in done.stdout) == only, done.stdout
            done = subprocess.run([FORGO, verb, "--json", bundle], capture_output=True, text=True, check=True)
            told = json.loads(done.stdout)
            assert told.get("bundle", told)["formats"] == formats
        with serving(_binary.path(), bundle) as server:
            with urllib.request.urlopen(f"{server.http}/v2/models/{bundle.stem}") as answer:
                picture = json.load(answer)["parameters"]["picture"]
            assert picture["formats"] == formats
            assert picture["rules"] == {"resize": "bicubic-pillow", "fit": "stretch"}
            assert picture["alpha"] == "drop"
            assert "image/webp" in picture["accept"]
        subprocess.run([FORGO, "predict", bundle, pictures / "rgb.png"], check=True)
