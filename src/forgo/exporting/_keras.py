"""Keras models: the adapter, which runs in a clean process on the TensorFlow backend."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from forgo._errors import ExportError
from forgo.exporting import _precision
from forgo.exporting._batches import in_parts
from forgo.exporting._keras_files import configuration, foreign, of_keras_2
from forgo.exporting._model import STRING, Arrays, TensorInfo
from forgo.exporting._tensorflow import Traceable, logical_name

_AUTO_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")
_RANDOM = re.compile(r"Random|AugMix|CutMix|MixUp|RandAugment|AutoContrast")


class KerasModel(Traceable):
    """A Keras model, as a clean inference graph: no random layers, logits beside a softmax.

    Args:
        model: a Keras 3 model or, with ``library=tf_keras``, a Keras 2 model.
        picture: whether its only input takes pictures.
        library: the model's module.
    """

    def __init__(self, model: Any, *, picture: bool, library: Any = keras) -> None:
        self.framework = f"{library.__name__} {library.__version__} ({library.backend.backend()})"
        if not model.built or not getattr(model, "inputs", None):
            raise ExportError(
                "the model has no inputs yet: call it on data, or give it an Input, before you export it"
            )
        self.batch = model.inputs[0].shape[0]
        if any(t.shape[0] != self.batch for t in model.inputs):
            raise ExportError("the model's inputs have different batch sizes")
        self._mixed = model if library is keras and _precision.is_mixed(model) else None
        self.model = _precision.in_float32(model) if self._mixed is not None else model
        # Keras 2 itself leaves random layers out of an inference graph.
        self._graph = _without_random_layers(self.model) if library is keras else self.model
        self._flatten = keras.tree.flatten if library is keras else _nest_flatten
        self.inputs = _ends(
            self._graph.inputs,
            ["pixels"] if picture and len(model.inputs) == 1 and _is_picture(model) else None,
        )
        self._name_outputs(library)
        self.operations |= {
            e.name: logical_name(t.name) for e, t in zip(self.inputs, self._graph.inputs, strict=True)
        }

    def _name_outputs(self, library: Any) -> None:
        """Keep the model's own names; add a softmax's logits, for the proof."""
        self.operations: dict[str, str] = {}
        names = output_names(self._graph)
        last = producer(self._graph, 0)
        if len(names) != 1 or not _is_softmax(last, library):
            self.outputs = _ends(self._graph.outputs, names)
            return
        name = names[0] or "probabilities"
        self.operations[name] = f"{logical_name(last.name)}/Softmax"
        original, self._graph = self._graph, _with_logits(self._graph, last, library)
        self.softmax = self._graph is not original
        if not self.softmax:
            self.outputs = _ends(self._graph.outputs, [name])
            return
        hidden = "logits" if name != "logits" else "logits_before"
        first, second = _ends(self._graph.outputs, [name, hidden])
        self.outputs = [first, replace(second, hidden=True)]

    def call_first(self, name: str) -> None:
        """Call the first output by another name."""
        first = self.outputs[0]
        if any(e.name == name for e in [*self.inputs, *self.outputs[1:]]):
            raise ExportError(f"two inputs or outputs would be called {name!r}: rename one")
        self.outputs[0] = replace(first, name=name)
        if first.name in self.operations:
            self.operations[name] = self.operations.pop(first.name)

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with Keras itself: the model as it was given, and logits from its own layers."""
        return in_parts(self._predict, inputs, self.batch)

    def _predict(self, inputs: Arrays) -> Arrays:
        values = [_tensor(inputs[e.name]) for e in self.inputs]
        own = self._ask(self.model, values)
        if self._graph is not self.model:
            own += self._ask(self._graph, values)[len(own) :]
        answers = dict(zip([e.name for e in self.outputs], own, strict=True))
        if self._mixed is not None:
            mixed = self._ask(self._mixed, values)
            worst = _precision.check_close(
                answers, dict(zip([e.name for e in self.outputs], mixed, strict=False))
            )
            self.provenance = {"mixed_precision": {"rebuilt_in": "float32", "difference": worst}}
        return answers

    def _ask(self, model: Any, values: list[Any]) -> list[Any]:
        inputs = values if len(values) > 1 else values[0]
        return list(self._flatten(model.predict(inputs, verbose=0, batch_size=self.batch or 32)))

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        inputs = list(values) if len(values) > 1 else values[0]
        return list(self._flatten(self._graph(inputs, training=False)))

    def tracked(self) -> Any:
        """The object that holds the model's variables and tables."""
        return self._graph


def _tensor(array: Any) -> Any:
    """An array in Keras's form: strings, which it does not take from NumPy, become a tensor."""
    if array.dtype.kind != "O":
        return array
    import tensorflow as tf

    return tf.constant(array)


def _nest_flatten(value: Any) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten(value))


def _is_picture(model: Any) -> bool:
    return len(model.inputs[0].shape) == 4


def producer(model: Any, number: int) -> Any:
    """The layer that gives an output."""
    history = getattr(model.outputs[number], "_keras_history", None)
    made = getattr(history, "operation", None) or getattr(history, "layer", None)
    if isinstance(model, keras.Sequential) or made is None:
        return model.layers[-1]
    return made


def output_names(model: Any) -> list[str | None]:
    """The model's own names for its outputs: a dict's keys, or its layers' names.

    None stands for a single output whose layer has a name that Keras generated.
    """
    keys = _keys(getattr(model, "_outputs_struct", getattr(model, "_nested_outputs", None)))
    if keys is not None and len(set(keys)) == len(model.outputs):
        return [*map(logical_name, keys)]
    layers = [producer(model, i) for i in range(len(model.outputs))]
    names = [logical_name(str(layer.name)) for layer in layers]
    if len(names) == 1:
        return [None if _counted(layers[0]) else names[0]]
    if len(set(names)) == len(names):
        return [*names]
    return [f"output_{i}" for i in range(len(names))]


def _keys(structure: Any) -> list[str] | None:
    """The keys of a dict of outputs, in the order of Keras's tensors."""
    if not isinstance(structure, dict):
        return None
    names = []
    for key in sorted(structure):
        value = structure[key]
        several = isinstance(value, list | tuple)
        names += [f"{key}_{i}" for i in range(len(value))] if several else [str(key)]
    return names


def _counted(layer: Any) -> bool:
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|\W", "_", type(layer).__name__).lower()
    return bool(
        re.fullmatch(rf"({kind}|functional|model|sequential|.*keras_tensor|tf\..*)(_\d+)*", layer.name)
    )


def _is_softmax(layer: Any, library: Any) -> bool:
    return (
        isinstance(layer, library.layers.Softmax)
        or getattr(layer, "activation", None) is library.activations.softmax
    )


def _without_random_layers(model: Any) -> Any:
    """Augmentation belongs to training: rebuild the model without such layers."""

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
        nothing = keras.layers.Dropout(0.0, name=layer.name)  # takes a random layer's arguments
        return (
            keras.Sequential([nothing], name=layer.name) if isinstance(layer, keras.Sequential) else nothing
        )

    if isinstance(model, keras.Sequential):
        inputs = [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in model.inputs]
        rebuilt = keras.Sequential([*inputs, *map(copy, model.layers)])
    else:
        rebuilt = keras.models.clone_model(model, clone_function=copy)
    for before, after in zip(model.layers, rebuilt.layers, strict=True):
        if not is_random(before):
            after.set_weights(before.get_weights())
    return rebuilt


def _with_logits(model: Any, last: Any, library: Any) -> Any:
    """Give a classifier its logits as a second output, if its softmax can be split off."""
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


def _ends(tensors: list[Any], names: list[str | None] | None) -> list[TensorInfo]:
    if names is None:
        originals = [logical_name(t.name) for t in tensors]
        auto = "input" if len(tensors) == 1 else "input_{}"
        names = [auto.format(i) if _AUTO_NAME.fullmatch(n) else n for i, n in enumerate(originals)]
    infos = []
    for name, t in zip(names, tensors, strict=True):
        dtype = getattr(t.dtype, "name", t.dtype)  # Keras 2 has TensorFlow's types
        made = STRING if dtype == STRING else str(np.dtype(dtype))
        infos.append(TensorInfo(name or "output", made, (None, *t.shape[1:])))
    return infos


def load(file: Path, *, picture: bool, trust: bool) -> KerasModel:
    """Load a .keras or .h5 file; run code in it only if it is trusted.

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
            raise ExportError(f"{file}: Keras cannot load it: {_first_line(e)}{_own_code(file)}") from None
        why = _first_line(e)
    try:
        import tf_keras
    except ImportError:
        raise ExportError(
            f"{file}: it is a Keras 2 file that Keras 3 cannot load ({why}); "
            "tf_keras can: pip install tf_keras"
        ) from None
    try:
        model = tf_keras.models.load_model(file, compile=False, safe_mode=not trust)
    except Exception as e:
        raise ExportError(f"{file}: neither Keras 3 nor tf_keras can load it: {_first_line(e)}") from None
    return KerasModel(model, picture=picture, library=tf_keras)


def _own_code(file: Path) -> str:
    name = foreign(configuration(file))
    return name and f"; {name} is code of yours: load the model in Python, and give it to forgo.export"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]
