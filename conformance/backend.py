"""Writes ONNX's own backend tests of the operators named on the command line, each in a folder.

    python conformance/backend.py FOLDER OPERATOR...

A case is model.onnx, and for each of its sets of data input_N.pb and output_N.pb, as TensorProto.
Cases whose values are not tensors are left out.
"""

import pathlib
import sys

import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def main(folder: pathlib.Path, operators: set[str]) -> None:
    """Write the cases."""
    for case in collect_testcases(None):
        model = case.model
        if model is None or case.data_sets is None:
            continue
        names = {
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
            for node in model.graph.node
        }
        if not names <= operators:
            continue
        values = [*model.graph.input, *model.graph.output]
        if not all(value.type.HasField("tensor_type") for value in values):
            continue
        for number, (inputs, outputs) in enumerate(case.data_sets):
            path = folder / (case.name if number == 0 else f"{case.name}-{number}")
            path.mkdir(parents=True)
            (path / "model.onnx").write_bytes(model.SerializeToString())
            for kind, arrays, infos in (
                ("input", inputs, model.graph.input),
                ("output", outputs, model.graph.output),
            ):
                for i, (array, info) in enumerate(zip(arrays, infos, strict=True)):
                    proto = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(array)
                    proto.name = info.name
                    (path / f"{kind}_{i}.pb").write_bytes(proto.SerializeToString())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), set(sys.argv[2:]))
