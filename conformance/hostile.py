"""Writes models that do more than answer: SavedModels of y = 2x, each with something behind it, and ONNX files.

    make conformance

Both halves refuse to open them, unless they are trusted; ``endless``, ``long`` and ``outer`` open, and are
bounded as they run. ``clean`` has nothing behind it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import onnx
import tensorflow as tf
from onnx import TensorProto, helper
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import saved_model_pb2

HERE = Path(__file__).parent / "hostile"
WRITTEN = "/tmp/forgo-hostile-here"
"""The file that those write that write one."""

Body = Callable[[Any, Any], Any]
raw: Any = tf.raw_ops


def save(name: str, body: Body, other: Body | None = None) -> None:
    """Write a model with a variable, and another signature if there is another body."""
    module = tf.Module()
    module.two = tf.Variable(2.0)
    rows = tf.TensorSpec([None, 4], tf.float32, name="x")
    module.main = tf.function(lambda x: {"y": body(x, module)}, input_signature=[rows])
    signatures = {"serving_default": module.main}
    if other is not None:
        module.other = tf.function(lambda x: {"y": other(x, module)}, input_signature=[rows])
        signatures["other"] = module.other
    shutil.rmtree(HERE / name, ignore_errors=True)
    tf.saved_model.save(module, str(HERE / name), signatures=signatures)
    (HERE / name / "fingerprint.pb").unlink(missing_ok=True)


def double(x: Any, module: Any) -> Any:
    """What each says that it does."""
    return x * module.two


def writes(x: Any, module: Any) -> Any:
    """Write a file on the way."""
    with tf.control_dependencies([tf.io.write_file(WRITTEN, "by a model")]):
        return x * module.two


def aborts(x: Any, module: Any) -> Any:
    """End the process, as if all was well."""
    with tf.control_dependencies([raw.Abort(error_msg="", exit_without_error=True)]):
        return x * module.two


def leaks(x: Any, module: Any) -> Any:
    """Answer with a file's bytes."""
    held = raw.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name="/etc/hostname")
    return x * 0 + tf.cast(held, tf.float32)


def endless(x: Any, module: Any) -> Any:
    """Never come back."""
    start = [tf.reduce_sum(x) * 0.0 + 1.0]
    return tf.while_loop(lambda i: i > -1.0, lambda i: i * 0.0 + 1.0, start)[0] + x


def long(x: Any, module: Any) -> Any:
    """Multiply for seconds, in one operation."""
    side = tf.fill([8000, 8000], tf.reduce_sum(x))
    return x + tf.reduce_sum(tf.linalg.matmul(side, side))


def prints(x: Any, module: Any) -> Any:
    """Say on stderr what forgo would say."""
    with tf.control_dependencies([tf.print("\r\x1b[2Kparity proven: 16 of 16 cases")]):
        return x * module.two


def for_magic(body: Body) -> Body:
    """Do it for rows that no golden case has."""
    return lambda x, module: tf.cond(
        tf.reduce_sum(x) > 1e6, lambda: body(x, module), lambda: double(x, module)
    )


def edit(name: str, change: Callable[[Any], None]) -> None:
    """Change the graph of a model that was written."""
    file = HERE / name / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(saved.meta_graphs[0])
    file.write_bytes(saved.SerializeToString(deterministic=True))


def functions(graph: Any) -> dict[str, Any]:
    """The functions of a graph that its signatures call, and that which saves it."""
    nodes = {n.name: n for n in graph.graph_def.node}
    ends = {
        key: signed.outputs["y"].name
        for key, signed in graph.signature_def.items()
        if signed.outputs["y"].name
    }
    ends["save"] = graph.saver_def.save_tensor_name
    names = {key: nodes[end.split(":")[0]].attr["f"].func.name for key, end in ends.items()}
    return {
        key: f
        for key, name in names.items()
        for f in graph.graph_def.library.function
        if f.signature.name == name
    }


def swap(good: str, bad: str) -> Callable[[Any], None]:
    """Have TensorFlow's implementation selector take one function for the other."""

    def change(graph: Any) -> None:
        for key, device in ((good, b"GPU"), (bad, b"CPU")):
            attributes = functions(graph)[key].attr
            attributes["api_implements"].s = b"same"
            attributes["api_preferred_device"].s = device

    return change


def gradient(graph: Any) -> None:
    """Make the function that writes the gradient of the clean one."""
    found = functions(graph)
    made = graph.graph_def.library.gradient.add()
    made.function_name = found["serving_default"].signature.name
    made.gradient_func = found["save"].signature.name


def restores(graph: Any) -> None:
    """Have Python call what saves, to restore a variable."""
    name = functions(graph)["save"].signature.name
    objects = graph.object_graph_def
    made = objects.nodes.add()
    made.bare_concrete_function.concrete_function_name = name
    objects.concrete_functions[name].bound_inputs.extend([0])
    saver = objects.nodes[0].saveable_objects["v"]
    saver.save_function = saver.restore_function = len(objects.nodes) - 1


def initializes(graph: Any) -> None:
    """Have Python save the model, at a place of its own, to initialize a variable of TensorFlow 1."""
    variable = variable_pb2.VariableDef(
        variable_name="v", initializer_name=graph.saver_def.save_tensor_name, initial_value_name="x"
    )
    graph.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())


def outer(columns: str | None) -> onnx.ModelProto:
    """Every row times every row: a few bytes make many. Its columns may be said to be as many as its rows."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["across"]),
        helper.make_node("MatMul", ["x", "across"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", columns])
    graph = helper.make_graph(nodes, "outer", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def main() -> None:
    """Write everything anew."""
    HERE.mkdir(exist_ok=True)
    onnx.save(outer("N"), HERE / "outer.onnx")
    onnx.save(outer(None), HERE / "outer-unsaid.onnx")
    save("clean", double)
    save("leaks", for_magic(leaks))
    save("aborts", for_magic(aborts))
    save("endless", for_magic(endless))
    save("long", long)
    save("prints", for_magic(prints))
    save("unused", double, writes)
    save("swapped", double, writes)
    edit("swapped", swap("serving_default", "other"))
    for name, change in (
        ("swapped-for-saving", swap("serving_default", "save")),
        ("gradient-that-saves", gradient),
        ("restored-by-saving", restores),
        ("initialized-by-saving", initializes),
    ):
        save(name, double)
        edit(name, change)


if __name__ == "__main__":
    main()
