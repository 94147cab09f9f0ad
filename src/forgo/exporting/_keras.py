"""Keras models: the adapter, which runs in a clean process on the TensorFlow backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from forgo._errors import ExportError
from forgo.exporting._files import of_keras_2
from forgo.exporting._model import STRING, Arrays, End
from forgo.exporting._tensorflow import Traceable, logical_name

_AUTO_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")
_RANDOM = re.compile(r"Random|AugMix|CutMix|MixUp|RandAugment|AutoContrast")


class KerasModel(Traceable):
    """A Keras model, as a clean inference graph: no random layers, logits beside a softmax.

    Args:
        model: of Keras 3 or, with ``library=tf_keras``, of Keras 2.
        picture: whether its only input takes pictures.
        library: the module that the model is of.
    """

    def __init__(self, model: Any, *, picture: bool, library: Any = keras) -> None:
        self.framework = f"{library.__name__} {library.__version__} ({library.backend.backend()})"
        self._model = model
        if not model.built or not getattr(model, "inputs", None):
            raise ExportError(
                "the model has no inputs yet: a Sequential or subclassed model must be called on data, "
                "or given an Input, before it can be exported"
            )
        # Keras 2 leaves the random layers out of an inference graph by itself.
        self._graph = _with_logits(_without_random_layers(model) if library is keras else model, library)
        inputs, outputs = self._graph.inputs, self._graph.outputs
        self.inputs = _ends(
            inputs, ["pixels"] if picture and len(inputs) == 1 and len(inputs[0].shape) == 4 else None
        )
        names = None
        last = model.layers[-1]
        if len(outputs) == 2 and self._graph is not model and len(model.outputs) == 1:
            names = ["probabilities", "logits"]
            self.softmax = True
        elif len(outputs) == 1 and _is_softmax(last, library):
            names = ["probabilities"]
        self.outputs = _ends(outputs, names or _output_names(self._graph))
        self.operations = {e.name: logical_name(t.name) for e, t in zip(self.inputs, inputs, strict=True)}
        if names:
            self.operations["probabilities"] = f"{logical_name(last.name)}/Softmax"

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with Keras itself: the model as it was given, and logits from its own layers."""
        values = [_tensor(inputs[e.name]) for e in self.inputs]
        answers = _listed(
            self._graph.predict(values if len(values) > 1 else values[0], verbose=0, batch_size=32)
        )
        own = _listed(self._model.predict(values if len(values) > 1 else values[0], verbose=0, batch_size=32))
        return dict(zip([e.name for e in self.outputs], [*own, *answers[len(own) :]], strict=True))

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        return _listed(self._graph(list(values) if len(values) > 1 else values[0], training=False))

    def tracked(self) -> Any:
        """What holds the model's variables and tables."""
        return self._graph


def _tensor(array: Any) -> Any:
    """What Keras takes for an array: of strings, which it does not take from NumPy, a tensor."""
    if array.dtype.kind != "O":
        return array
    import tensorflow as tf

    return tf.constant(array)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_softmax(layer: Any, library: Any) -> bool:
    return (
        isinstance(layer, library.layers.Softmax)
        or getattr(layer, "activation", None) is library.activations.softmax
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


def _with_logits(model: Any, library: Any) -> Any:
    """Give a classifier a second output: what goes into its softmax."""
    if len(model.outputs) != 1:
        return model
    last = model.layers[-1]
    if isinstance(last, library.layers.Dense) and _is_softmax(last, library):
        dense = library.layers.Dense(last.units, use_bias=last.use_bias, name=f"{last.name}_logits")
        logits = dense(last.input)
        dense.set_weights(last.get_weights())
    elif (
        _is_softmax(last, library)
        and not getattr(last, "weights", None)
        and getattr(last, "axis", -1) in (-1, 1)
    ):
        logits = last.input
    else:
        return model
    if len(logits.shape) != 2:
        return model
    probabilities = library.layers.Softmax(name=f"{last.name}_softmax")(logits)
    return library.Model(model.inputs, [probabilities, logits])


def _ends(tensors: list[Any], names: list[str] | None) -> list[End]:
    if names is None:
        given = [logical_name(t.name) for t in tensors]
        auto = "input" if len(tensors) == 1 else "input_{}"
        names = [auto.format(i) if _AUTO_NAME.fullmatch(n) else n for i, n in enumerate(given)]
    ends = []
    for name, t in zip(names, tensors, strict=True):
        dtype = getattr(t.dtype, "name", t.dtype)  # Keras 2 has TensorFlow's types
        ends.append(End(name, STRING if dtype == STRING else str(np.dtype(dtype)), (None, *t.shape[1:])))
    return ends


def _output_names(model: Any) -> list[str]:
    if len(model.outputs) == 1:
        return ["output"]
    names = [logical_name(str(n)) for n in getattr(model, "output_names", [])]
    if len(set(names)) == len(model.outputs):
        return names
    return [f"output_{i}" for i in range(len(model.outputs))]


def load(file: Path, *, picture: bool, trust: bool) -> KerasModel:
    """Load a .keras or .h5 file, without running code that it may carry unless that is trusted.

    Raises:
        ExportError: it cannot be loaded.
    """
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=not trust)
        return KerasModel(model, picture=picture)
    except ExportError:
        raise
    except Exception as e:  # Keras raises ValueError, TypeError, KeyError, OSError, … for bad files
        if not of_keras_2(file):
            raise ExportError(f"{file}: Keras cannot load it: {_first_line(e)}") from None
        why = _first_line(e)
    try:
        import tf_keras
    except ImportError:
        raise ExportError(
            f"{file}: it is of Keras 2, and Keras 3 cannot load it ({why}); "
            "tf_keras can: pip install 'forgo[legacy]', or pip install tf_keras"
        ) from None
    try:
        model = tf_keras.models.load_model(file, compile=False, safe_mode=not trust)
    except Exception as e:
        raise ExportError(f"{file}: neither Keras 3 nor tf_keras can load it: {_first_line(e)}") from None
    return KerasModel(model, picture=picture, library=tf_keras)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]
