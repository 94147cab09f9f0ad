"""Normalization of pictures: ``scale``, ``mean``, ``std`` and ``channels`` become part of the model's graph.

A value is (pixel * scale - mean) / std, with the mean and std in the order of the model's
channels, as in ``forgo predict`` for models without a bundle (predict/pictures.go).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from forgo._errors import ExportError, argument
from forgo.exporting._model import Arrays, Trained
from forgo.exporting._tensorflow import Traceable

Numbers = float | str | Sequence[float]
"""One number, or one for each channel; or a string as on the command line: ``1/255``, ``123.7,116.8,103.9``."""

_RAW = "forgo_pixels"
"""The graph's name for the picture before normalization."""


@dataclass(frozen=True)
class Normalization:
    """How RGB pixels from 0 to 255 become the values that a model was trained on."""

    channels: str = "RGB"
    """The order of the model's channels."""
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def is_identity(self) -> bool:
        """Whether pixels stay as they are."""
        return self == Normalization()

    def for_channels(self, channels: int) -> Normalization:
        """The same normalization for one or three channels.

        Raises:
            ExportError: its channels differ, but the model has only one.
        """
        if channels != 1:
            return self
        if self.channels != "RGB" or len(set(self.mean)) > 1 or len(set(self.std)) > 1:
            raise ExportError(
                f"{self.named()}: the model takes grey pictures: give one number for its one channel"
            )
        return replace(self, mean=self.mean[:1], std=self.std[:1])

    def apply(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalize float32 [..., 3] in NumPy. The golden answers use these values, not the graph's."""
        values = pixels[..., ::-1] if self.channels == "BGR" else pixels
        values = values * np.float32(self.scale) - np.array(self.mean, np.float32)
        return np.ascontiguousarray(values / np.array(self.std, np.float32), np.float32)

    def named(self) -> str:
        """The arguments for it, in the message of an error or in a note; "" for none."""
        said = [argument("channels", self.channels)] if self.channels != "RGB" else []
        said += [argument("scale", _fraction(self.scale))] if self.scale != 1 else []
        for name, values, other in (("mean", self.mean, 0), ("std", self.std, 1)):
            if any(v != other for v in values):
                said.append(argument(name, ",".join(f"{v:.9g}" for v in _short(values))))
        return " ".join(said)

    def arguments(self) -> list[str]:
        """The arguments of forgo.export for it."""
        said = [f"channels={self.channels!r}"] if self.channels != "RGB" else []
        said += [f"scale={_fraction(self.scale)}"] if self.scale != 1 else []
        for name, values, other in (("mean", self.mean, 0), ("std", self.std, 1)):
            if any(v != other for v in values):
                listed = ", ".join(f"{v:.9g}" for v in _short(values))
                said.append(f"{name}=({listed})" if "," in listed else f"{name}={listed}")
        return said

    def entry(self) -> dict[str, Any]:
        """Its entry in the bundle's provenance."""
        return {
            "channels": self.channels,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def prepended(self, model: onnx.ModelProto, index: int) -> onnx.ModelProto:
        """Put it before an input, by index, of an ONNX graph that takes [batch, height, width, 3]."""
        graph = model.graph
        initializers = {i.name for i in graph.initializer}
        value = [i for i in graph.input if i.name not in initializers][index]
        inside, value.name = value.name, _RAW
        nodes = []
        constants: list[tuple[str, npt.NDArray[Any]]] = []
        steps: list[tuple[str, str, npt.NDArray[Any], bool]] = [
            ("Gather", "order", np.array([2, 1, 0], np.int64), self.channels == "BGR"),
            ("Mul", "scale", np.array(self.scale, np.float32), self.scale != 1),
            ("Sub", "mean", np.array(self.mean, np.float32), any(self.mean)),
            ("Div", "std", np.array(self.std, np.float32), any(v != 1 for v in self.std)),
        ]
        wanted = [(op, name, constant) for op, name, constant, needed in steps if needed]
        at = _RAW
        for i, (op, name, constant) in enumerate(wanted):
            name = f"{_RAW}_{name}"
            out = inside if i == len(wanted) - 1 else f"{name}_done"
            constants.append((name, constant))
            attributes: dict[str, Any] = {"axis": 3} if op == "Gather" else {}
            nodes.append(helper.make_node(op, [at, name], [out], name=name, **attributes))
            at = out
        for i, node in enumerate(nodes):
            graph.node.insert(i, node)
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants)
        return model

    def tensor(self, pixels: Any) -> Any:
        """Normalize a TensorFlow tensor, for a SavedModel's graph."""
        import tensorflow as tf

        values = tf.reverse(pixels, [-1]) if self.channels == "BGR" else pixels
        values = values * np.float32(self.scale) if self.scale != 1 else values
        values = values - np.array(self.mean, np.float32) if any(self.mean) else values
        return values / np.array(self.std, np.float32) if any(v != 1 for v in self.std) else values


_CAFFE = (103.939, 116.779, 123.68)
_TORCH = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ONE = (1.0, 1.0, 1.0)

USUAL = {
    "pixels as they are, 0 to 255": Normalization(),
    "pixels divided by 255": Normalization(scale=1 / 255),
    "pixels from -1 to 1": Normalization(scale=1 / 127.5, mean=_ONE),
    "minus caffe's means, BGR": Normalization("BGR", mean=_CAFFE),
    "torch's mean and std": Normalization("RGB", 1 / 255, *_TORCH),
    "pixels as they are, BGR": Normalization("BGR"),
    "pixels divided by 255, BGR": Normalization("BGR", 1 / 255),
    "pixels from -1 to 1, BGR": Normalization("BGR", 1 / 127.5, _ONE),
}
"""The usual normalizations, the likeliest first."""


def usual_of(channels: int) -> dict[str, Normalization]:
    """The usual normalizations for one or three channels."""
    if channels != 1:
        return USUAL
    alike = {k: n for k, n in USUAL.items() if n.channels == "RGB" and len({*n.mean}) == len({*n.std}) == 1}
    return {k: n.for_channels(1) for k, n in alike.items()}


class Normalized(Traceable):
    """A model with a normalization before it: it takes pixels from 0 to 255.

    Its own answers are the inner model's answers to pixels that NumPy normalized.
    """

    def __init__(self, inner: Any, name: str, normalization: Normalization) -> None:
        self.inner = inner
        self.normalization = normalization
        self.framework = inner.framework
        self.batch = inner.batch
        self.inputs, self.outputs = inner.inputs, inner.outputs
        self.operations = getattr(inner, "operations", {})
        self.softmax = getattr(inner, "softmax", False)
        self.name = name
        """The channels of the picture input."""
        self._index = [e.name for e in inner.inputs].index(name)

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the training framework, from pixels that NumPy normalized."""
        answers: Arrays = self.inner.predict(
            {**inputs, self.name: self.normalization.apply(inputs[self.name])}
        )
        return answers

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        inputs = list(values)
        inputs[self._index] = self.normalization.tensor(inputs[self._index])
        answers: list[Any] = self.inner.call(*inputs)
        return answers

    def tracked(self) -> Any:
        """The object that holds the model's variables and tables."""
        return self.inner.tracked()

    def to_onnx(self) -> onnx.ModelProto:
        """The inner model's graph with the normalization before it."""
        return self.normalization.prepended(self.inner.to_onnx(), self._index)


def normalized(model: Trained, name: str, normalization: Normalization) -> Trained:
    """Put a normalization before the picture input, unless it does nothing."""
    return model if normalization.is_identity else Normalized(model, name, normalization)


def read(
    channels: str = "RGB", scale: float | str = 1.0, mean: Numbers = 0.0, std: Numbers = 1.0
) -> Normalization:
    """Parse a normalization from the user's arguments.

    Raises:
        ExportError: an argument is wrong.
    """
    if channels.upper() not in ("RGB", "BGR"):
        raise ExportError(f"{argument('channels')} is RGB or BGR, not {channels!r}")
    (by,) = _numbers("scale", scale, (1,))
    if by == 0:
        raise ExportError(f"{argument('scale')} is 0, which would erase the pixels")
    means, stds = _numbers("mean", mean, (1, 3)), _numbers("std", std, (1, 3))
    if 0 in stds:
        raise ExportError(f"{argument('std')} has a 0, and pixels are divided by it")
    return Normalization(channels.upper(), by, _three(means), _three(stds))


def _numbers(flag: str, value: Numbers, counts: tuple[int, ...]) -> list[float]:
    parts: list[Any] = value.split(",") if isinstance(value, str) else np.ravel(np.asarray(value)).tolist()
    found = [_number(flag, part) for part in parts]
    if len(found) not in counts:
        wants = "one number" if counts == (1,) else "one number, or one for each of three channels"
        raise ExportError(f"{argument(flag)} takes {wants}, not {len(found)}")
    return found


def _number(flag: str, part: Any) -> float:
    """A number, or a fraction as in 1/255."""
    try:
        above, slash, below = str(part).partition("/")
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise ExportError(f"{argument(flag)}: {str(part).strip()!r} is not a number")
    return value


def _three(values: list[float]) -> tuple[float, ...]:
    first, second, third = values * 3 if len(values) == 1 else values
    return first, second, third


def _short(values: tuple[float, ...]) -> tuple[float, ...]:
    return values[:1] if len(set(values)) == 1 else values


def _fraction(value: float) -> str:
    """As people write it: 1/255."""
    below = 1 / value
    return f"1/{below:.9g}" if abs(value) < 1 and 1 / float(f"{below:.9g}") == value else f"{value:.9g}"
