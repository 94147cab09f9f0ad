"""Skews planted in what an export is told: both halves of the bundle agree on a question that is wrong.

Labelled examples alone show it, and the stage is "accuracy".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import forgo
from forgo._errors import ExportError

LABELS = ["blue", "green", "red"]
EACH = 12
RIGHT: dict[str, Any] = {"scale": 1 / 255}
"""How the models' pixels were normalized in training."""


@dataclass(frozen=True)
class ExportSkew:
    """One change of an export's arguments; the training, the examples and their labels stay."""

    name: str
    told: dict[str, Any]
    """In place of what is right."""
    several: bool = False
    """Whether the model is a multi-label one, its examples' labels in a file; else they lie in class folders."""
    says: str = ""
    """Must be in the refusal: what would be right."""
    stage: str = field(default="accuracy", init=False)


def attack(skew: ExportSkew, folder: Path) -> tuple[str, str]:
    """Export as one is told, and say where that is refused."""
    files = _examples(folder / "examples")
    arguments: dict[str, Any] = {"examples": folder / "examples", **RIGHT}
    if skew.several:
        lines = [",".join(_colours(file)) for file in files]
        (folder / "expected.txt").write_text("\n".join(lines))
        arguments |= {"examples": files, "labels": LABELS, "task": "multi-label"}
        arguments |= {"expected_labels": folder / "expected.txt"}
    told = {key: value for key, value in {**arguments, **skew.told}.items() if value is not None}
    try:
        result = forgo.export(_model(skew.several), folder / "m.forgo", **told)
    except ExportError as e:
        at_chance = "labelled examples, by chance" in str(e)
        return ("accuracy" if at_chance and skew.says in str(e) else "elsewhere"), str(e)
    if result.accuracy is None:
        return "unmeasured", "; ".join(result.notes)
    return "accepted", f"{result.accuracy['right']} of {result.accuracy['examples']} right"


def _colours(file: Path) -> list[str]:
    """The labels of a picture, by its name: red-007.png has red, and others by its number."""
    number = int(file.stem[-3:])
    return [c for i, c in enumerate(LABELS) if c == file.parent.name or number >> i & 1]


def _examples(folder: Path) -> list[Path]:
    """Write pictures DIR/CLASS/*.png: the class's channel at 230 of 255, others that the picture has at 150."""
    generator = np.random.default_rng(21)
    files = []
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for i in range(EACH):
            file = folder / label / f"{label}-{i:03d}.png"
            levels = [230 if c == label else 150 if c in _colours(file) else 30 for c in LABELS[::-1]]
            pixels = np.clip(levels + generator.normal(0, 10, (16, 16, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
            files.append(file)
    return files


def _model(several: bool) -> Any:
    """Each label by its channel's mean, of pixels divided by 255: the brightest, or all above 90 of 255.

    What it learnt outside that range is as arbitrary as a network's: of pixels as they are it guesses.
    """
    import keras

    pixels = keras.Input((16, 16, 3))
    means = keras.layers.GlobalAveragePooling2D()(pixels)
    scores = keras.layers.Dense(3, activation="sigmoid" if several else "softmax")
    model = keras.Model(pixels, scores(keras.layers.Activation("hard_sigmoid")(means)))
    # hard_sigmoid(x) is x / 6 + 0.5 from -3 to 3, and 1 above.
    kernel = np.eye(3, dtype="f")[::-1] * 6 * 20
    scores.set_weights([kernel, np.full(3, -20 * (3 + 90 / 255) if several else 0, "f")])
    return model


EXPORT_SKEWS = [
    ExportSkew("divided by 255 in training alone, class folders", {"scale": None}, says="scale='1/255'"),
]  # fmt: skip
