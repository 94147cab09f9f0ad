"""ZipMap, which scikit-learn's converters put behind a classifier: maps from label to probability, and back to rows.

A bundle's outputs are tensors, so its graph ends where ZipMap begins. The file as it came still answers, through its maps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from forgo._errors import ExportError, argument

Labels = list[int] | list[str]
"""The keys of ZipMap's maps, in the order of its input's columns."""


def take_out(model: onnx.ModelProto, file: Path) -> tuple[onnx.ModelProto, dict[str, Labels]]:
    """A graph whose outputs are probabilities where the model's are maps, and the labels by output.

    Raises:
        ExportError: a label is not UTF-8.
    """
    ends = {o.name for o in model.graph.output}

    def at_end(node: onnx.NodeProto) -> bool:
        return node.op_type == "ZipMap" and node.domain == "ai.onnx.ml" and node.output[0] in ends

    if not any(map(at_end, model.graph.node)):
        return model, {}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    labels: dict[str, Labels] = {}
    for node in filter(at_end, made.graph.node):
        try:
            labels[node.output[0]] = _labels(node)
        except UnicodeDecodeError as e:
            raise ExportError(
                f"{file}: the label {e.object!r} of {node.output[0]!r} is not UTF-8: write the file with other labels"
            ) from None
        node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))
    for value in made.graph.output:
        if value.name in labels:
            size = len(labels[value.name])
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [None, size]))
    return made, labels


def check(file: Path, output: str, labels: Labels) -> None:
    """Check that an output's maps have a number for each column.

    Raises:
        ExportError: two columns have the same label, so the maps lack one.
    """
    if len(set(labels)) < len(labels):
        twice = next(k for k in labels if list(labels).count(k) > 1)
        raise ExportError(
            f"{file}: two columns of {output!r} have the label {twice!r}: choose other outputs with {argument('outputs')}"
        )


def _labels(node: onnx.NodeProto) -> Labels:
    held = {a.name: a for a in node.attribute}
    if "classlabels_strings" in held:
        return [s.decode() for s in held["classlabels_strings"].strings]
    return list(held["classlabels_int64s"].ints) if "classlabels_int64s" in held else []


def rows(maps: list[dict[Any, float]], labels: Labels) -> npt.NDArray[np.float32]:
    """ZipMap's maps as rows of probabilities."""
    made = np.empty((len(maps), len(labels)), np.float32)
    for row, given in zip(made, maps, strict=True):
        row[:] = [given[label] for label in labels]
    return made
