"""What ``forgo train`` lets one choose, without importing a framework."""

from __future__ import annotations

from dataclasses import dataclass

BACKBONES = ("small", "resnet50")
AUGMENTS = ("none", "light", "classic")


@dataclass(frozen=True)
class Recipe:
    """What an argument of training is where nothing else is said."""

    backbone: str = "small"
    image_size: int | None = None
    """None: 64 for small, 224 for resnet50."""
    weights: str | None = None
    """None: imagenet for resnet50, none for small."""
    epochs: int = 20
    trainable: str = "all"
    augment: str = "light"
    learning_rate: float | None = None
    """None: 1e-4 for resnet50, 1e-3 for small."""
    decay: bool = True
    """The learning rate falls along a cosine."""
    patience: int = 5
    dropout: float = 0.2
    """Of the features, before the last layer."""
    input_name: str = "pixels"


RECIPES = {
    "standard": Recipe(),
    # Fine-tuning as forgo's predecessor did it, with the names that its Go programs were given.
    "classic": Recipe(
        backbone="resnet50", weights="imagenet", epochs=50, trainable="first:30", augment="classic",
        learning_rate=1e-4, decay=False, patience=10, dropout=0.0, input_name="input_1",
    ),
}  # fmt: skip
