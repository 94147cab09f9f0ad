"""Augmentation: random changes to training pictures, never part of the exported graph."""

from __future__ import annotations

from typing import Any

import keras


def layers(kind: str, seed: int) -> list[Any]:
    """Return the layers of a kind of augmentation, for pixels from 0 to 255.

    "light" turns, shifts and zooms a little. "classic" turns by 40°, shifts, shears and zooms by 0.2, and
    flips horizontally. Only "classic" flips: a mirrored 5 is not a 5.
    """
    new = keras.layers
    if kind == "light":
        return [
            new.RandomRotation(0.03, fill_mode="nearest", seed=seed),
            new.RandomTranslation(0.08, 0.08, fill_mode="nearest", seed=seed + 1),
            new.RandomZoom(0.1, fill_mode="nearest", seed=seed + 2),
        ]
    if kind == "classic":
        return [
            new.RandomRotation(40 / 360, fill_mode="nearest", seed=seed),
            new.RandomTranslation(0.2, 0.2, fill_mode="nearest", seed=seed + 1),
            new.RandomShear(0.2, 0.2, fill_mode="nearest", seed=seed + 2),
            new.RandomZoom(0.2, fill_mode="nearest", seed=seed + 3),
            new.RandomFlip("horizontal", seed=seed + 4),
        ]
    return []


def wrap(classifier: Any, kind: str, seed: int) -> Any:
    """Return a model that augments pictures and classifies them; it shares the classifier's weights."""
    augment = layers(kind, seed)
    if not augment:
        return classifier
    pixels = keras.Input(classifier.input_shape[1:])
    x = pixels
    for layer in augment:
        x = layer(x)
    return keras.Model(pixels, classifier(x))
