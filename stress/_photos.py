"""Cuts scikit-learn's two photographs into photographs of their size: ``python -m stress._photos FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def main(folder: Path) -> None:
    """Write folder/CLASS/*.jpg."""
    generator = np.random.default_rng(0)
    for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(photograph)
        for i in range(12):
            x, y = (int(generator.integers(0, 40)) for _ in range(2))
            part = image.crop((x, y, x + image.width - 40, y + image.height - 40))
            part.resize(image.size).save(folder / name / f"{i:02}.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
