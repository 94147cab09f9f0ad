"""Keras models: the adapter, which runs in a clean process on the TensorFlow backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from forgo._errors import ExportError
from forgo.exporting._model import Arrays, End

OPSET = 18
_AUTO_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")
_RANDOM = re.compile(r"Random|AugMix|CutMix|MixUp|RandAugment|AutoContrast")


class KerasModel:
    """A Keras 3 model, as a clean inference graph: no random layers, logits beside a softmax."""

    def __init__(self, model: Any, *, picture: bool) -> None:
        self.framework = f"keras {keras.__version__} ({keras.backend.backend()})"
        self._model = model
        if not model.built or not getattr(model, "inputs", None):
            raise ExportError(
                "the model has no inputs yet: a Sequential or subclassed model must be called on data, "
                "or given an Input, before it can be exported"
            )
        self._graph = _with_logits(_without_random_layers(model))
        self.inputs = _ends(
            self._graph.inputs, ["pixels"] if picture and len(self._graph.inputs) == 1 else None
        )
        names = None
        if len(self._graph.outputs) == 2 and self._graph is not model and len(model.outputs) == 1:
            names = ["probabilities", "logits"]
        elif len(self._graph.outputs) == 1 and _is_softmax(model.layers[-1]):
            names = ["probabilities"]
        self.outputs = _ends(self._graph.outputs, names or _output_names(self._graph))

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with Keras itself: the model as it was given, and logits from its own layers."""
        values = [inputs[e.name] for e in self.inputs]
        answers = _listed(
            self._graph.predict(values if len(values) > 1 else values[0], verbose=0, batch_size=32)
        )
        own = _listed(self._model.predict(values if len(values) > 1 else values[0], verbose=0, batch_size=32))
        return dict(zip([e.name for e in self.outputs], [*own, *answers[len(own) :]], strict=True))

    def to_onnx(self) -> onnx.ModelProto:
        """Convert with tf2onnx, as Keras's own exporter does, with a free batch.

        That exporter leaves constants that a layer holds as eager tensors (Normalization's mean,
        what ``preprocess_input`` subtracts) behind as inputs; here they become constants again.
        """
        import tensorflow as tf
        import tf2onnx
        from onnx import numpy_helper

        _patch_for_numpy2()
        signature = [tf.TensorSpec((None, *e.shape[1:]), e.dtype, name=e.name) for e in self.inputs]

        @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
        def answer(*values: Any) -> Any:
            return self._graph(list(values) if len(values) > 1 else values[0], training=False)

        model: onnx.ModelProto
        model, _ = tf2onnx.convert.from_function(answer, input_signature=signature, opset=OPSET)
        held = {inside.name: outside for outside, inside in answer.get_concrete_function().graph.captures}
        for value in [v for v in model.graph.input if v.name in held]:
            model.graph.input.remove(value)
            model.graph.initializer.append(numpy_helper.from_array(held[value.name].numpy(), value.name))
        return model


def _patch_for_numpy2() -> None:
    """Bring tf2onnx, which was written for NumPy 1, up to date by Keras's own patch."""
    try:
        from keras.src.export.tf2onnx_lib import patch_tf2onnx
    except ImportError:  # a Keras that no longer needs it
        return
    patch_tf2onnx()


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_softmax(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.Softmax)
        or getattr(layer, "activation", None) is keras.activations.softmax
    )


def _without_random_layers(model: Any) -> Any:
    """Augmentation belongs to training: rebuild the model with such layers passed over."""

    def is_random(layer: Any) -> bool:
        return bool(_RANDOM.match(type(layer).__name__)) or (
            isinstance(layer, keras.Sequential)
            and layer.layers != []
            and all(is_random(inner) or isinstance(inner, keras.layers.InputLayer) for inner in layer.layers)
        )

    if not any(is_random(layer) for layer in model.layers):
        return model

    def copy(layer: Any) -> Any:
        if not is_random(layer):
            return type(layer).from_config(layer.get_config())
        nothing = keras.layers.Dropout(0.0, name=layer.name)  # takes the arguments that a random layer takes
        return (
            keras.Sequential([nothing], name=layer.name) if isinstance(layer, keras.Sequential) else nothing
        )

    if isinstance(model, keras.Sequential):
        inputs = [keras.Input(t.shape[1:], dtype=t.dtype) for t in model.inputs]
        rebuilt = keras.Sequential([*inputs, *map(copy, model.layers)])
    else:
        rebuilt = keras.models.clone_model(model, clone_function=copy)
    for before, after in zip(model.layers, rebuilt.layers, strict=True):
        if not is_random(before):
            after.set_weights(before.get_weights())
    return rebuilt


def _with_logits(model: Any) -> Any:
    """Give a classifier a second output: what goes into its softmax."""
    if len(model.outputs) != 1:
        return model
    last = model.layers[-1]
    if isinstance(last, keras.layers.Dense) and _is_softmax(last):
        dense = keras.layers.Dense(last.units, use_bias=last.use_bias, name=f"{last.name}_logits")
        logits = dense(last.input)
        dense.set_weights(last.get_weights())
    elif _is_softmax(last) and not getattr(last, "weights", None) and getattr(last, "axis", -1) in (-1, 1):
        logits = last.input
    else:
        return model
    if len(logits.shape) != 2:
        return model
    probabilities = keras.layers.Softmax(name=f"{last.name}_softmax")(logits)
    return keras.Model(model.inputs, [probabilities, logits])


def _ends(tensors: list[Any], names: list[str] | None) -> list[End]:
    if names is None:
        given = [re.sub(r"[^A-Za-z0-9_.-]", "_", t.name) for t in tensors]
        auto = "input" if len(tensors) == 1 else "input_{}"
        names = [auto.format(i) if _AUTO_NAME.fullmatch(n) else n for i, n in enumerate(given)]
    ends = []
    for name, t in zip(names, tensors, strict=True):
        dtype = keras.backend.standardize_dtype(t.dtype)
        if dtype == "string":
            raise ExportError(
                f"the model's tensor {name!r} holds strings, which this release does not export"
            )
        ends.append(End(name, str(np.dtype(dtype)), (None, *t.shape[1:])))
    return ends


def _output_names(model: Any) -> list[str]:
    if len(model.outputs) == 1:
        return ["output"]
    names = [re.sub(r"[^A-Za-z0-9_.-]", "_", str(n)) for n in getattr(model, "output_names", [])]
    if len(set(names)) == len(model.outputs):
        return names
    return [f"output_{i}" for i in range(len(model.outputs))]


def load(path: Path) -> Any:
    """Load a .keras file, without running code that it may carry.

    Raises:
        ExportError: it cannot be loaded.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:  # Keras raises ValueError, TypeError, KeyError, OSError, … for bad files
        raise ExportError(f"{path}: Keras cannot load it: {(str(e).splitlines() or [repr(e)])[0]}") from None
