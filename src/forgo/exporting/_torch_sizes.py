"""Which dimensions of a module's inputs are free.

A dimension is free if the module runs at other sizes of it, and the graph then gives the module's answers.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from forgo._errors import ExportError
from forgo.exporting import _torch_program
from forgo.exporting._golden import difference
from forgo.exporting._torch_model import Outputs, Run, Split, evaluation_mode

Arrays = list[npt.NDArray[Any]]
Group = frozenset[tuple[int, int]]
"""Dimensions that share one size; each is an input's index and an axis."""
_ROWS = (3, 5)
"""How many rows a module may be traced with: not 1, which torch.export takes for a constant, nor the size of another
dimension."""
_MAX_GROUPS = 8


def trace_rows(arrays: Arrays) -> Arrays:
    """The rows to trace with: the first ones, repeated if there are too few."""
    sizes = {s for a in arrays for s in a.shape[1:]}
    count = next((n for n in _ROWS if n not in sizes), 7)
    return [np.ascontiguousarray(a[np.arange(count) % len(a)]) for a in arrays]


def free_groups(arrays: Arrays, run: Run, fixed: list[bool]) -> list[Group]:
    """Return the groups of dimensions at whose other sizes the module runs; fixed inputs have none."""
    candidates = [
        (i, d) for i, a in enumerate(arrays) if not fixed[i] for d in range(1, a.ndim) if a.shape[d] > 1
    ]
    single = [g for c in candidates if _runs_at_other_sizes(arrays, run, g := frozenset({c}))]
    rest = [c for c in candidates if not any(c in g for g in single)]
    shared = []
    for size in sorted({arrays[i].shape[d] for i, d in rest}):
        g = frozenset((i, d) for i, d in rest if arrays[i].shape[d] == size)
        if len(g) > 1 and _runs_at_other_sizes(arrays, run, g):
            shared.append(g)
    return [*single, *shared][:_MAX_GROUPS]


def _runs_at_other_sizes(arrays: Arrays, run: Run, group: Group) -> bool:
    sizes = [size for size in _other_sizes(arrays, group) if size > 1]  # 1 fits any size, by broadcasting
    return any(_outputs(_resize(arrays, [group], size), run) is not None for size in sizes)


def _other_sizes(arrays: Arrays, group: Group) -> list[int]:
    i, d = next(iter(group))
    size = arrays[i].shape[d]
    return sorted({max(1, size - 1), size + 3, 2 * size, 1} - {size})


def _resize(arrays: Arrays, groups: list[Group], size: int) -> Arrays:
    """Cut the groups' dimensions to a size, or repeat them up to it."""
    resized = list(arrays)
    for i, d in (dimension for g in groups for dimension in g):
        resized[i] = np.take(resized[i], np.arange(size) % resized[i].shape[d], axis=d)
    return resized


def _outputs(arrays: Arrays, run: Run) -> Outputs | None:
    """The module's outputs; None if it fails, or they lack a row for each input row."""
    try:
        outputs = run([torch.tensor(a) for a in arrays])
    except ExportError:
        return None
    return outputs if all(a.ndim and len(a) == len(arrays[0]) for _, a in outputs) else None


def convert(
    module: Any, split: Split, arrays: Arrays, run: Run, groups: list[Group], tolerance: float
) -> tuple[onnx.ModelProto, list[Group], list[str]]:
    """Convert a module. The groups are free if the graph gives the module's answers at other sizes.

    Returns:
        The graph, its free groups, and notes for the user.

    Raises:
        ExportError: it cannot be converted even if only the batch is free.
    """
    notes = []
    if groups:
        try:
            graph = _graph(module, split, arrays, groups)
            reason = _difference(graph, arrays, run, groups, tolerance)
            if not reason:
                return graph, groups, []
        except ExportError as e:
            reason = e.message
        sizes = ", ".join(str(sorted(arrays[i].shape[d] for i, d in g)[0]) for g in groups)
        notes = [
            f"rows must have the sizes of the examples ({sizes}), though the model takes others: {reason}"
        ]
    return _graph(module, split, arrays, []), [], notes


def _graph(module: Any, split: Split, arrays: Arrays, groups: list[Group]) -> onnx.ModelProto:
    dim = torch.export.Dim
    shapes = [
        {d: dim.DYNAMIC for d in range(a.ndim) if d == 0 or any((i, d) in g for g in groups)}
        for i, a in enumerate(arrays)
    ]
    args, kwargs = split([torch.tensor(a) for a in arrays])
    with evaluation_mode(module):
        return _torch_program.to_onnx(module, args, kwargs, _dynamic(module, *split(shapes)))


def _dynamic(module: Any, positional: tuple[Any, ...], keyword: dict[str, Any]) -> Any:
    """The free dimensions by parameter, as torch.export wants them."""
    if not positional:
        return keyword
    parameters = inspect.signature(module.forward).parameters.values()
    if rest := [p.name for p in parameters if p.kind == p.VAR_POSITIONAL]:
        return {rest[0]: positional, **keyword}
    return {**dict(zip([p.name for p in parameters], positional, strict=False)), **keyword}


def _difference(
    graph: onnx.ModelProto, arrays: Arrays, run: Run, groups: list[Group], tolerance: float
) -> str:
    """How the graph differs from the module at other sizes; "" if it does not."""
    from forgo import _onnxruntime

    try:
        session = _onnxruntime.session(graph.SerializeToString())
    except Exception as e:
        return f"ONNX Runtime refuses the graph: {_torch_program.first_line(e)}"
    names = [v.name for v in graph.graph.input]
    trials = [([g], size) for g in groups for size in _other_sizes(arrays, g)]
    if len(groups) > 1:
        trials += [(groups, size) for size in (4, 11)]
    tried = 0
    for trial, size in trials:
        inputs = _resize(arrays, trial, size)
        expected = _outputs(inputs, run)
        if expected is None:
            continue
        tried += 1
        try:
            got = session.run(None, dict(zip(names, inputs, strict=True)))
        except Exception as e:
            return f"the graph fails at size {size}: {_torch_program.first_line(e)}"
        for (name, want), g in zip(expected, got, strict=True):
            if g.shape != want.shape or difference(g, want) > tolerance:
                return f"the graph's output {name!r} differs from the model's at size {size}"
    return "" if tried else "the model ran at no other size"
