"""torchvision's resizes, in an environment of their own: ``python calls.py PICTURES.npz ANSWERS.npz HEIGHT WIDTH``."""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2  # type: ignore[import-not-found]

WAYS = ("NEAREST", "NEAREST_EXACT", "BILINEAR", "BICUBIC", "LANCZOS")

pictures, answers, size = np.load(sys.argv[1]), {}, (int(sys.argv[3]), int(sys.argv[4]))
for number, pixels in pictures.items():
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for way in WAYS:
        for antialias in (True, False):
            if (way == "LANCZOS" and not antialias) or (way.startswith("NEAREST") and antialias):
                continue  # it makes no difference, or there is no such way
            resize = v2.Resize(size, v2.InterpolationMode[way], antialias=antialias)
            for kind, picture in (("uint8", tensor), ("float32", tensor.float())):
                name = f"{way}{' antialias' * antialias} {kind} {number}"
                answers[name] = resize(picture).permute(1, 2, 0).numpy()
        whole = v2.Resize(size, v2.InterpolationMode[way])
        answers[f"{way} PIL {number}"] = np.asarray(whole(Image.fromarray(pixels)))
np.savez(sys.argv[2], **answers)
