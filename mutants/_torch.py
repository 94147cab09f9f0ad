"""Exports a module that takes pictures, with one skew planted: ``python -m mutants._torch SKEW FOLDER``.

It runs in PyTorch's environment, and prints the stage that refuses the bundle, and the message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import forgo
from forgo._errors import ExportError, ParityError
from mutants._plant import plant

PICTURES = sorted((Path(__file__).parent.parent / "conformance/bundles/shapes.forgo/golden").glob("*.jpg"))
SIZE = 16


def model() -> Any:
    """A small network whose batch norm has statistics of its own; it tells all channels and places apart."""
    torch.manual_seed(1)
    nn = torch.nn
    layers = [
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8 * 14 * 14, 3),
        nn.Softmax(1),
    ]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(32, 3, SIZE, SIZE) + 0.5)
    return network.eval()


def transform(image: Image.Image) -> Any:
    """What training did to pictures: as torchvision's Resize and ToTensor."""
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)


def main() -> None:
    """Plant, export, and say what came of it."""
    file, old, new, resize = json.loads(sys.argv[1])
    if file:
        plant(file, old, new)
    stage, message = "accepted", ""
    try:
        forgo.export(
            model(), Path(sys.argv[2]) / "m.forgo", examples=PICTURES, preprocess=transform, resize=resize,
            scale=1 / 255, labels=["cat", "dog", "horse"],
        )  # fmt: skip
    except ParityError as e:
        stage, message = e.stage, str(e).rpartition("stage ")[2]
    except ExportError as e:
        stage, message = "elsewhere", str(e)
        for begins, at in (("preprocess differs from", "preprocess"), ("the model answers", "answers")):
            stage = at if message.startswith(begins) else stage
    print(json.dumps([stage, message]))


if __name__ == "__main__":
    main()
