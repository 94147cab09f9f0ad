"""SavedModels as TensorFlow Serving's own examples and tests have them, in the forms of TensorFlow 1 and 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def half_plus_two(path: Path, *, references: bool = False) -> Path:
    """TensorFlow 1: y = x / 2 + 2, three outputs behind six signatures; x is parsed out of a tf.Example.

    With references its variables are of the kind that TensorFlow 1 had first, as in TensorFlow Serving's own copy.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        a, b, c = (
            v1.Variable(value, name=name, use_resource=not references)
            for name, value in (("a", 0.5), ("b", 2.0), ("c", 3.0))
        )
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        features = {
            "x": tf.io.FixedLenFeature([1], tf.float32),
            "x2": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        }
        parsed = tf.io.parse_example(serialized, features)
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(tf.multiply(a, x), b, name="y")
        y2 = tf.add(tf.multiply(a, x), c, name="y2")
        x2 = tf.identity(parsed["x2"], name="x2")
        y3 = tf.add(tf.multiply(a, x2), c, name="y3")
        saved = v1.saved_model
        info = saved.build_tensor_info

        def regress(given: Any, answer: Any) -> Any:
            return saved.build_signature_def(
                {"inputs": info(given)},
                {"outputs": info(answer)},
                saved.signature_constants.REGRESS_METHOD_NAME,
            )

        def classify(given: Any, answer: Any) -> Any:
            return saved.build_signature_def(
                {"inputs": info(given)},
                {"scores": info(answer)},
                saved.signature_constants.CLASSIFY_METHOD_NAME,
            )

        session.run(v1.global_variables_initializer())
        builder = saved.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "classify_x_to_y": classify(serialized, y),
                "classify_x2_to_y3": classify(x2, y3),
                "serving_default": saved.predict_signature_def({"x": x}, {"y": y}),
                "regress_x_to_y": regress(serialized, y),
                "regress_x_to_y2": regress(serialized, y2),
                "regress_x2_to_y3": regress(x2, y3),
            },
        )
        builder.save()
    return path


def half_plus_three(path: Path) -> Path:
    """TensorFlow 2: y = x / 2 + 3 of a tensor of any shape."""
    import tensorflow as tf

    module = tf.Module()
    module.a, module.b = tf.Variable(0.5), tf.Variable(3.0)
    module.answer = tf.function(
        lambda x: {"y": module.a * x + module.b}, input_signature=[tf.TensorSpec(None, tf.float32, name="x")]
    )
    tf.saved_model.save(module, str(path), signatures=module.answer)
    return path


def halved_scalar(path: Path) -> Path:
    """TensorFlow 1: y = x / 2 + 3 of one number without a batch."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [], "x")
        y = tf.add(v1.Variable(0.5, name="a") * x, 3.0, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})
    return path


def counter(path: Path) -> Path:
    """TensorFlow 1: a number that calls raise; what is answered depends on what was asked before."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        value = v1.Variable(0.0, name="counter", use_resource=True)
        delta = v1.placeholder(tf.float32, [], "delta")
        with tf.control_dependencies([value.assign_add(delta)]):
            answer = tf.identity(value.read_value(), name="output")
        info = v1.saved_model.build_tensor_info

        def signature(inputs: dict[str, Any], output: Any) -> Any:
            return v1.saved_model.build_signature_def(
                {name: info(t) for name, t in inputs.items()},
                {"output": info(output)},
                "tensorflow/serving/predict",
            )

        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "get_counter": signature({}, tf.identity(value.read_value(), name="now")),
                "incr_counter_by": signature({"delta": delta}, answer),
            },
        )
        builder.save()
    return path


def mnist(path: Path, batch: int | None = None) -> Path:
    """TensorFlow 1: softmax regression of 784 pixels, its signature named predict_images."""
    import tensorflow as tf

    v1 = tf.compat.v1
    generator = np.random.default_rng(5)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [batch, 784], "x")
        weights = v1.Variable(generator.normal(size=(784, 10)).astype(np.float32) / 10, name="weights")
        scores = tf.nn.softmax(tf.matmul(x, weights) + v1.Variable(tf.zeros([10])), name="y")
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"images": x}, {"scores": scores})
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"predict_images": signature}
        )
        builder.save()
    return path


def typed_sum(path: Path, dtype: str) -> Path:
    """TensorFlow 2: x + 1 of rows of a type."""
    import tensorflow as tf

    module = tf.Module()
    module.answer = tf.function(
        lambda x: {"y": x + 1}, input_signature=[tf.TensorSpec([None, 3], dtype, name="x")]
    )
    tf.saved_model.save(module, str(path), signatures=module.answer)
    return path
