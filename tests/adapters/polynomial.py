"""NumPy's polynomials: a whole adapter in one file, as ARCHITECTURE.md shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.polynomial import Polynomial
from onnx import helper, numpy_helper

from forgo.exporting._adapter import Adapter
from forgo.exporting._model import Arrays, OnnxOnly, TensorInfo


class Evaluated(OnnxOnly):
    framework = f"numpy {np.__version__}"

    def __init__(self, model: Polynomial) -> None:
        self.model = model
        self.inputs = [TensorInfo("x", "float64", (None,))]
        self.outputs = [TensorInfo("y", "float64", (None,))]

    def predict(self, inputs: Arrays) -> Arrays:
        return {"y": self.model(inputs["x"])}

    def to_onnx(self) -> onnx.ModelProto:
        x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, ["rows"]) for n in "xy")
        *lower, at = (f"c{i}" for i in range(len(self.model.coef)))
        nodes = []
        for c in reversed(lower):  # Horner's rule
            nodes.append(helper.make_node("Mul", [at, "x"], [f"{c}_x"]))
            at = "y" if c == "c0" else f"{c}_sum"
            nodes.append(helper.make_node("Add", [f"{c}_x", c], [at]))
        held = [numpy_helper.from_array(np.array(c), f"c{i}") for i, c in enumerate(self.model.coef)]
        graph = helper.make_graph(nodes, "polynomial", [x], [y], held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def load(path: Path) -> Evaluated:
    return Evaluated(Polynomial(json.loads(path.read_text())))


def save(model: Any, folder: Path) -> Path:
    file = folder / "model.polynomial"
    file.write_text(json.dumps(model.coef.tolist()))
    return file


ADAPTER = Adapter(
    module=__name__,
    models="a polynomial of NumPy",
    files="a .polynomial file",
    engines=("onnxruntime",),
    is_file=lambda path: path.suffix == ".polynomial",
    load=lambda path, request: (load(path), request),
    is_model=lambda model: isinstance(model, Polynomial),
    adapt=lambda model, request, examples: Evaluated(model),
    save=save,
)
