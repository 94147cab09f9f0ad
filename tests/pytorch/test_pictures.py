"""Pictures in PyTorch: the user's own transform is the truth, the rules must agree with it, and Go answers alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

import forgo
from tests.conftest import forgo as run_forgo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALIZE: dict[str, Any] = {"scale": "1/255", "mean": MEAN, "std": STD}
CUT: dict[str, Any] = {"resize": "bilinear-pillow", "fit": "shorter-side", "shorter_side": 36, **NORMALIZE}
SAID = (
    "fit='shorter-side', shorter_side=36, scale=1/255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)"
)
TRANSFORM = transforms.Compose(
    [transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of scikit-learn and scikit-image, as JPEG and PNG files."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.jpg", quality=92)
    return folder


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 15 * 15, 4),
    ]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        model(torch.randn(16, 3, 32, 32))
    return model.eval()


def timms(size: int, **more: Any) -> Any:
    return timm.data.create_transform((3, size, size), is_training=False, mean=MEAN, std=STD, **more)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (TRANSFORM, f"matches resize='bilinear-pillow', {SAID}"),
        (timms(32, interpolation="bicubic"), f"matches resize='bicubic-pillow', {SAID}"),
        (
            v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Resize((32, 32), antialias=False)]),
            "matches resize='bilinear', scale=1/255",
        ),
        (
            v2.Compose([v2.PILToTensor(), v2.Resize((32, 32), antialias=False), v2.ToDtype(torch.float32, scale=True)]),
            "No rules match it; the closest, resize='bilinear', scale=1/255, differ by up to ",
        ),
        (lambda image: TRANSFORM(image).flip(0), f"matches resize='bilinear-pillow', {SAID[:37]}channels='BGR'"),
    ],
    ids=["torchvision", "timm", "without antialias", "without antialias, rounded", "BGR"],
)  # fmt: skip
def test_a_transform_that_the_rules_miss_is_told_the_nearest(
    transform: Any, says: str, network: nn.Module, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        forgo.ExportError, match=r"^preprocess differs from .*: by up to [\d.]+ of 255, on "
    ) as e:
        forgo.export(network, tmp_path / "m.forgo", examples=photographs, preprocess=transform)
    assert says in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_transform_with_its_rules_is_proven(network: nn.Module, photographs: Path, tmp_path: Path) -> None:
    result = forgo.export(network, tmp_path / "m.forgo", examples=photographs, preprocess=TRANSFORM, **CUT)
    assert result.parity["mode"] == "full"
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["inputs"][0]["shape"] == [None, 32, 32, 3]
    assert manifest["provenance"]["preprocess"]["largest_difference"] < 0.001


def test_pictures_without_a_transform_have_no_size(
    network: nn.Module, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(forgo.ExportError, match="does not say what size its pictures have: give preprocess"):
        forgo.export(network, tmp_path / "m.forgo", examples=photographs)


def test_channels_last_are_refused(network: nn.Module, photographs: Path, tmp_path: Path) -> None:
    def last(image: Image.Image) -> Any:
        return TRANSFORM(image).permute(1, 2, 0)

    with pytest.raises(
        forgo.ExportError, match=r"gives float32\[32, 32, 3\] .* not numbers \[3, height, width\]"
    ):
        forgo.export(network, tmp_path / "m.forgo", examples=photographs, preprocess=last)


def test_a_program_of_pictures_has_their_size(network: nn.Module, photographs: Path, tmp_path: Path) -> None:
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(network, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "m.pt2")
    done = run_forgo(
        "export", tmp_path / "m.pt2", "-o", tmp_path / "m.forgo", "--examples", photographs, "--trust",
        "--resize", "bilinear-pillow", "--fit", "shorter-side", "--shorter-side", "36", "--scale", "1/255",
        "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD)),
    )  # fmt: skip
    assert done.code == 0, done.err
    own(network, TRANSFORM, tmp_path / "m.forgo", photographs)


def own(model: nn.Module, transform: Any, bundle: Path, folder: Path) -> Any:
    """Hold Go, asked with files, to the module and the user's transform; returns the module's answers."""
    files = sorted(folder.iterdir())
    with torch.no_grad():
        want = model(torch.stack([transform(Image.open(f)) for f in files])).numpy()
    with forgo.load(bundle) as loaded:
        got = np.asarray(loaded.predict(files))
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
    assert (got.argmax(1) == want.argmax(1)).all()
    return want
