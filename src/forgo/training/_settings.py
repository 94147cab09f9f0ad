"""Settings of a training run: recipes, defaults, and the check of values.

This module imports no framework, so that a wrong value is refused at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgo._errors import ForgoError, argument
from forgo._picture import ALPHAS, Alpha
from forgo._rules import Rules

BACKBONES = ("small", "resnet50")
AUGMENTS = ("none", "light", "classic")

_LARGEST_IMAGE = 4096
_LARGEST_SEED = 2**32 - 1
"""The largest seed that keras.utils.set_random_seed takes."""


@dataclass(frozen=True)
class Recipe:
    """Defaults for training's arguments."""

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
    """Whether the learning rate falls along a cosine."""
    patience: int = 5
    dropout: float = 0.2
    """The share of features dropped before the last layer."""
    input_name: str = "pixels"


RECIPES = {
    "standard": Recipe(),
    # Fine-tuning as forgo's predecessor did it, with the names that its Go programs expect.
    "classic": Recipe(
        backbone="resnet50", weights="imagenet", epochs=50, trainable="first:30", augment="classic",
        learning_rate=1e-4, decay=False, patience=10, dropout=0.0, input_name="input_1",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Every setting of a run."""

    recipe: str
    backbone: str
    image_size: int
    weights: str
    trainable: str
    augment: str
    epochs: int
    batch_size: int
    seed: int
    learning_rate: float
    patience: int
    rules: Rules
    alpha: Alpha

    @property
    def usual(self) -> Recipe:
        """The recipe, for settings without an argument."""
        return RECIPES[self.recipe]

    def recorded(self) -> dict[str, Any]:
        """Return the settings for the bundle's provenance and the report."""
        return {
            "recipe": self.recipe, "backbone": self.backbone, "image size": self.image_size, "weights": self.weights,
            "trainable": self.trainable, "augment": self.augment, "epochs": self.epochs,
            "batch size": self.batch_size, "seed": self.seed, "learning rate": self.learning_rate,
            "alpha": self.alpha,
            **{name.replace("_", " "): value for name, value in self.rules.recorded().items()},
        }  # fmt: skip


def resolve(
    *, recipe: str, backbone: str | None, image_size: int | None, weights: str | None, epochs: int | None,
    batch_size: int, seed: int, trainable: str | None, augment: str | None, learning_rate: float | None,
    patience: int | None, rules: Rules, alpha: Alpha,
) -> Settings:  # fmt: skip
    """Fill in defaults, and refuse values that cannot work.

    Raises:
        ForgoError: an argument's value cannot be used; it names the argument and what would work.
    """
    _one_of("recipe", recipe, tuple(RECIPES))
    usual = RECIPES[recipe]
    backbone = backbone or usual.backbone
    _one_of("backbone", backbone, BACKBONES)
    if weights is None and backbone == usual.backbone:
        weights = usual.weights
    is_resnet = backbone == "resnet50"
    settings = Settings(
        recipe=recipe,
        backbone=backbone,
        image_size=_or(image_size, usual.image_size, 224 if is_resnet else 64),
        weights=weights or ("imagenet" if is_resnet else "none"),
        trainable=trainable or usual.trainable,
        augment=augment or usual.augment,
        epochs=_or(epochs, usual.epochs),
        batch_size=batch_size,
        seed=seed,
        learning_rate=_or(learning_rate, usual.learning_rate, 1e-4 if is_resnet else 1e-3),
        patience=_or(patience, usual.patience),
        rules=rules,
        alpha=alpha,
    )
    _one_of("augment", settings.augment, AUGMENTS)
    _one_of("alpha", alpha, ALPHAS)
    _between("image_size", settings.image_size, 32 if is_resnet else 8, _LARGEST_IMAGE)
    settings = replace(settings, rules=rules.for_size(settings.image_size, settings.image_size))
    _between("epochs", settings.epochs, 1)
    _between("batch_size", settings.batch_size, 1)
    _between("patience", settings.patience, 1)
    _between("seed", settings.seed, 0, _LARGEST_SEED)
    rate = settings.learning_rate
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not (0 < rate <= 1):
        raise ForgoError(f"{argument('learning_rate')} must be above 0 and at most 1, not {_shown(rate)}")
    if settings.weights == "imagenet" and not is_resnet:
        raise ForgoError(
            f"the backbone {backbone!r} has no ImageNet weights: pass {argument('weights', 'none')}, "
            f"or {argument('backbone', 'resnet50')}"
        )
    if settings.weights not in ("none", "imagenet") and not Path(settings.weights).is_file():
        raise ForgoError(
            f"{argument('weights')}: no such file {settings.weights}; pass none, imagenet, or a file of weights"
        )
    return settings


def _or(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next(v for v in values if v is not None)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ForgoError(f"{argument(name)} must be one of {', '.join(known)}, not {value!r}")


def _between(name: str, value: object, least: int, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ForgoError(f"{argument(name)} must be a whole number, not {value!r}")
    if not least <= value <= most:
        bounds = f"{least} or more" if most == math.inf else f"from {least} to {most:.0f}"
        raise ForgoError(f"{argument(name)} must be {bounds}, not {value}")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
