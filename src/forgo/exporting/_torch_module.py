"""PyTorch modules in memory: how one runs on the examples, and the trained model that export takes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch
from torch.utils import _pytree

from forgo._errors import ExportError
from forgo.exporting import _torch_sizes
from forgo.exporting._golden import difference
from forgo.exporting._model import TensorInfo
from forgo.exporting._tensorflow import logical_name
from forgo.exporting._torch_model import (
    DTYPES,
    Input,
    Outputs,
    Run,
    Split,
    TorchModel,
    evaluation_mode,
    named_outputs,
)
from forgo.exporting._torch_program import first_line, quiet

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_HALF = (torch.float16, torch.bfloat16)
_CAST_TOLERANCE = 0.05
"""How far the answers may move when a model is cast from half precision to float32: more than this is not rounding."""
_CAST_ROWS = 3
"""How many rows are compared before and after the cast."""
_REPEAT_TOLERANCE = 1e-5
"""How far two runs on the same rows may differ: threads sum in another order each time."""
Samples = Mapping[str, tuple[npt.NDArray[Any], bool]]
"""Example rows by parameter of forward, each with whether they are pictures, with channels first."""


def from_module(model: Any, samples: Samples, request: Request) -> TorchModel:
    """Make a trained model of a module in memory, with rows for each of its inputs.

    Raises:
        ExportError: the module fails on the rows, or cannot be converted.
    """
    model = _unwrap(model)
    notes: list[str] = []
    if any(m.training for m in model.modules()):
        notes.append(
            "the model was in training mode; it is exported in evaluation mode: dropout does nothing, and batch norm uses its "
            "running statistics"
        )
    module, provenance = _in_float32(model, samples, notes)
    dtype = torch.float64 if _float_dtypes(module) == {torch.float64} else torch.float32
    names = list(samples)
    split = _splitter(module, names)
    run = _runner(module, split)
    arrays = _cast_rows(samples, dtype, run)
    for array in arrays:
        if not len(array):
            raise ExportError("examples: there are no rows")
    first = _torch_sizes.trace_rows(arrays)
    _check_rows(first, run)
    pictures = [p for _, p in samples.values()]
    groups = [] if request.table else _torch_sizes.free_groups(first, run, pictures)
    graph, groups, more = _torch_sizes.convert(module, split, first, run, groups, request.tolerance)
    notes += more
    inputs = []
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        shape = [None if any((i, d) in g for g in groups) else s for d, s in enumerate(array.shape)]
        shape[0] = None
        if pictures[i]:
            shape = [None, *shape[2:], shape[1]]
        inputs.append(Input(TensorInfo(logical_name(name), array.dtype.name, tuple(shape)), pictures[i]))
    outputs = [name for name, _ in run([torch.tensor(a[:1]) for a in first])]
    return TorchModel(inputs, run, graph, outputs, notes=notes, provenance=provenance)


def parameters(model: Any) -> tuple[list[str], list[str]]:
    """Return the parameters of forward, and those without a default.

    Raises:
        ExportError: forward takes none, or the module is TorchScript.
    """
    model = _unwrap(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ExportError(
            "a TorchScript module cannot be exported: give the nn.Module that it was made from, or an .onnx file of the same model"
        )
    declared = list(inspect.signature(model.forward).parameters.values())
    named = [p for p in declared if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not named and [p for p in declared if p.kind == p.VAR_POSITIONAL]:
        return ["input"], ["input"]
    if not named:
        raise ExportError(f"{type(model).__name__}.forward takes no inputs")
    return [p.name for p in named], [p.name for p in named if p.default is p.empty]


def _unwrap(model: Any) -> Any:
    """Return the module inside torch.compile's and DataParallel's wrappers."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _runner(module: Any, split: Split) -> Run:
    def run(tensors: list[Any]) -> Outputs:
        args, kwargs = split(tensors)
        try:
            with evaluation_mode(module), quiet():
                answer = module(*args, **kwargs)
        except Exception as e:  # whatever the module's own code raises
            raise ExportError(
                f"the model fails on the examples: {type(e).__name__}: {first_line(e)}"
            ) from None
        return named_outputs(answer)

    return run


def _splitter(module: Any, names: list[str]) -> Split:
    """Return a function that splits values for these parameters, in order, into args and kwargs of forward."""
    parameters = inspect.signature(module.forward).parameters
    positional = [
        n for n in names if n not in parameters or parameters[n].kind == inspect.Parameter.POSITIONAL_ONLY
    ]

    def split(values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        by_name = dict(zip(names, values, strict=True))
        args = tuple(by_name[n] for n in positional)
        return args, {n: v for n, v in by_name.items() if n not in positional}

    return split


def _float_dtypes(model: Any) -> set[Any]:
    return {t.dtype for t in [*model.parameters(), *model.buffers()] if t.dtype.is_floating_point}


def _in_float32(model: Any, samples: Samples, notes: list[str]) -> tuple[Any, Mapping[str, Any]]:
    """Return the module, or a copy of it on the CPU and cast from half precision, with entries for provenance.

    Raises:
        ExportError: its weights have no values, it cannot be copied, or the cast changes its answers.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(torch.nn.parameter.is_lazy(t) for t in tensors):
        raise ExportError(
            "the model has lazy layers, without weights yet: call it on data before exporting it"
        )
    if any(t.device.type == "meta" for t in tensors):
        raise ExportError(
            "the model is on the device 'meta', where its weights have no values: load them on the CPU"
        )
    half = _float_dtypes(model) & set(_HALF)
    if not half and all(t.device.type == "cpu" for t in tensors):
        return model, {}
    try:
        on_cpu = copy.deepcopy(model).to("cpu")
        cast = copy.deepcopy(on_cpu).float() if half else on_cpu
    except Exception as e:
        raise ExportError(
            f"the model cannot be copied to the CPU in float32 ({first_line(e)}): give model.cpu().float()"
        ) from None
    if not half:
        return cast, {}
    kind = ", ".join(sorted(str(d).removeprefix("torch.") for d in half))
    split = _splitter(model, list(samples))

    def answers(module: Any, dtype: Any) -> list[npt.NDArray[Any]]:
        rows = [torch.tensor(a[:_CAST_ROWS]) for a, _ in samples.values()]
        args, kwargs = split([r.to(dtype) if r.is_floating_point() else r for r in rows])
        with evaluation_mode(module), quiet():
            leaves = _pytree.tree_leaves(module(*args, **kwargs))
        return [t.detach().double().numpy() for t in leaves if isinstance(t, torch.Tensor)]

    try:
        before, after = answers(on_cpu, next(iter(half))), answers(cast, torch.float32)
        worst = max(difference(a, b) for a, b in zip(after, before, strict=True))
    except Exception as e:
        raise ExportError(
            f"the model is in {kind} and cannot be compared with its float32 copy ({first_line(e)}): give model.float()"
        ) from None
    if worst > _CAST_TOLERANCE:
        raise ExportError(
            f"the model is in {kind}; cast to float32, its answers change by {worst:.3g}, which is more than rounding: "
            "train or load it in float32"
        )
    notes.append(
        f"the model is in {kind}; it is exported in float32, which changes its answers by up to {worst:.2g}"
    )
    return cast, {"half_precision": {"cast_to": "float32", "difference": worst}}


def _cast_rows(samples: Samples, dtype: Any, run: Run) -> list[npt.NDArray[Any]]:
    """Return the rows in types that the module takes. Integers stay integers if it runs on them, or become floats."""
    float_dtype = DTYPES[dtype]
    cast = []
    for name, (array, _) in samples.items():
        if array.dtype.kind not in "biuf":
            raise ExportError(
                f"examples: {name!r} are strings, which PyTorch tensors cannot hold: give numbers"
            )
        kept = array.dtype.name in DTYPES.values() and array.dtype.kind != "f"
        cast.append(array if kept else array.astype(float_dtype if array.dtype.kind == "f" else "int64"))
    integers = [i for i, a in enumerate(cast) if a.dtype.kind in "iu"]
    try:
        run([torch.tensor(a[:1]) for a in cast])
    except ExportError:
        if not integers:
            raise
        floats = [a.astype(float_dtype) if i in integers else a for i, a in enumerate(cast)]
        try:
            run([torch.tensor(a[:1]) for a in floats])
        except ExportError:
            pass
        else:
            return floats
        raise
    return cast


def _check_rows(arrays: list[npt.NDArray[Any]], run: Run) -> None:
    """Refuse outputs that are random, or that lack a row for each input row."""
    first, second = (run([torch.tensor(x) for x in arrays]) for _ in range(2))
    for (name, a), (_, b) in zip(first, second, strict=True):
        if a.shape != b.shape or difference(a, b) > _REPEAT_TOLERANCE:
            raise ExportError(
                f"the model's output {name!r} changes from run to run in evaluation mode: the model is random, as "
                "F.dropout is without training=self.training, or keeps state"
            )
    for count in (2, len(arrays[0])):
        for name, a in run([torch.tensor(x[:count]) for x in arrays]):
            if a.ndim == 0 or len(a) != count:
                raise ExportError(
                    f"the model's output {name!r} has the shape {list(a.shape)} for {count} rows, but every output "
                    "needs a row for each input row: do not return it from forward, or put the batch first"
                )
