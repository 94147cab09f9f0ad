"""An existing ONNX file as a trained model: ONNX Runtime answers, its optimizations off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from forgo import _onnxruntime
from forgo._errors import ExportError, argument
from forgo.exporting import _zipmap
from forgo.exporting._arrays import strings, typed
from forgo.exporting._batches import SINGLE, in_parts
from forgo.exporting._graph import channels_last
from forgo.exporting._model import STRING, UNNAMED, Arrays, OnnxOnly, TensorInfo
from forgo.exporting._tensorflow import logical_name

_PICTURE_TYPES = ("float32", "float16")
TYPES = {
    number: np.dtype(helper.tensor_dtype_to_np_dtype(number)).name
    for number in (
        TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8,
        TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64, TensorProto.FLOAT16, TensorProto.FLOAT,
        TensorProto.DOUBLE,
    )
} | {TensorProto.STRING: STRING}  # fmt: skip

Shape = tuple[int | None, ...] | None
"""None means any rank."""


class OnnxFile(OnnxOnly):
    """A graph in ONNX, written as it came, except for ZipMap and the names of its inputs and outputs.

    Args:
        model: the graph.
        file: where it came from, for messages.
        outputs: the names of the outputs to keep, in order.
        labels: a classifier's labels. An output that can hold their probabilities comes first.
    """

    own_answers = True
    """Its answers come from the exported graph, not from a framework."""

    def __init__(
        self,
        model: onnx.ModelProto,
        file: Path,
        *,
        outputs: list[str] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.framework = f"onnxruntime {_onnxruntime.VERSION}"
        self._file = file
        self._model, self._maps = _zipmap.take_out(model, file)
        graph = self._model.graph
        initialized = {i.name for i in graph.initializer} | {i.values.name for i in graph.sparse_initializer}
        ins = [i for i in graph.input if i.name not in initialized]
        if not ins:
            raise ExportError(f"{file}: the graph has no inputs, so there is nothing to prove")
        outs = _wanted(file, list(graph.output), outputs)
        for v in outs:
            _zipmap.check(file, v.name, self._maps.get(v.name, []))
        names = _unique([v.name for v in [*ins, *outs]])
        self._ins = [(v.name, *_tensor(file, v)) for v in ins]
        self._outs = [(v.name, *_tensor(file, v)) for v in outs]
        if outputs is None:
            self._outs = _probabilities_first(self._outs, labels, list(self._maps))
        if scalar := [n for n, kind, shape in self._ins if kind == STRING and shape == ()]:
            raise ExportError(
                f"{file}: {scalar[0]!r} is a scalar string, which ONNX Runtime does not take from Python: give it the shape [1]"
            )
        self.batch = self._batch()
        self.inputs = [self._end(names[n], kind, shape) for n, kind, shape in self._ins]
        self._names = names
        self._first_channels: str | None = None
        self.provenance: Mapping[str, Any] = {"onnx": _said(model)}
        try:
            self._session = _onnxruntime.session(model.SerializeToString(), optimize=False)
        except Exception as e:  # the library's exceptions have no common base
            raise ExportError(f"{file}: ONNX Runtime refuses it: {first_line(e)}") from None
        self.outputs = [self._end(names[n], kind, shape) for n, kind, shape in self._outs]

    def _batch(self) -> int | None:
        shapes = [shape for _, _, shape in self._ins]
        if any(shape == () for shape in shapes):
            return SINGLE
        sizes = {shape[0] for shape in shapes if shape}
        if None in sizes and len(sizes) == 1:
            return None
        return sizes.pop() if len(sizes) == 1 else SINGLE

    def _end(self, name: str, kind: str, shape: Shape) -> TensorInfo:
        if shape is None:
            return TensorInfo(name, kind, (None,))  # the examples settle it
        if self.batch == SINGLE:
            return TensorInfo(name, kind, (None, *shape))
        return TensorInfo(name, kind, (None, *shape[1:]))

    def settle(self, rows: Arrays | None) -> None:
        """Learn shapes that the file leaves open, or gives wrongly, from its answers to the first rows.

        Raises:
            ExportError: an output does not have a row for each input row.
        """
        open_ = [e for e, (_, _, shape) in zip(self.inputs, self._ins, strict=True) if shape is None]
        row_of = {e.name: (rows or {}).get(e.name, (rows or {}).get(UNNAMED)) for e in self.inputs}
        for info in open_:
            row = row_of[info.name]
            if row is None:
                raise ExportError(
                    f"{self._file}: {info.name!r} takes tensors of any rank: give examples, which fix the rank"
                )
            at = self.inputs.index(info)
            self.inputs[at] = replace(info, shape=(None,) * (row.ndim or 1))
        try:
            first = {e.name: typed(row_of[e.name][:2], e.dtype) for e in self.inputs}  # type: ignore[index]
        except (TypeError, ValueError):
            return  # the check of the examples says more
        if any(len(a) == 0 for a in first.values()):
            return
        count = min(len(a) for a in first.values())
        try:
            answers = self.predict({name: a[:count] for name, a in first.items()})
        except ExportError:
            return  # the check of the examples, or the export, says more
        for i, info in enumerate(self.outputs):
            got = answers[info.name]
            if got.ndim == 0 or len(got) != count:
                raise ExportError(
                    f"{self._file}: the output {info.name!r} has the shape {list(got.shape)} for {count} rows, but every output "
                    f"needs a row for each row: choose others with {argument('outputs')}"
                )
            sizes = info.shape if len(info.shape) == got.ndim else (None,) * got.ndim
            told = tuple(
                None if s is not None and s != have else s for s, have in zip(sizes, got.shape, strict=True)
            )
            self.outputs[i] = replace(info, shape=(None, *told[1:]))

    def take_pictures(self, name: str) -> None:
        """Make the picture input take channels last, in float32, as preprocessing gives them."""
        alone = len(self.inputs) == 1
        for i, info in enumerate(self.inputs):
            s = info.shape
            if len(s) != 4 or not (alone or info.name == name) or info.dtype not in _PICTURE_TYPES:
                continue
            first = s[3] not in (1, 3) and s[1] in (1, 3)
            if first or info.dtype != "float32":
                self._first_channels = info.name if first else None
                self._half = info.name if info.dtype != "float32" else None
                self.inputs[i] = TensorInfo(info.name, "float32", (None, s[2], s[3], s[1]) if first else s)

    _half: str | None = None

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with ONNX Runtime, its optimizations off."""
        feeds = dict(inputs)
        if self._first_channels is not None:
            feeds[self._first_channels] = feeds[self._first_channels].transpose(0, 3, 1, 2)
        if self._half is not None:
            feeds[self._half] = feeds[self._half].astype(np.float16)
        return in_parts(self._run, feeds, self.batch)

    def _run(self, inputs: Arrays) -> Arrays:
        fed = {}
        for (name, kind, _), info in zip(self._ins, self.inputs, strict=True):
            array = np.asarray(inputs[info.name], order="C")
            fed[name] = strings(array) if kind == STRING else array
        try:
            answers = self._session.run([name for name, _, _ in self._outs], fed)
        except Exception as e:
            raise ExportError(f"{self._file}: ONNX Runtime cannot run it: {first_line(e)}") from None
        made: Arrays = {}
        for (name, kind, _), info, a in zip(self._outs, self.outputs, answers, strict=True):
            labels = self._maps.get(name)
            made[info.name] = (
                _zipmap.rows(a, labels) if labels else typed(a, STRING) if kind == STRING else np.asarray(a)
            )
        return made

    @property
    def labels(self) -> list[str] | None:
        """The labels of the first output, if ZipMap gave them."""
        labels = self._maps.get(self._outs[0][0])
        return [str(label) for label in labels] if labels else None

    def to_onnx(self) -> onnx.ModelProto:
        """The graph as it came, with the chosen outputs, and the layout of pictures before it."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        kept = {o.name: o for o in model.graph.output}
        wanted = [onnx.ValueInfoProto.FromString(kept[n].SerializeToString()) for n, _, _ in self._outs]
        del model.graph.output[:]
        model.graph.output.extend(wanted)
        for (inside, _, _), info in zip(self._ins, self.inputs, strict=True):
            if info.name in (self._first_channels, self._half):
                channels_last(
                    model.graph, inside, info,
                    turned=info.name == self._first_channels, half=info.name == self._half,
                )  # fmt: skip
        return model


def _wanted(file: Path, have: list[Any], names: list[str] | None) -> list[Any]:
    if names is None:
        return have
    found = []
    for name in names:
        of = [v for v in have if name in (v.name, logical_name(v.name))]
        if not of:
            raise ExportError(f"{file}: it has no output {name!r}, only {', '.join(v.name for v in have)}")
        found.append(of[0])
    return found


def _unique(names: list[str]) -> dict[str, str]:
    """Names that clients can use, by the graph's names."""
    made: dict[str, str] = {}
    for name in dict.fromkeys(names):
        new = base = logical_name(name)[:120]
        number = 1
        while new in made.values():
            number += 1
            new = f"{base}_{number}"
        made[name] = new
    return made


def _tensor(file: Path, value: Any) -> tuple[str, Shape]:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ExportError(
            f"{file}: {value.name!r} is a {str(kind or 'value without a type').removesuffix('_type')}, not a tensor: choose others with {argument('outputs')}"
        )
    tensor = value.type.tensor_type
    if tensor.elem_type not in TYPES:
        named = (
            TensorProto.DataType.Name(tensor.elem_type)
            if tensor.elem_type in TensorProto.DataType.values()
            else "?"
        )
        raise ExportError(
            f"{file}: {value.name!r} is a tensor of {named.lower()}, which bundles do not support: cast it to "
            "float32 in the graph"
        )
    if not tensor.HasField("shape"):
        return TYPES[tensor.elem_type], None
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim]
    return TYPES[tensor.elem_type], tuple(sizes)


def _probabilities_first(outs: list[Any], labels: list[str] | None, mapped: list[str]) -> list[Any]:
    """A classifier's outputs, with the one that can hold its labels' probabilities first.

    Args:
        outs: the outputs.
        labels: the user's, if any.
        mapped: the outputs of ZipMap.
    """
    if len(mapped) == 1:
        return sorted(outs, key=lambda o: o[0] not in mapped)
    if labels is None:
        return outs

    def fits(shape: Shape) -> bool:
        return shape is not None and len(shape) == 2 and shape[1] in (None, len(labels))

    fitting = [o for o in outs if o[1] in ("float32", "float64") and fits(o[2])]
    if len(fitting) != 1 or fitting[0] is outs[0]:
        return outs
    return [fitting[0], *(o for o in outs if o is not fitting[0])]


def _said(model: onnx.ModelProto) -> dict[str, Any]:
    """What a file says about its origin."""
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return {
        **({"producer": producer[:200]} if producer else {}),
        "ir_version": model.ir_version,
        "opsets": {o.domain or "ai.onnx": o.version for o in model.opset_import},
    }


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
