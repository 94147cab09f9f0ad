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
the origin, the default of TensorFlow 1's ``resize_bilinear``. ``bicubic-torch``:
PyTorch's without antialias. ``nearest``: Pillow's, the default of Keras's ``load_img`` and
generators; ``nearest-tf``: TensorFlow's. docs/pictures.md lists the calls that they stand for."""

Fit = Literal["stretch", "crop", "shorter-side", "pad"]
"""``stretch``: the whole picture, without its aspect ratio. ``crop``: the largest centred
part of the target's aspect ratio, as Keras's ``smart_resize``. ``shorter-side``: the shorter side is
resized to a number of pixels, then the centre is cropped, as torchvision's ``Resize`` and
``CenterCrop``. ``pad``: the whole picture, centred on a background of one colour, as Pillow's ``ImageOps.pad``."""

RESIZES: tuple[str, ...] = get_args(Resize)
FITS: tuple[str, ...] = get_args(Fit)

Colour = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class Rules:
    """How to bring a decoded picture to the model's size."""

    resize: Resize = "bilinear"
    fit: Fit = "stretch"
    shorter_side: int | None = None
    """For ``shorter-side``: its pixels; by default the larger side of the model's size."""
    pad_colour: Colour = (0, 0, 0)
    """For ``pad``: the background."""

    def check(self) -> None:
        """Refuse rules that are wrong for any size.

        Raises:
            ForgoError: a rule is unknown, or does not fit the others.
        """
        for name, value, known in (("resize", self.resize, RESIZES), ("fit", self.fit, FITS)):
            if value not in known:
                raise ForgoError(f"{argument(name)} must be one of {', '.join(known)}, not {value!r}")
        colour = self.pad_colour
        if len(colour) != 3 or any(type(c) is not int or not 0 <= c <= 255 for c in colour):
            raise ForgoError(
                f"{argument('pad_colour')} must be red, green and blue from 0 to 255, not {', '.join(map(str, colour))}"
            )
        side = self.shorter_side
        if side is not None and (type(side) is not int or not 1 <= side <= LARGEST_SIDE):
            raise ForgoError(f"{argument('shorter_side')} must be from 1 to {LARGEST_SIDE}, not {side!r}")
        if side is not None and self.fit != "shorter-side":
            raise ForgoError(f"{argument('shorter_side')} needs {argument('fit', 'shorter-side')}")
        if any(colour) and self.fit != "pad":
            raise ForgoError(f"{argument('pad_colour')} needs {argument('fit', 'pad')}")

    def for_size(self, height: int, width: int) -> Rules:
        """The rules with defaults filled in for a model's size.

        Raises:
            ForgoError: as :meth:`check`; or the shorter side is less than the crop.
        """
        self.check()
        if self.fit != "shorter-side":
            return self
        largest = max(height, width)
        if self.shorter_side is not None and self.shorter_side < largest:
            raise ForgoError(
                f"{argument('shorter_side')} is {self.shorter_side}, less than the {height} x {width} pixels to crop from "
                f"it: give {largest} or more"
            )
        return replace(self, shorter_side=self.shorter_side or largest)

    def arguments(self) -> list[str]:
        """The arguments of forgo.export for these rules."""
        said = [f"resize={self.resize!r}"]
        said += [f"fit={self.fit!r}"] if self.fit != "stretch" else []
        said += [f"shorter_side={self.shorter_side}"] if self.shorter_side is not None else []
        return said + ([f"pad_colour={self.pad_colour}"] if any(self.pad_colour) else [])

    def recorded(self) -> dict[str, Any]:
        """Their entry in the manifest, once the size is known."""
        said: dict[str, Any] = {"resize": self.resize, "fit": self.fit}
        if self.fit == "shorter-side":
            said["shorter_side"] = self.shorter_side
        if self.fit == "pad":
            said["pad_colour"] = list(self.pad_colour)
        return said
