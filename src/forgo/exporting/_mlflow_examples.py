"""The input example in a folder of MLflow's, typed by the folder's signature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting._onnx import regular_bytes

_MOST = 1 << 30
"""The largest input example, in bytes."""
_COLUMNS = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


def read(folder: Path, about: Mapping[str, Any], *, matrix: bool) -> Any:
    """The input example in the form that export takes; None if the folder has none.

    Args:
        folder: the folder.
        about: its MLmodel.
        matrix: whether the model takes a frame of numbers as one array [rows, columns].

    Raises:
        ExportError: it cannot be read, or is of a kind that no rows come from.
    """
    info = about.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    from forgo.exporting._mlflow import inside

    file = inside(folder, info.get("artifact_path"), "its input example")
    data = regular_bytes(file, _MOST, "the input example")
    try:
        example = json.loads(data)
        if info.get("params"):
            example = example["inputs"]
        return _typed(example, str(info.get("type")), _signature(about), matrix=matrix)
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise ExportError(
            f"{file}: the input example cannot be used ({type(e).__name__}: {e}): give rows with {argument('examples')}"
        ) from None


def _signature(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    signature = about.get("signature")
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    made = json.loads(inputs) if isinstance(inputs, str) else []
    return [i for i in made if isinstance(i, dict)] if isinstance(made, list) else []


def _typed(example: Any, kind: str, signature: list[dict[str, Any]], *, matrix: bool) -> Any:
    if kind == "ndarray":
        kinds = {i.get("name"): i["tensor-spec"]["dtype"] for i in signature if "tensor-spec" in i}
        if isinstance(example, dict):
            return {name: _array(values, kinds.get(name)) for name, values in example.items()}
        return _array(example, next(iter(kinds.values()), None))
    if (
        kind == "json_object"
        and isinstance(example, list)
        and not any(isinstance(v, dict | list) for v in example)
    ):
        return _array(example, None)
    if kind == "dataframe" and "columns" not in example:
        return _array(example["data"] if isinstance(example, dict) else example, None)
    if kind not in ("dataframe", "json_object"):
        raise ValueError(f"a {kind} is neither a table nor an array")
    try:
        import pandas as pd
    except ImportError:
        raise ExportError(
            f"the input example is a table, which needs pandas: pip install pandas, or give rows with {argument('examples')}"
        ) from None
    frame = (
        pd.DataFrame(example["data"], columns=example["columns"])
        if kind == "dataframe"
        else pd.DataFrame(example)
    )
    for column in signature:
        name, dtype = column.get("name"), _COLUMNS.get(str(column.get("type")))
        if name in frame.columns and dtype is not None and (dtype[0] == "f" or not frame[name].isna().any()):
            frame[name] = frame[name].astype(dtype)
    return frame.to_numpy() if matrix else frame


def _array(values: Any, dtype: Any) -> npt.NDArray[Any]:
    kind = np.dtype(dtype) if isinstance(dtype, str) else None
    if kind is not None and kind.kind in "biuf":
        return np.asarray(values, kind)
    made = np.asarray(values)
    return made.astype(object) if made.dtype.kind in "US" else made
