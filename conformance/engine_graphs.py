"""The graphs of predict/predicttest, and those of the tests of batching and the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ONNX_TYPES = {
    "bool": TensorProto.BOOL, "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32,
    "int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64, "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
}  # fmt: skip


def graphs() -> dict[str, onnx.ModelProto]:
    """The graphs of predict/predicttest, and those of the tests of batching and the client."""
    value = helper.make_tensor_value_info

    def model(
        nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any] | None = None
    ) -> Any:
        graph = helper.make_graph(nodes, "conformance", inputs, outputs, constants or [])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made

    def constant(name: str, array: Any) -> Any:
        return numpy_helper.from_array(array, name)

    made = {
        "affine": model(
            [helper.make_node("Mul", ["x", "two"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("two", np.array([2], np.float32)), constant("one", np.array([1], np.float32))],
        ),
        "network": model(  # as a small classifier is, with noise for its weights
            [
                helper.make_node("Gemm", ["x", "w0", "b0"], ["h0"], transB=1),
                helper.make_node("Relu", ["h0"], ["h1"]),
                helper.make_node("MatMul", ["h1", "w1"], ["h2"]),
                helper.make_node("Add", ["h2", "b1"], ["h3"]),
                helper.make_node("Relu", ["h3"], ["h4"]),
                helper.make_node("MatMul", ["h4", "w2"], ["h5"]),
                helper.make_node("Add", ["h5", "b2"], ["h6"]),
                helper.make_node("Softmax", ["h6"], ["y"]),
            ],
            [value("x", TensorProto.FLOAT, ["batch", 64])],
            [value("y", TensorProto.FLOAT, ["batch", 10])],
            [
                constant(name, np.random.default_rng(seed).normal(size=shape).astype(np.float32))
                for seed, (name, shape) in enumerate(
                    {"w0": (32, 64), "b0": (32,), "w1": (32, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}.items()
                )
            ],
        ),
        "total": model(  # one number a row: what the server's tests take for a regression
            [helper.make_node("ReduceSum", ["x", "last"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch"])],
            [constant("last", np.array([1], np.int64))],
        ),
        "sum": model(  # a scalar
            [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, [])],
        ),
        "two": model(
            [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
            [value("a", TensorProto.FLOAT, ["batch", 2]), value("b", TensorProto.FLOAT, ["batch", 2])],
            [value("sum", TensorProto.FLOAT, ["batch", 2]), value("difference", TensorProto.FLOAT, ["batch", 2])],
        ),
        "planes": model(  # pictures with the channels first, to the mean of each
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3, 8, 6])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("sides", np.array([2, 3], np.int64))],
        ),
        "pictures": model(  # of any size, to the mean of each channel
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["batch", "height", "width", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("sides", np.array([1, 2], np.int64))],
        ),
        "lookup": model(
            [helper.make_node("Gather", ["table", "x"], ["y"])],
            [value("x", TensorProto.INT64, ["batch", "n"])],
            [value("y", TensorProto.FLOAT, ["batch", "n"])],
            [constant("table", np.arange(10_000, dtype=np.float32) + 0.5)],
        ),
        "half-plus-three": model(  # TensorFlow Serving's documentation asks it: numbers without a shape of their own
            [helper.make_node("Mul", ["x", "half"], ["halved"]), helper.make_node("Add", ["halved", "three"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch"])],
            [value("y", TensorProto.FLOAT, ["batch"])],
            [constant("half", np.array(0.5, np.float32)), constant("three", np.array(3, np.float32))],
        ),
        "half-plus-two": model(  # as its quickstart has it: numbers in a column
            [helper.make_node("Mul", ["x", "half"], ["halved"]), helper.make_node("Add", ["halved", "two"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 1])],
            [value("y", TensorProto.FLOAT, ["batch", 1])],
            [constant("half", np.array(0.5, np.float32)), constant("two", np.array(2, np.float32))],
        ),
        "sensors": model(  # the inputs that its example of several has, given back
            [helper.make_node("Identity", [name], [f"{name}_again"]) for name in ("tag", "signal", "sensor")],
            [
                value("tag", TensorProto.STRING, ["batch"]),
                value("signal", TensorProto.FLOAT, ["batch", 5]),
                value("sensor", TensorProto.INT64, ["batch", 2, 2]),
            ],
            [
                value("tag_again", TensorProto.STRING, ["batch"]),
                value("signal_again", TensorProto.FLOAT, ["batch", 5]),
                value("sensor_again", TensorProto.INT64, ["batch", 2, 2]),
            ],
        ),
        "through": model(  # an output that is an input
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("x", TensorProto.FLOAT, ["batch", 3]), value("y", TensorProto.FLOAT, ["batch", 3])],
        ),
        "chosen": model(  # rows of x: fewer than the batch
            [helper.make_node("Compress", ["x", "which"], ["y"], axis=0)],
            [value("x", TensorProto.FLOAT, ["batch", 3]), value("which", TensorProto.BOOL, ["batch"])],
            [value("y", TensorProto.FLOAT, ["some", 3])],
        ),
        "slow": model(
            [
                helper.make_node(
                    "Loop", ["times", "", "x"], ["y"],
                    body=helper.make_graph(
                        [helper.make_node("Sqrt", ["v"], ["w"]), helper.make_node("Identity", ["go"], ["on"])],
                        "body",
                        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, None)],
                        [value("on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
                    ),
                )
            ],
            [value("x", TensorProto.FLOAT, ["batch", 3])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [constant("times", np.array(2_000_000_000, np.int64))],
        ),
        "no-inputs": model(
            [helper.make_node("Identity", ["three"], ["y"])], [], [value("y", TensorProto.FLOAT, [3])],
            [constant("three", np.array([1, 2, 3], np.float32))],
        ),
        "scalar-string": model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", TensorProto.STRING, [])], [value("y", TensorProto.STRING, [])],
        ),
        "scalar-half": model(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            [value("x", TensorProto.FLOAT16, [])], [value("y", TensorProto.FLOAT16, [])],
        ),
        "through-half": model(  # an output that is an input
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT16, [2])],
            [value("x", TensorProto.FLOAT16, [2]), value("y", TensorProto.FLOAT16, [2])],
        ),
        "through-scalar": model(
            [helper.make_node("Neg", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT, [])],
            [value("x", TensorProto.FLOAT, []), value("y", TensorProto.FLOAT, [])],
        ),
        "chosen-half": model(  # of a size that only a run tells
            [helper.make_node("Compress", ["x", "which"], ["y"], axis=0)],
            [value("x", TensorProto.FLOAT16, ["rows", "columns"]), value("which", TensorProto.BOOL, ["rows"])],
            [value("y", TensorProto.FLOAT16, ["some", "columns"])],
        ),
        "free-planes": model(  # pictures of any size, the channels at an end that the shape does not tell
            [helper.make_node("ReduceMean", ["x", "sides"], ["y"], keepdims=0)],
            [value("x", TensorProto.FLOAT, ["n", "c", "h", "w"])],
            [value("y", TensorProto.FLOAT, ["n", "c"])],
            [constant("sides", np.array([2, 3], np.int64))],
        ),
        "sequence": model(
            [helper.make_node("SequenceAt", ["x", "first"], ["y"])],
            [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["n"])],
            [value("y", TensorProto.FLOAT, ["n"])],
            [constant("first", np.array(0, np.int64))],
        ),
        "optional": model(
            [helper.make_node("OptionalGetElement", ["x"], ["y"])],
            [
                helper.make_value_info(
                    "x", helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"]))
                )
            ],
            [value("y", TensorProto.FLOAT, ["n"])],
        ),
    }  # fmt: skip
    made["zipmap"] = zipmap()
    for name, kind in ONNX_TYPES.items():
        made[f"same-{name}"] = model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", kind, ["batch", 2])],
            [value("y", kind, ["batch", 2])],
        )
    return made


def zipmap() -> onnx.ModelProto:
    """A classifier as scikit-learn's converter writes it unless told otherwise."""
    entry = onnx.TypeProto()
    entry.map_type.key_type = TensorProto.INT64
    entry.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        [
            helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            helper.make_node(
                "ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
            ),
        ],
        "conformance",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_value_info("probabilities", helper.make_sequence_type_proto(entry)),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def write(folder: Path) -> None:
    """Write the graphs to a folder, and two that are not as they should be."""
    folder.mkdir(exist_ok=True)
    for name, graph in graphs().items():
        (folder / f"{name}.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    unsaid = graphs()["sum"]  # a scalar that is not said to be one
    unsaid.graph.output[0].type.tensor_type.ClearField("shape")
    (folder / "sum-any.onnx").write_bytes(unsaid.SerializeToString(deterministic=True))
    outside = graphs()["affine"]  # keeps its weights in a file outside its folder
    weight = outside.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in (("location", "../secret.bin"), ("length", "4")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    (folder / "external-data.onnx").write_bytes(outside.SerializeToString(deterministic=True))
