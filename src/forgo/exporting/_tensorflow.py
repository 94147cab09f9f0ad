"""Models that TensorFlow can trace, as ONNX and as a SavedModel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx

from forgo.exporting._batches import inner_shape
from forgo.exporting._model import SavedGraph, TensorInfo

SIGNATURE = "serving_default"
OLD_NAMES = ("input_1", "inferenceLayer/Softmax")
"""The names that forgo's predecessor gave every model's input and output."""


class Traceable:
    """A model that TensorFlow can call: the part of ``Trained`` that such adapters share."""

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    operations: dict[str, str]
    """The names of operations in a SavedModel, by logical name; a missing one has the logical name."""
    batch: int | None = None
    """How many rows the graph takes at once: see forgo.exporting._batches."""
    provenance: Mapping[str, Any] = MappingProxyType({})
    softmax = False
    """Whether the first output is the softmax of the second."""

    def use_old_names(self) -> None:
        """Name operations as older programs expect: see OLD_NAMES."""
        if len(self.inputs) == 1:
            self.operations[self.inputs[0].name] = OLD_NAMES[0]
        if self.outputs[0].name in self.operations:  # a softmax
            self.operations[self.outputs[0].name] = OLD_NAMES[1]

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        raise NotImplementedError

    def tracked(self) -> Any:
        """The object that holds the model's variables and tables."""
        raise NotImplementedError

    def _trace(self, named: bool = False) -> Any:
        import tensorflow as tf

        signature = [
            tf.TensorSpec(inner_shape(e.shape, self.batch), e.dtype, name=e.name) for e in self.inputs
        ]

        @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
        def answer(*values: Any) -> Any:
            answers = self.call(*values)
            return dict(zip([e.name for e in self.outputs], answers, strict=True)) if named else answers

        return answer

    def to_onnx(self) -> onnx.ModelProto:
        """Convert to ONNX; see :mod:`forgo.exporting._convert`."""
        from forgo.exporting._convert import convert

        return convert(self._trace().get_concrete_function())

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Write a SavedModel into a new folder.

        If the model holds only variables, its graph is flat, as TensorFlow 1 wrote it:
        inputs and outputs are operations with stable names. Tables need TensorFlow 2's form.
        """
        concrete = self._trace().get_concrete_function()
        variables = {id(v.handle): v for v in concrete.graph.variables}
        if all(id(v) in variables or v.dtype.name != "resource" for v, _ in concrete.graph.captures):
            self._write_flat(concrete, variables, folder, tags)
        else:
            self._write_functions(folder, tags)
        return SavedGraph(tags, SIGNATURE)

    def _write_flat(self, concrete: Any, variables: dict[int, Any], folder: Path, tags: list[str]) -> None:
        import tensorflow as tf

        v1 = tf.compat.v1
        held = [
            outside.numpy() if id(outside) not in variables else variables[id(outside)].numpy()
            for outside, _ in concrete.graph.captures
        ]
        results = [t.name for t in concrete.outputs]
        if self.softmax:
            results = results[1:]
        with tf.Graph().as_default(), v1.Session() as session:
            inputs = {
                e.name: v1.placeholder(inside.dtype, inside.shape, name=self._operation(e))
                for e, inside in zip(self.inputs, concrete.inputs, strict=False)
            }
            fed = dict(zip([t.name for t in concrete.inputs], inputs.values(), strict=False))
            for (outside, inside), value in zip(concrete.graph.captures, held, strict=True):
                if id(outside) not in variables:
                    fed[inside.name] = tf.constant(value)
                    continue
                name = variables[id(outside)].name.split(":")[0]
                variable = v1.Variable(tf.zeros(value.shape, value.dtype), name=name, use_resource=True)
                # Fed, because the graph would keep a constant beside the variable.
                session.run(variable.initializer, {variable.initializer.inputs[1]: value})
                fed[inside.name] = variable.handle
            body = v1.graph_util.extract_sub_graph(
                concrete.graph.as_graph_def(), [name.split(":")[0] for name in results]
            )
            inner = [n for n in body.node if f"{n.name}:0" not in fed]
            used = {name for n in inner for name in n.input}
            del body.node[:]
            body.node.extend(inner)
            answers = tf.import_graph_def(
                body,
                {k: v for k, v in fed.items() if k in used or k.removesuffix(":0") in used},
                results,
                name="model",
            )
            if self.softmax:
                answers.insert(0, tf.nn.softmax(answers[0], name=self._operation(self.outputs[0])))
            else:
                answers = [
                    tf.identity(a, name=self._operation(e))
                    for e, a in zip(self.outputs, answers, strict=True)
                ]
            outputs = dict(zip([e.name for e in self.outputs], answers, strict=True))
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session,
                tags,
                signature_def_map={SIGNATURE: v1.saved_model.predict_signature_def(inputs, outputs)},
                strip_default_attrs=True,
            )
            builder.save()

    def _write_functions(self, folder: Path, tags: list[str]) -> None:
        import tensorflow as tf
        from tensorflow.core.protobuf import saved_model_pb2

        module = tf.Module()
        module.answer = self._trace(named=True)
        concrete = module.answer.get_concrete_function()
        # Only what the graph reads: for a Keras 3 model TensorFlow would save copies of the
        # variables instead, and restore those.
        read = {id(outside) for outside, _ in concrete.graph.captures}
        module.held = list(concrete.graph.variables)
        module.tables = [
            d
            for d in tf.train.TrackableView(self.tracked()).descendants()
            if isinstance(d, tf.saved_model.experimental.TrackableResource) and id(d.resource_handle) in read
        ]
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: concrete})
        file = folder / "saved_model.pb"
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        saved.meta_graphs[0].meta_info_def.tags[:] = tags
        file.write_bytes(saved.SerializeToString(deterministic=True))

    def _operation(self, info: TensorInfo) -> str:
        return self.operations.get(info.name, info.name)


def logical_name(name: str) -> str:
    """A graph's name, changed to one that clients can use."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"
