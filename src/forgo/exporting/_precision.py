"""Keras models of mixed precision, rebuilt in float32, which all engines compute alike."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from forgo._errors import ExportError
from forgo.exporting._golden import difference

HALF = ("mixed_float16", "mixed_bfloat16")
MOST = 0.05
"""How far a rebuilt model's answers may be from the original's: rounding, but not more."""


def is_mixed(model: Any) -> bool:
    """Whether a layer computes in half precision with weights in float32."""
    layers = list(model._flatten_layers()) if hasattr(model, "_flatten_layers") else model.layers
    return any(getattr(getattr(layer, "dtype_policy", None), "name", "") in HALF for layer in layers)


def in_float32(model: Any) -> Any:
    """Rebuild a Keras 3 model with the same weights, every layer in float32.

    Raises:
        ExportError: a layer cannot be rebuilt from its configuration.
    """

    def copy(layer: Any) -> Any:
        return type(layer).from_config(_single(layer.get_config()))

    try:
        if isinstance(model, keras.Sequential):
            inputs = [keras.Input(t.shape[1:], dtype=_dtype(t), name=t.name) for t in model.inputs]
            rebuilt = keras.Sequential([*inputs, *map(copy, model.layers)])
        else:
            rebuilt = keras.models.clone_model(model, clone_function=copy)
        rebuilt.set_weights(model.get_weights())
    except Exception as e:  # whatever a layer's own code raises
        why = (str(e).strip().splitlines() or [repr(e)])[0]
        raise ExportError(
            f"the model has mixed precision and cannot be rebuilt in float32 ({why}): build it with "
            "keras.config.set_dtype_policy('float32') and load its weights"
        ) from None
    return rebuilt


def check_close(rebuilt: dict[str, Any], mixed: dict[str, Any]) -> float:
    """The largest difference between the two models' answers, which only rounding may cause.

    Raises:
        ExportError: it is larger than rounding.
    """
    worst = max(
        difference(rebuilt[name].astype(np.float64), mixed[name].astype(np.float64)) for name in mixed
    )
    if worst > MOST:
        raise ExportError(
            f"the model has mixed precision; rebuilt in float32, its answers differ by {worst:.3g}, "
            "more than rounding explains: build it in float32 and load its weights"
        )
    return worst


def _dtype(tensor: Any) -> str:
    dtype = str(getattr(tensor.dtype, "name", tensor.dtype))
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _single(config: Any) -> Any:
    """A configuration with float32 in place of every policy of half precision."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config.get("config", {}).get("name") in HALF:
            return "float32"
        return {k: _single(v) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [_single(v) for v in config]
    return config
