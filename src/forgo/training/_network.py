"""The networks that forgo trains."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

from forgo._errors import ForgoError, argument

# ResNet50's ImageNet weights were trained on BGR minus these means ("caffe mode" of
# keras.applications): https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py
_IMAGENET_MEANS_BGR = (103.939, 116.779, 123.68)


def build(
    backbone: str,
    image_size: int,
    classes: int,
    *,
    weights: str,
    trainable: str,
    dropout: float = 0.2,
    input_name: str = "pixels",
) -> Any:
    """Build a classifier of pictures, float32 [batch, size, size, 3] from 0 to 255.

    It normalizes pixels itself. The softmax layer is named ``inferenceLayer``.

    Args:
        backbone: "small" or "resnet50".
        image_size: height and width.
        classes: the number of classes.
        weights: "none", "imagenet" (resnet50 only), or a .weights.h5 or .h5 file.
        trainable: "all", "head", "first:N", "last:N", or a regular expression of layer names
            in the backbone; the head's layers are always trained.
        dropout: the share of features dropped in training, before the softmax layer.
        input_name: the input's name.
    """
    pixels = keras.Input((image_size, image_size, 3), name=input_name)
    features = (
        _small(pixels, weights, trainable) if backbone == "small" else _resnet50(pixels, weights, trainable)
    )
    x = keras.layers.Dropout(dropout, name="dropout")(features) if dropout else features
    scores = keras.layers.Dense(classes, activation="softmax", name="inferenceLayer")(x)
    return keras.Model(pixels, scores, name="classifier")


def _small(pixels: Any, weights: str, trainable: str) -> Any:
    """Four convolutions with batch normalization and global average pooling; 130,000 weights."""
    inputs = keras.Input(pixels.shape[1:])
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="normalization")(inputs)
    for i, (filters, stride) in enumerate([(32, 2), (64, 1), (64, 2), (128, 1)], 1):
        x = keras.layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=f"conv{i}")(
            x
        )
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{i}")(x)
        x = keras.layers.Activation("relu", name=f"relu{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    base = keras.Model(inputs, x, name="small")
    if weights != "none":
        _load(base, weights)
    choose_trainable(base, trainable)
    return base(pixels)


def _resnet50(pixels: Any, weights: str, trainable: str) -> Any:
    x = caffe_normalization()(pixels)
    try:
        base = keras.applications.ResNet50(
            include_top=False, pooling="avg", input_shape=tuple(pixels.shape[1:]),
            weights="imagenet" if weights == "imagenet" else None,
        )  # fmt: skip
    except (OSError, ValueError, Exception) as e:  # Keras wraps what urllib raises in a bare Exception
        if weights != "imagenet":
            raise ForgoError(
                f"ResNet50 does not take pictures of {pixels.shape[1]} x {pixels.shape[2]}: {e}"
            ) from None
        raise ForgoError(
            f"the ImageNet weights could not be downloaded ({(str(e).splitlines() or [''])[0]}): "
            f"pass {argument('weights', 'none')}, or a file with a copy of them"
        ) from None
    if weights not in ("none", "imagenet"):
        _load(base, weights)
    choose_trainable(base, trainable)
    # Fine-tuning keeps the statistics of the pretrained weights.
    return base(x, training=False) if weights != "none" else base(x)


def caffe_normalization() -> Any:
    """RGB to BGR minus the means, as a fixed 1 x 1 convolution.

    ``preprocess_input`` inside a graph does not survive the ONNX export, and a layer of our
    own would keep the model from loading elsewhere; this does the same with a standard layer.
    """
    layer = keras.layers.Conv2D(3, 1, name="normalization", trainable=False)
    layer.build((None, None, None, 3))
    layer.set_weights(
        [np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -np.array(_IMAGENET_MEANS_BGR, np.float32)]
    )
    return layer


def _load(base: Any, file: str) -> None:
    try:
        base.load_weights(file)
    except Exception as e:  # Keras and h5py raise many kinds for files that do not fit
        raise ForgoError(
            f"{argument('weights')}: {file} does not fit this backbone: {(str(e).splitlines() or [''])[0]}"
        ) from None


def choose_trainable(base: Any, trainable: str) -> None:
    """Freeze the backbone's layers that training leaves alone."""
    layers = base.layers
    if trainable == "all":
        chosen = layers
    elif trainable == "head":
        chosen = []
    elif m := re.fullmatch(r"(first|last):(\d+)", trainable):
        n = int(m[2])
        chosen = layers[:n] if m[1] == "first" else layers[max(0, len(layers) - n) :]
    else:
        try:
            pattern = re.compile(trainable)
        except re.error as e:
            raise ForgoError(
                f"{argument('trainable')} {trainable!r} must be all, head, first:N, last:N or a regular expression: {e}"
            ) from None
        chosen = [layer for layer in layers if pattern.search(layer.name)]
        if not chosen:
            raise ForgoError(
                f"{argument('trainable')} {trainable!r} matches no layer; their names are {', '.join(x.name for x in layers[:8])} …"
            )
    wanted = {id(layer) for layer in chosen}
    for layer in layers:
        layer.trainable = id(layer) in wanted
