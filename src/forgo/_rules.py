"""The rules that bring a decoded picture to the model's size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from forgo._errors import ForgoError, argument

Resize = Literal[
    "bilinear",
    "bilinear-antialias",
    "bilinear-tf1",
    "bilinear-pillow",
    "bicubic",
    "bicubic-antialias",
    "bicubic-pillow",
    "bicubic-torch",
    "lanczos3",
    "lanczos3-antialias",
    "lanczos5",
    "lanczos5-antialias",
    "lanczos-pillow",
    "box-pillow",
    "hamming-pillow",
    "area",
    "nearest",
    "nearest-tf",
]
"""A filter's name alone is ``tf.image.resize``'s and Keras's, ``-antialias`` the same with
``antialias=True``, ``-pillow`` Pillow's, rounded to whole numbers as there. ``bilinear-tf1``: corners are
the origin, as TensorFlow 1's ``resize_bilinear`` does it unless told otherwise. ``bicubic-torch``:
PyTorch's without antialias. ``nearest``: Pillow's, which Keras's ``load_img`` and generators use unless
told otherwise; ``nearest-tf``: TensorFlow's. docs/pictures.md has the calls that they stand for."""

Fit = Literal["stretch", "crop", "shorter-side", "pad"]
"""``stretch``: the whole picture, its aspect ratio given up. ``crop``: the largest centred
part of the target's aspect ratio, as Keras's ``smart_resize``. ``shorter-side``: the shorter side is
resized to a number of pixels, then the centre is cut out, as torchvision's ``Resize`` and
``CenterCrop``. ``pad``: the whole picture, centred on a ground of one colour, as Pillow's ``ImageOps.pad``."""

RESIZES: tuple[str, ...] = get_args(Resize)
FITS: tuple[str, ...] = get_args(Fit)

Colour = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class Rules:
    """How a decoded picture is brought to the model's size."""

    resize: Resize = "bilinear"
    fit: Fit = "stretch"
    shorter_side: int | None = None
    """Of ``shorter-side``: what it is resized to; the larger side of the model's size unless given."""
    pad_colour: Colour = (0, 0, 0)
    """Of ``pad``: the ground."""

    def check(self) -> None:
        """Refuse what no size would make right.

        Raises:
            ForgoError: a rule is unknown, or does not go with the others.
        """
        for name, value, known in (("resize", self.resize, RESIZES), ("fit", self.fit, FITS)):
            if value not in known:
                raise ForgoError(f"{argument(name)} is one of {', '.join(known)}, not {value!r}")
        colour = self.pad_colour
        if len(colour) != 3 or any(type(c) is not int or not 0 <= c <= 255 for c in colour):
            raise ForgoError(
                f"{argument('pad_colour')} is red, green and blue from 0 to 255, not {', '.join(map(str, colour))}"
            )
        side = self.shorter_side
        if side is not None and (type(side) is not int or not 1 <= side <= LARGEST_SIDE):
            raise ForgoError(f"{argument('shorter_side')} is from 1 to {LARGEST_SIDE}, not {side!r}")
        if side is not None and self.fit != "shorter-side":
            raise ForgoError(f"{argument('shorter_side')} goes with {argument('fit', 'shorter-side')}")
        if any(colour) and self.fit != "pad":
            raise ForgoError(f"{argument('pad_colour')} goes with {argument('fit', 'pad')}")

    def of_size(self, height: int, width: int) -> Rules:
        """With what is left out filled in, for a model's size.

        Raises:
            ForgoError: as :meth:`check`; the shorter side is less than what is cut out of it.
        """
        self.check()
        if self.fit != "shorter-side":
            return self
        largest = max(height, width)
        if self.shorter_side is not None and self.shorter_side < largest:
            raise ForgoError(
                f"{argument('shorter_side')} is {self.shorter_side}, less than the {height} x {width} pixels that are cut "
                f"out of it: give {largest} or more"
            )
        return replace(self, shorter_side=self.shorter_side or largest)

    def arguments(self) -> list[str]:
        """The arguments of forgo.export for these rules."""
        said = [f"resize={self.resize!r}"]
        said += [f"fit={self.fit!r}"] if self.fit != "stretch" else []
        said += [f"shorter_side={self.shorter_side}"] if self.shorter_side is not None else []
        return said + ([f"pad_colour={self.pad_colour}"] if any(self.pad_colour) else [])

    def recorded(self) -> dict[str, Any]:
        """What the manifest says of them, once they are of a size."""
        said: dict[str, Any] = {"resize": self.resize, "fit": self.fit}
        if self.fit == "shorter-side":
            said["shorter_side"] = self.shorter_side
        if self.fit == "pad":
            said["pad_colour"] = list(self.pad_colour)
        return said
