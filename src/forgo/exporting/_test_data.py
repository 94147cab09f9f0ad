"""Golden cases in ONNX's own form: ``test_data_set_N/`` beside model.onnx, as its test runners read them."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from forgo._bundle import Staging
from forgo.exporting._model import Arrays


def write(
    stage: Staging, inputs: dict[str, str], outputs: list[str], cases: list[tuple[Arrays, Arrays]]
) -> None:
    """Write input_I.pb and output_I.pb, in the graph's order, for each case.

    Args:
        stage: the bundle being written.
        inputs: the graph's names of its inputs, by logical name.
        outputs: the names of the graph's outputs.
        cases: inputs and outputs by name, each with a batch of one.
    """
    for number, (given, answers) in enumerate(cases):
        for kind, names, arrays in (
            ("input", inputs, given),
            ("output", dict(zip(outputs, outputs, strict=True)), answers),
        ):
            for i, (name, inside) in enumerate(names.items()):
                proto: onnx.TensorProto = numpy_helper.from_array(arrays[name], inside)
                stage.add(f"test_data_set_{number}/{kind}_{i}.pb", proto.SerializeToString())
