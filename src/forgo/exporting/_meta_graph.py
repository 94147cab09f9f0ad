"""What a SavedModel's file says about its graphs: their tags, signatures, operations, inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgo._errors import ExportError, argument
from forgo.exporting._model import TensorInfo
from forgo.exporting._tensorflow import SIGNATURE, logical_name

UNKNOWN = (-1,)
"""The shape of a tensor of any rank."""
_MOST_NAMES = 20


def choose_graph(folder: Path, tags: list[str] | None, retag: bool) -> Any:
    """The graph with these tags; without tags, or to write it with others, the only one.

    Raises:
        ExportError: there is no such graph, several, or the file is damaged.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except DecodeError:
        raise ExportError(f"{folder}: saved_model.pb is not a complete SavedModel") from None
    graphs = list(saved.meta_graphs)
    have = ", ".join("[" + ", ".join(sorted(g.meta_info_def.tags)) + "]" for g in graphs)
    if tags is None:
        if len(graphs) != 1:
            raise ExportError(
                f"{folder}: it has {len(graphs)} graphs: choose one by its tags with {argument('tag')}: {have}"
            )
        return graphs[0]
    for g in graphs:
        if set(g.meta_info_def.tags) == set(tags) or (retag and len(graphs) == 1):
            return g
    raise ExportError(
        f"{folder}: it has no graph with the tags [{', '.join(sorted(tags))}], only {have or 'none'}"
    )


def signatures(meta: Any) -> list[str]:
    """The signatures of a graph, without TensorFlow's own bookkeeping."""
    return sorted(
        k for k, v in meta.signature_def.items() if not k.startswith("__saved_model_") and v.outputs
    )


def choose_signatures(folder: Path, meta: Any, named: str | None, several: bool) -> tuple[str, list[str]]:
    """The signature that answers if a client names none, and the others."""
    have = signatures(meta)
    if named is not None:
        names = [named] if named in have else [name.strip() for name in named.split(",")]
        for i, name in enumerate(names):
            if name not in have:
                raise ExportError(f"{folder}: it has no signature {name!r}, only {_list(have)}")
            if name in names[:i]:
                raise ExportError(f"{folder}: signature {name!r} appears twice")
        return names[0], names[1:]
    if SIGNATURE not in have and len(have) != 1 and not several:
        raise ExportError(
            f"{folder}: choose one of its signatures with {argument('signature')}: {_list(have)}"
        )
    first = SIGNATURE if SIGNATURE in have else have[0]
    return first, [name for name in have if name != first]


def by_operation(
    folder: Path, nodes: dict[str, Any], kind: str, names: list[str] | None
) -> list[tuple[str, TensorInfo]]:
    """Inputs or outputs that are operations of a graph; of any type and shape until the graph is loaded.

    Args:
        folder: the SavedModel's folder, for messages.
        nodes: the graph's operations by name.
        kind: input or output.
        names: the operations; optional if there is only one that can be meant.
    """
    have = _placeholders(nodes) if kind == "input" else _results(nodes)
    if not names and len(have) != 1:
        raise ExportError(
            f"{folder}: it has no signature that names its {kind}s: "
            f"name them with {argument(kind + 's')}, among {_list(have)}"
        )
    for name in names or []:
        if operation(name) not in nodes:
            raise ExportError(f"{folder}: it has no {kind} {name!r}, only {_list(have)}")
    return [(name, TensorInfo(logical_name(name), "", ())) for name in names or have]


def _placeholders(nodes: dict[str, Any]) -> list[str]:
    return [n.name for n in nodes.values() if n.op == "Placeholder"]


def _results(nodes: dict[str, Any]) -> list[str]:
    """The operations that depend on a placeholder and that nothing consumes."""
    reached = set(_placeholders(nodes))
    consumed = set()
    grown = True
    while grown:
        grown = False
        for n in nodes.values():
            consumed |= {operation(i) for i in n.input}
            if n.name not in reached and any(operation(i) in reached for i in n.input):
                reached.add(n.name)
                grown = True
    return [
        n.name for n in nodes.values() if n.name in reached - consumed and n.op not in ("NoOp", "Placeholder")
    ]


def is_softmax(nodes: dict[str, Any], tensor: str) -> bool:
    """Whether a Softmax makes a tensor."""
    node = nodes.get(operation(tensor))
    while node is not None and node.op == "Identity":
        node = nodes.get(operation(node.input[0]))
    return node is not None and node.op == "Softmax"


def pick(folder: Path, infos: list[tuple[str, TensorInfo]], name: str) -> tuple[str, TensorInfo]:
    """The output with this name, the graph's or the logical one."""
    for info in infos:
        if name in (info[0], info[1].name):
            return info
    raise ExportError(f"{folder}: it has no output {name!r}, only {_list([n for n, _ in infos])}")


def info_in_signature(folder: Path, name: str, info: Any) -> TensorInfo:
    """An input or output of a signature."""
    import tensorflow as tf

    if not info.name:
        raise ExportError(f"{folder}: {name!r} is a sparse or composite tensor, which is not supported")
    return _checked(name, tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape))


def info_loaded(name: str, tensor: Any) -> TensorInfo:
    """An input or output of a function that TensorFlow has loaded."""
    return _checked(name, tensor.dtype, tensor.shape)


def _checked(name: str, dtype: Any, shape: Any) -> TensorInfo:
    return TensorInfo(
        logical_name(name), dtype.name, UNKNOWN if shape.rank is None else tuple(shape.as_list())
    )


def operation(name: str) -> str:
    """The operation of a tensor or a control input."""
    return name.removeprefix("^").split(":")[0]


def tensor(name: str) -> str:
    """A tensor, by its own name or as its operation's first output."""
    return name if ":" in name else f"{name}:0"


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) or "none") + more
