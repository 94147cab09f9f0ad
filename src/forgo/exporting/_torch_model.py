"""A PyTorch module or program as the export sees it: its inputs, its answers, its graph."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch.utils import _pytree

from forgo._errors import ExportError
from forgo.exporting import _torch_program, _torch_sizes
from forgo.exporting._batches import in_parts
from forgo.exporting._golden import difference
from forgo.exporting._graph import channels_last
from forgo.exporting._model import UNNAMED, Arrays, OnnxOnly, TensorInfo
from forgo.exporting._tensorflow import logical_name
from forgo.exporting._torch_program import first_line

if TYPE_CHECKING:
    from forgo.exporting._pipeline import Request

_HALF = (torch.float16, torch.bfloat16)
_MOST = 0.05
"""How far a model cast to float32 may answer from the one in half precision: rounding, not another model."""
_ROWS = 64
"""How many rows a module is asked at once."""
_TRIED = 3
_SEEDS = itertools.count()
_STEADY = 1e-5
"""How far two answers to the same rows may be apart: threads add up in another order each time."""
_DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.int32: "int32", torch.int16: "int16",
    torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool",
}  # fmt: skip
Samples = Mapping[str, tuple[npt.NDArray[Any], bool]]


@dataclass(frozen=True)
class Input:
    """One input of a module: its name in forward, and its name for clients."""

    parameter: str
    info: TensorInfo
    picture: bool = False
    """Whether the module takes it channels first, where clients' pictures have them last."""

    def tensor(self, array: npt.NDArray[Any]) -> Any:
        """What the module takes, which may change it."""
        return torch.tensor(array.transpose(0, 3, 1, 2) if self.picture else array)


class TorchModel(OnnxOnly):
    """A module with its graph, which answers by itself.

    Args:
        given: the inputs.
        ask: answers tensors, in the order of the inputs, with tensors and others in whatever structure.
        graph: of the same inputs and outputs, as the exporter made it.
        notes: what there is to say.
        provenance: what the manifest has of it.
    """

    def __init__(
        self,
        given: list[Input],
        ask: Any,
        notes: list[str],
        provenance: Mapping[str, Any],
        batch: int | None = None,
    ) -> None:
        self.framework = f"torch {torch.__version__}"
        self.given, self._ask, self.batch = given, ask, batch
        self.inputs = [i.info for i in given]
        self.notes, self.provenance = notes, provenance
        self.outputs: list[TensorInfo] = []

    def take(self, graph: onnx.ModelProto, outputs: list[str]) -> None:
        """Take the graph, whose outputs have these names."""
        self._graph = graph
        taken = {e.name for e in self.inputs}
        for value, name in zip(graph.graph.output, outputs, strict=True):
            name = f"{name}_out" if name in taken else name
            taken.add(name)
            kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
            dims = value.type.tensor_type.shape.dim
            shape = [d.dim_value if d.HasField("dim_value") else None for d in dims]
            self.outputs.append(TensorInfo(name, kind, (None, *shape[1:])))

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with PyTorch itself."""
        return in_parts(self._predict, inputs, self.batch)

    def _predict(self, inputs: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, count, _ROWS):
            rows = [i.tensor(np.asarray(inputs[i.info.name][start : start + _ROWS])) for i in self.given]
            parts.append([a for _, a in self._ask(rows)])
        joined = [np.concatenate(of) for of in zip(*parts, strict=True)]
        return {e.name: a for e, a in zip(self.outputs, joined, strict=True)}

    def to_onnx(self) -> onnx.ModelProto:
        """The graph, with the layout of pictures before it."""
        model = onnx.ModelProto()
        model.CopyFrom(self._graph)
        names = [v.name for v in model.graph.input]
        for name, i in zip(names, self.given, strict=True):
            if i.picture:
                channels_last(model.graph, name, i.info)
        return model


def named(answer: Any) -> list[tuple[str, npt.NDArray[Any]]]:
    """A module's tensors, in order, each with a name: of a dict its keys, of anything else its place.

    Raises:
        ExportError: there are none, or others beside them.
    """
    found = []
    leaves, _ = _pytree.tree_flatten_with_path(answer)
    for path, leaf in leaves:
        name = _torch_program.name_of(path)
        if leaf is None:
            continue
        if not isinstance(leaf, torch.Tensor):
            raise ExportError(
                f"the model's output {name!r} is a {type(leaf).__name__}, not a tensor: leave it out of what forward returns"
            )
        if leaf.dtype not in _DTYPES:
            kind = str(leaf.dtype).removeprefix("torch.")
            raise ExportError(
                f"the model's output {name!r} is {kind}, which a bundle of a PyTorch model cannot hold: cast it to float32"
            )
        found.append((name, leaf.detach().cpu().numpy()))
    if not found:
        raise ExportError(f"the model returns a {type(answer).__name__} without tensors")
    return found


@contextmanager
def asked(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule is in the mode that it was in."""
    modes = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(next(_SEEDS))  # another each time, so that random answers show
            yield
    finally:
        for module, training in modes:
            module.training = training


def _asking(model: Any, call: Any) -> Any:
    def ask(tensors: list[Any]) -> list[tuple[str, npt.NDArray[Any]]]:
        try:
            with asked(model), _torch_program.quiet():
                answer = call(tensors)
        except Exception as e:  # whatever the module's own code raises
            raise ExportError(
                f"the model fails on the examples: {type(e).__name__}: {first_line(e)}"
            ) from None
        return named(answer)

    return ask


def parameters(model: Any) -> tuple[list[str], list[str]]:
    """What forward calls its inputs, and which of them it needs.

    Raises:
        ExportError: it does not name them.
    """
    model = _unwrapped(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ExportError("a TorchScript module cannot be exported: give the nn.Module that it was made of")
    found = list(inspect.signature(model.forward).parameters.values())
    listed = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not listed and [p for p in found if p.kind == p.VAR_POSITIONAL]:
        return ["input"], ["input"]
    if not listed:
        raise ExportError(f"{type(model).__name__}.forward takes no inputs")
    return [p.name for p in listed], [p.name for p in listed if p.default is p.empty]


def _unwrapped(model: Any) -> Any:
    """The module itself, of torch.compile's and of DataParallel's."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _call(model: Any, names: list[str]) -> Any:
    """Call forward with tensors, in order, of parameters with these names."""
    kinds = inspect.signature(model.forward).parameters
    plain = [n for n in names if n not in kinds or kinds[n].kind == inspect.Parameter.POSITIONAL_ONLY]

    def split(tensors: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        by = dict(zip(names, tensors, strict=True))
        return tuple(by[n] for n in plain), {n: t for n, t in by.items() if n not in plain}

    return split


def of_module(model: Any, samples: Samples, request: Request) -> TorchModel:
    """A module in memory, with rows for each of its inputs.

    Raises:
        ExportError: it cannot be asked, or becomes no graph.
    """
    model = _unwrapped(model)
    notes: list[str] = []
    if any(m.training for m in model.modules()):
        notes.append(
            "the model was in training mode; it is exported in evaluation mode: dropout does nothing, batch norm takes its "
            "running statistics"
        )
    single, provenance = _in_float32(model, samples, notes)
    dtype = torch.float64 if _floating(single) == {torch.float64} else torch.float32
    names = list(samples)
    split = _call(single, names)
    ask = _asking(single, lambda tensors: (lambda a, k: single(*a, **k))(*split(tensors)))
    arrays = _typed(samples, dtype, ask)
    for array in arrays:
        if not len(array):
            raise ExportError("examples: there are no rows")
    first = _torch_sizes.rows(arrays)
    _by_row(first, ask)
    pictures = [p for _, p in samples.values()]
    groups = [] if request.table else _torch_sizes.free(first, ask, pictures)
    graph, groups, said = _torch_sizes.convert(single, split, first, ask, groups, request.tolerance)
    notes += said
    given = []
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        shape = [None if any((i, d) in g for g in groups) else s for d, s in enumerate(array.shape)]
        shape[0] = None
        if pictures[i]:
            shape = [None, *shape[2:], shape[1]]
        given.append(Input(name, TensorInfo(logical_name(name), array.dtype.name, tuple(shape)), pictures[i]))
    made = TorchModel(given, ask, notes, provenance)
    made.take(graph, [n for n, _ in ask([torch.tensor(a[:1]) for a in first])])
    return made


def _floating(model: Any) -> set[Any]:
    return {t.dtype for t in [*model.parameters(), *model.buffers()] if t.dtype.is_floating_point}


def _in_float32(model: Any, samples: Samples, notes: list[str]) -> tuple[Any, Mapping[str, Any]]:
    """The module, or a copy on the CPU and out of half precision.

    Raises:
        ExportError: it has no values, cannot be copied, or answers otherwise in float32.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(torch.nn.parameter.is_lazy(t) for t in tensors):
        raise ExportError(
            "the model has lazy layers without weights yet: call it on data before it is exported"
        )
    if any(t.device.type == "meta" for t in tensors):
        raise ExportError(
            "the model is on the device 'meta', where its weights have no values: load them on the CPU"
        )
    half = _floating(model) & set(_HALF)
    away = {t.device.type for t in tensors} - {"cpu"}
    if not half and not away:
        return model, {}
    try:
        copied = copy.deepcopy(model).to("cpu")
        single = copy.deepcopy(copied).float() if half else copied
    except Exception as e:
        raise ExportError(
            f"the model cannot be copied to the CPU in float32 ({first_line(e)}): give model.cpu().float()"
        ) from None
    if not half:
        return single, {}
    kind = ", ".join(sorted(str(d).removeprefix("torch.") for d in half))
    split = _call(model, list(samples))

    def answers(of: Any, dtype: Any) -> list[npt.NDArray[Any]]:
        rows = [torch.tensor(a[:_TRIED]) for a, _ in samples.values()]
        args, kwargs = split([r.to(dtype) if r.is_floating_point() else r for r in rows])
        with asked(of), _torch_program.quiet():
            leaves = _pytree.tree_leaves(of(*args, **kwargs))
        return [t.detach().double().numpy() for t in leaves if isinstance(t, torch.Tensor)]

    try:
        before, after = answers(copied, next(iter(half))), answers(single, torch.float32)
        worst = max(difference(a, b) for a, b in zip(after, before, strict=True))
    except Exception as e:
        raise ExportError(
            f"the model is in {kind}, and cannot be compared with its float32 copy ({first_line(e)}): give model.float()"
        ) from None
    if worst > _MOST:
        raise ExportError(
            f"the model is in {kind}; cast to float32 its answers differ by {worst:.3g}, which is more than rounding: "
            "train or load it in float32"
        )
    notes.append(f"the model is in {kind}; it is exported in float32, whose answers are within {worst:.2g}")
    return single, {"half_precision": {"cast_to": "float32", "difference": worst}}


def _typed(samples: Samples, dtype: Any, ask: Any) -> list[npt.NDArray[Any]]:
    """Rows in the types that the module takes: whole numbers may be meant as such, or are numbers without a fraction."""
    number = _DTYPES[dtype]
    made = []
    for name, (array, _) in samples.items():
        if array.dtype.kind not in "biuf":
            raise ExportError(
                f"examples: {name!r} are strings, which PyTorch tensors cannot hold: give numbers"
            )
        kept = array.dtype.name in _DTYPES.values() and array.dtype.kind != "f"
        made.append(array if kept else array.astype(number if array.dtype.kind == "f" else "int64"))
    whole = [i for i, a in enumerate(made) if a.dtype.kind in "iu"]
    try:
        ask([torch.tensor(a[:1]) for a in made])
    except ExportError:
        if not whole:
            raise
        floats = [a.astype(number) if i in whole else a for i, a in enumerate(made)]
        try:
            ask([torch.tensor(a[:1]) for a in floats])
        except ExportError:
            pass
        else:
            return floats
        raise
    return made


def _by_row(arrays: list[npt.NDArray[Any]], ask: Any) -> None:
    """Refuse random outputs, and outputs without a row for each row."""
    once, again = (ask([torch.tensor(x) for x in arrays]) for _ in range(2))
    for (name, a), (_, b) in zip(once, again, strict=True):
        if a.shape != b.shape or difference(a, b) > _STEADY:
            raise ExportError(
                f"the model's output {name!r} differs when it runs again in evaluation mode: the model is random, as "
                "F.dropout is without training=self.training, or keeps state"
            )
    for count in (2, len(arrays[0])):
        for name, a in ask([torch.tensor(x[:count]) for x in arrays]):
            if a.ndim == 0 or len(a) != count:
                raise ExportError(
                    f"the model's output {name!r} has the shape {list(a.shape)} for {count} rows, but every output "
                    "needs a row for each input row: leave it out of what forward returns, or put the batch first"
                )


def of_program(program: Any, request: Request) -> TorchModel:
    """A program of torch.export, which tells the shapes of its inputs."""
    _torch_program.check_inference(program)
    inputs = _torch_program.inputs(program)
    pictures = request.pictures is not None or (request.rows is None and len(inputs) == 1)
    sizes = {shape[0] if shape else None for _, _, shape in inputs}
    if any(not shape for _, _, shape in inputs) or len(sizes) > 1:
        raise ExportError("every input of the program needs the batch as its first dimension")
    batch = sizes.pop()
    given = []
    for name, dtype, shape in inputs:
        if dtype not in _DTYPES:
            raise ExportError(
                f"the program's input {name!r} is {str(dtype).removeprefix('torch.')}: export the model in float32, with "
                "model.float()"
            )
        first = (
            pictures and dtype == torch.float32 and len(shape) == 4 and shape[1] in (1, 3)
            and (len(inputs) == 1 or request.picture_name in (name, logical_name(name), UNNAMED, "image"))
        )  # fmt: skip
        rest = (*shape[2:], shape[1]) if first else shape[1:]
        given.append(Input(name, TensorInfo(logical_name(name), _DTYPES[dtype], (None, *rest)), first))
    with _torch_program.quiet():
        model = program.module(check_guards=False)
    spec = program.call_spec.in_spec

    def call(tensors: list[Any]) -> Any:
        args, kwargs = _pytree.tree_unflatten(tensors, spec)
        return model(*args, **kwargs)

    def ask(tensors: list[Any]) -> list[tuple[str, npt.NDArray[Any]]]:
        try:
            with torch.no_grad(), _torch_program.quiet():
                return named(call(tensors))
        except ExportError:
            raise
        except Exception as e:
            raise ExportError(
                f"the program fails on the examples: {type(e).__name__}: {first_line(e)}"
            ) from None

    made = TorchModel(given, ask, [], {}, batch)
    made.take(_torch_program.to_onnx(program), _torch_program.outputs(program))
    return made
