from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import forgo
from forgo._errors import ForgoError
from forgo._picture import decode
from tests.conftest import ROOT

PICTURES = ROOT / "conformance" / "pictures"


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ["drop", "white"])
def test_a_bundle_takes_every_kind_by_the_alpha_it_names(tmp_path: Path, alpha: str) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    layers = [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    names = [
        "translucent.png",
        "transparent.gif",
        "masks-bgra.bmp",
        "alpha-deflated.tif",
        "lossy-alpha.webp",
        "cmyk.jpg",
        "sixteen-bit-rgb.png",
    ]
    bundle = tmp_path / "kinds.forgo"
    forgo.export(model, bundle, examples=[PICTURES / n for n in names], labels=["a", "b"], alpha=alpha)  # type: ignore[arg-type]
    manifest = json.loads((bundle / "forgo.json").read_text())
    assert manifest["picture"]["alpha"] == alpha
    cases = {c["source"]: c for c in manifest["golden"]["cases"]}
    assert {c["content_type"] for c in cases.values()} == {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/bmp",
        "image/tiff",
        "image/webp",
    }
    for name in names:
        recorded = np.asarray(Image.open(io.BytesIO((bundle / cases[name]["pixels"]).read_bytes())))
        assert (recorded == decode((PICTURES / name).read_bytes(), alpha)).all()  # type: ignore[arg-type]


def test_an_alpha_without_a_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForgoError, match="alpha must be one of drop, white, black, not 'blue'"):
        forgo.export("x.keras", tmp_path / "x.forgo", examples=PICTURES, alpha="blue")  # type: ignore[arg-type]
