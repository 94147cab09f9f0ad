"""Which dimensions of a module's inputs are free: found by asking it, and held to its answers at other sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from forgo._errors import ExportError
from forgo.exporting import _torch_program
from forgo.exporting._golden import difference

Arrays = list[npt.NDArray[Any]]
Group = frozenset[tuple[int, int]]
"""Dimensions, each an input's place and an axis, that have one size together."""
_ROWS = (3, 5)
"""How many rows a module is traced with: neither 1, which torch.export takes for a constant, nor any other size."""
_MOST_FREE = 8


def rows(arrays: Arrays) -> Arrays:
    """The rows to trace with; the first of those given, again where there are too few."""
    sizes = {s for a in arrays for s in a.shape[1:]}
    count = next((n for n in _ROWS if n not in sizes), 7)
    return [np.ascontiguousarray(a[np.arange(count) % len(a)]) for a in arrays]


def free(arrays: Arrays, ask: Any, fixed: list[bool]) -> list[Group]:
    """The groups of dimensions that the module answers at other sizes of; inputs that are fixed have none."""
    open_ = [(i, d) for i, a in enumerate(arrays) if not fixed[i] for d in range(1, a.ndim) if a.shape[d] > 1]
    alone = [g for place in open_ if _answers(arrays, ask, g := frozenset({place}))]
    bound = [p for p in open_ if not any(p in g for g in alone)]
    together = []
    for size in sorted({arrays[i].shape[d] for i, d in bound}):
        g = frozenset((i, d) for i, d in bound if arrays[i].shape[d] == size)
        if len(g) > 1 and _answers(arrays, ask, g):
            together.append(g)
    return [*alone, *together][:_MOST_FREE]


def _answers(arrays: Arrays, ask: Any, group: Group) -> bool:
    """Whether the module answers at another size."""
    others = [size for size in _others(arrays, group) if size > 1]  # 1 fits any size, by broadcasting
    return any(_asked(resized(arrays, [group], size), ask) is not None for size in others)


def _others(arrays: Arrays, group: Group) -> list[int]:
    i, d = next(iter(group))
    size = arrays[i].shape[d]
    return sorted({max(1, size - 1), size + 3, 2 * size, 1} - {size})


def resized(arrays: Arrays, groups: list[Group], size: int) -> Arrays:
    """Rows with other sizes: cut, or continued from their start."""
    made = list(arrays)
    for i, d in (place for g in groups for place in g):
        made[i] = np.take(made[i], np.arange(size) % made[i].shape[d], axis=d)
    return made


def _asked(arrays: Arrays, ask: Any) -> list[tuple[str, npt.NDArray[Any]]] | None:
    try:
        answers: list[tuple[str, npt.NDArray[Any]]] = ask([torch.tensor(a) for a in arrays])
    except ExportError:
        return None
    return answers if all(a.ndim and len(a) == len(arrays[0]) for _, a in answers) else None


def convert(
    model: Any, split: Any, arrays: Arrays, ask: Any, groups: list[Group], tolerance: float
) -> tuple[onnx.ModelProto, list[Group], list[str]]:
    """Convert a module, with free dimensions where the graph answers other sizes as the module does.

    Returns:
        The graph, the groups that are free in it, and what there is to say.

    Raises:
        ExportError: it cannot be converted with a free batch alone either.
    """
    said = []
    if groups:
        try:
            graph = _graph(model, split, arrays, groups)
            why = _apart(graph, arrays, ask, groups, tolerance)
            if not why:
                return graph, groups, []
        except ExportError as e:
            why = e.message
        sizes = ", ".join(str(sorted(arrays[i].shape[d] for i, d in g)[0]) for g in groups)
        said = [f"rows must have the sizes of the examples ({sizes}), though the model answers others: {why}"]
    return _graph(model, split, arrays, []), [], said


def _graph(model: Any, split: Any, arrays: Arrays, groups: list[Group]) -> onnx.ModelProto:
    from forgo.exporting._torch_model import asked

    dim = torch.export.Dim
    shapes = [
        {d: dim.DYNAMIC for d in range(a.ndim) if d == 0 or any((i, d) in g for g in groups)}
        for i, a in enumerate(arrays)
    ]
    args, kwargs = split([torch.tensor(a) for a in arrays])
    placed, by_name = split(shapes)
    with asked(model):
        return _torch_program.to_onnx(model, args, kwargs, _dynamic(model, placed, by_name))


def _dynamic(model: Any, placed: tuple[Any, ...], by_name: dict[str, Any]) -> Any:
    if not placed:
        return by_name
    import inspect

    found = inspect.signature(model.forward).parameters.values()
    if any(p.kind == p.VAR_POSITIONAL for p in found):
        return {next(p.name for p in found if p.kind == p.VAR_POSITIONAL): placed, **by_name}
    return {**dict(zip([p.name for p in found], placed, strict=False)), **by_name}


def _apart(graph: onnx.ModelProto, arrays: Arrays, ask: Any, groups: list[Group], tolerance: float) -> str:
    """Where the graph answers other sizes otherwise than the module; "" where it does not."""
    from forgo import _onnxruntime

    try:
        session = _onnxruntime.session(graph.SerializeToString())
    except Exception as e:
        return f"ONNX Runtime refuses the graph: {_torch_program.first_line(e)}"
    names = [v.name for v in graph.graph.input]
    trials = [([g], size) for g in groups for size in _others(arrays, g)]
    if len(groups) > 1:
        trials += [(groups, size) for size in (4, 11)]
    tried = 0
    for some, size in trials:
        given = resized(arrays, some, size)
        want = _asked(given, ask)
        if want is None:
            continue
        tried += 1
        try:
            got = session.run(None, dict(zip(names, given, strict=True)))
        except Exception as e:
            return f"the graph fails at size {size}: {_torch_program.first_line(e)}"
        for (name, w), g in zip(want, got, strict=True):
            if g.shape != w.shape or difference(g, w) > tolerance:
                return f"the graph answers {name!r} otherwise at size {size}"
    return "" if tried else "the model answers no other"
