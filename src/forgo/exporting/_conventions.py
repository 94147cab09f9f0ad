"""Known networks: how keras.applications prepares their pictures, recognized by names of models and layers.

It is a hint, never a rule: a network of that name may have been trained differently. Labelled examples
decide (_accuracy).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from forgo.exporting._normalization import USUAL, Normalization

_CAFFE = "minus caffe's means, BGR"
_TF = "pixels from -1 to 1"
_TORCH = "torch's mean and std"

# The ``preprocess_input`` of each family, by the name that keras.applications gives the model. The last two
# contain it, unless they were built with include_preprocessing=False.
_FAMILIES = (
    (r"resnet(50|101|152)|vgg(16|19)", _CAFFE),
    (r"resnet(50|101|152)v2|mobilenet_\d[\d.]*_\d+|mobilenetv2_\d[\d.]*_\d+|inception_v3|inception_resnet_v2", _TF),
    (r"xception|nasnet(_mobile|_large)?", _TF),
    (r"densenet(121|169|201)?", _TORCH),
    (r"efficientnetb[0-7]|efficientnetv2-b[0-3]|convnext_(tiny|small|base|large|xlarge)", _TORCH),
    (r"efficientnetv2-[sml]|mobilenetv3(small|large)", _TF),
)  # fmt: skip

# By layers, for networks that were built upon and lost their name: no other family has all of them.
_LAYERS = (
    ("resnet50", ("conv1_conv", "conv1_bn", "conv5_block3_out", "conv2_block1_1_conv")),
    ("resnet50v2", ("conv1_conv", "conv2_block1_preact_bn", "post_bn")),
    ("densenet121", ("conv1_conv", "conv2_block1_0_bn", "pool2_conv")),
    ("vgg16", ("block1_conv1", "block5_conv3", "block5_pool")),
    ("mobilenet_1.00_224", ("conv1", "conv_dw_1", "conv_pw_13")),
    ("mobilenetv2_1.00_224", ("Conv1", "expanded_conv_depthwise", "block_16_project")),
    ("inception_v3", ("mixed0", "mixed7", "mixed10")),
    ("inception_resnet_v2", ("mixed_5b", "mixed_7a", "conv_7b")),
    ("xception", ("block1_conv1", "block14_sepconv2")),
)  # fmt: skip

_NORMALIZING = ("Rescaling", "Normalization")
# The layers that ``preprocess_input`` and arithmetic on pixels leave in a functional model.
_ARITHMETIC = (
    "Subtract",
    "Multiply",
    "TrueDivide",
    "Divide",
    "Add",
    "GetItem",
    "Flip",
    "Lambda",
    "TFOpLambda",
    "SlicingOpLambda",
)


@dataclass(frozen=True)
class Layer:
    """One layer, including those of inner models."""

    kind: str
    name: str


@dataclass(frozen=True)
class Known:
    """A known network, and the normalization that it expects unless it contains one."""

    name: str
    way: str
    """A key of USUAL."""


def layers_of(model: Any) -> Iterator[Layer]:
    """A Keras model's layers in order, inner models before their own layers."""
    for layer in getattr(model, "operations", getattr(model, "layers", [])):  # arithmetic is not a layer
        yield Layer(type(layer).__name__, str(layer.name))
        if getattr(layer, "layers", None):
            yield from layers_of(layer)


def recognize(names: list[str]) -> Known | None:
    """Recognize a network by the names of its model and layers."""
    for name in names:
        for pattern, way in _FAMILIES:
            if re.fullmatch(pattern, name, flags=re.IGNORECASE):
                return Known(name, way)
    have = set(names)
    for name, wanted in _LAYERS:
        if have.issuperset(wanted):
            known = recognize([name])
            return Known(f"a network with the layers of {name}", known.way) if known else None
    return None


def normalizes_itself(layers: list[Layer]) -> str:
    """The first layer that normalizes pixels, before any convolution, or ""."""
    for layer in layers:
        if layer.kind in _NORMALIZING or layer.kind in _ARITHMETIC or layer.name == "normalization":
            return f"{layer.kind} {layer.name!r}"
        if re.search(r"Conv|Dense|BatchNorm", layer.kind):
            return ""
    return ""


def notes(model: Any, normalization: Normalization) -> list[str]:
    """Notes on a model's normalization.

    Args:
        model: a trained model.
        normalization: the normalization that export puts before it.
    """
    if hasattr(model, "scopes"):  # a SavedModel has operations, but no ordered layers
        names = sorted(model.scopes | {re.sub(r"_\d{1,2}$", "", scope) for scope in model.scopes})
        inside = next((n for n in names if re.match(r"(rescaling|normalization)(_|$)", n)), "")
    elif hasattr(model, "model"):
        layers = list(layers_of(model.model))
        names, inside = [str(model.model.name), *(x.name for x in layers)], normalizes_itself(layers)
    else:
        return []
    if inside and not normalization.is_identity:
        return [
            f"the model normalizes pixels itself, in its layer {inside}: with {normalization.named()} pixels are normalized twice"
        ]
    known = recognize(names)
    if known is None or inside or normalization == USUAL[known.way]:
        return []
    does = (
        "but nothing in this model does that"
        if normalization.is_identity
        else f"but this export gives it {normalization.named()}"
    )
    return [
        f"{known.name} of keras.applications takes {known.way}, {does}: unless training did that, "
        f"export it with {USUAL[known.way].named()}"
    ]
