"""Programs of torch.export: how a module becomes one, what it says of itself, and its graph in ONNX."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import onnx
import onnx.inliner
import torch
from torch.utils import _pytree

from forgo._errors import ExportError

OPSET = 18
_SHOWN = 300
_WITHOUT = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'")
_LINE = re.compile(r'File "([^"]+)", line (\d+), in forward')
_TRAINING = {"aten.dropout.default": 2, "aten.batch_norm.default": 5, "aten.feature_dropout.default": 2,
             "aten.alpha_dropout.default": 2, "aten.instance_norm.default": None}  # fmt: skip
"""Operations that training changes, and the place of the argument that says so."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch says of its own insides from the user, who can do nothing about it."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def first_line(error: BaseException) -> str:
    """What an error says first."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:_SHOWN]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def to_onnx(
    model: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, dynamic: Any = None
) -> onnx.ModelProto:
    """Convert a module or a program; inputs and outputs keep their order. Nothing of the user's source stays in it.

    Args:
        model: a module, or a program, which needs nothing else.
        args: what the module is traced with.
        kwargs: likewise.
        dynamic: the free dimensions of these, as torch.export takes them.

    Raises:
        ExportError: it cannot be traced, or has an operation that ONNX does not.
    """
    try:
        with torch.no_grad(), quiet(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            made = torch.onnx.export(
                model, args, kwargs=kwargs, dynamic_shapes=dynamic, dynamo=True, external_data=False,
                opset_version=OPSET, optimize=True, verbose=False,
            )  # fmt: skip
            assert made is not None
            graph: onnx.ModelProto = made.model_proto
    except Exception as e:  # of many classes, few of them public
        raise ExportError(_refused(e)) from None
    return _plain(graph)


def _refused(error: Exception) -> str:
    chain = list(_chain(error))
    texts = "\n".join(str(e) for e in chain)
    if lacking := sorted(set(_WITHOUT.findall(texts))):
        return (
            f"ONNX has no operation for {', '.join(lacking)}, which the model uses: rewrite it with other operations, or do its "
            "work before or after the model"
        )
    where = _LINE.findall(texts)
    at = f" ({where[-1][0]}, line {where[-1][1]})" if where else ""
    if "data-dependent" in texts or any("DataDependent" in type(e).__name__ for e in chain):
        return (
            f"torch.export cannot trace the model: its code branches on the values of tensors{at}: compute both ways and "
            "choose with torch.where, or use torch.cond"
        )
    deepest = chain[-1]
    return f"PyTorch cannot convert the model to ONNX: {type(deepest).__name__}: {first_line(deepest)}{at}"


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without functions, and without what the exporter writes of the user's files and lines."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    graph = model.graph
    for holder in (model, graph):
        del holder.metadata_props[:]
        holder.doc_string = ""
    pending = [graph]
    while pending:
        graph = pending.pop()
        for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer, *graph.node]:
            del value.metadata_props[:]
            value.doc_string = ""
        for node in graph.node:
            pending += [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return model


def check_inference(program: Any) -> None:
    """Refuse a program that was traced in training mode.

    Raises:
        ExportError: it drops out, or takes statistics of the batch.
    """
    for node in program.graph.nodes:
        at = _TRAINING.get(str(node.target)) if node.op == "call_function" else None
        if at is not None and len(node.args) > at and node.args[at] is True:
            kind = str(node.target).split(".")[1]
            raise ExportError(
                f"the program was traced in training mode, including its {kind}: call model.eval() before torch.export.export"
            )
    if program.graph_signature.buffers_to_mutate:
        raise ExportError(
            "the program changes its own buffers as it answers: call model.eval() before torch.export.export"
        )


def inputs(program: Any) -> list[tuple[str, Any, tuple[int | None, ...]]]:
    """The inputs of a program: name, type and shape; None is free.

    Raises:
        ExportError: one is no tensor.
    """
    wanted = list(program.graph_signature.user_inputs)
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    found = []
    for name in wanted:
        value = values.get(name) if isinstance(name, str) else None
        if not isinstance(value, torch.Tensor):
            raise ExportError(f"the program's input {name!r} is not a tensor: export it with tensors alone")
        found.append((name, value.dtype, tuple(s if isinstance(s, int) else None for s in value.shape)))
    if not found:
        raise ExportError("the program takes no inputs, so there is nothing to prove")
    return found


def outputs(program: Any) -> list[str]:
    """The names of a program's tensors, in order."""
    kinds = [
        type(s.arg).__name__ for s in program.graph_signature.output_specs if s.kind.name == "USER_OUTPUT"
    ]
    whole = _pytree.tree_unflatten(list(range(len(kinds))), program.call_spec.out_spec)
    leaves, _ = _pytree.tree_flatten_with_path(whole)
    return [name_of(path) for (path, _), kind in zip(leaves, kinds, strict=True) if kind == "TensorArgument"]


def name_of(path: tuple[Any, ...]) -> str:
    """What clients call a tensor in a structure of answers: by its keys in dicts, by its place elsewhere."""
    from forgo.exporting._tensorflow import logical_name

    keys = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]
    if not keys:
        return "output"
    name = "_".join(keys)
    return f"output_{name}" if name[:1].isdigit() else logical_name(name)
