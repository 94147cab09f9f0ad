from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import onnxruntime
import pytest

from forgo import PictureError
from forgo._picture import decode
from forgo._preprocess import Preprocessor, build, build_bare
from forgo._rules import FITS, RESIZES
from tests.conftest import ROOT

CASES = json.loads((ROOT / "conformance" / "pictures.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["file"])
def test_decodes_as_recorded(case: dict[str, Any]) -> None:
    data = (ROOT / "conformance" / "pictures" / case["file"]).read_bytes()
    if "refused" in case:
        with pytest.raises(PictureError):
            decode(data)
        return
    pixels = decode(data)
    assert pixels.shape == (case["height"], case["width"], 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == case["sha256"]
    for ground in ("white", "black"):
        over = decode(data, ground)
        assert hashlib.sha256(over.tobytes()).hexdigest() == case.get(ground, case["sha256"])


def test_pixels_are_pillows() -> None:
    """Except where a rule of our own holds: 16 bits of grey, an orientation of another type."""
    import io
    import warnings

    from PIL import Image, ImageOps

    ours = {
        "sixteen-bit-grey.png",
        "type-0-16-bit.png",
        "type-0-16-bit-interlaced.png",
        "exif-as-long.jpg",
        "odd-orientation.tif",
        "mode-i-16.tif",
        "encoded-grey-16-big.tif",
        "encoded-grey-16-little.tif",
    }
    compared = 0
    for case in CASES:
        if "refused" in case or case["file"] in ours:
            continue
        data = (ROOT / "conformance" / "pictures" / case["file"]).read_bytes()
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
                theirs = np.asarray(
                    (image if image.format == "TIFF" else ImageOps.exif_transpose(image)).convert("RGB")
                )  # Pillow turns TIFFs by itself
        except (OSError, SyntaxError, ValueError):
            continue  # it looks into chunks and segments that decoding does not need
        compared += 1
        pixels = decode(data)
        assert pixels.shape == theirs.shape, case["file"]
        assert (pixels == theirs).all(), case["file"]
    assert compared > 250


def photograph() -> Any:
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")


def test_orientation_is_applied_as_pillow_does() -> None:
    import io

    from PIL import Image, ImageOps

    for orientation in range(1, 9):
        data = (ROOT / "conformance" / "pictures" / f"exif-{orientation}.jpg").read_bytes()
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        assert (decode(data) == np.asarray(upright)).all()


def test_nearest_is_pillows() -> None:
    from PIL import Image

    sizes = np.random.default_rng(0).integers(1, 700, (40, 4)).tolist()
    for h, w, height, width in [(427, 640, 224, 224), (1, 1, 3, 2), (9, 9, 1, 1), *sizes]:
        image = np.random.default_rng(h).integers(0, 256, (h, w, 3), np.uint8)
        theirs = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
        assert (Preprocessor(build(height, width, resize="nearest"))(image) == np.asarray(theirs)).all()


@pytest.mark.parametrize("resize", RESIZES)
def test_graphs_of_the_go_library_are_these(resize: Any) -> None:
    written = (ROOT / "predict" / "preprocess" / f"{resize}.onnx").read_bytes()
    assert written == build_bare(resize).SerializeToString(deterministic=True), "run make preprocess"


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
