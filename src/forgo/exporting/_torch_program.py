"""torch.export's programs: their inputs and outputs, and the conversion of modules and programs to ONNX."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import onnx
import onnx.inliner
import torch
from torch.utils import _pytree

from forgo._errors import ExportError
from forgo.exporting._model import UNNAMED, TensorInfo
from forgo.exporting._tensorflow import logical_name
from forgo.exporting._torch_model import DTYPES, Input, Outputs, TorchModel, named_outputs, output_name

if TYPE_CHECKING:
    from forgo.exporting._request import Request

OPSET = 18
_MAX_LINE = 300
_NO_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'")
_LINE = re.compile(r'File "([^"]+)", line (\d+), in forward')
_TRAINING = {"aten.dropout.default": 2, "aten.batch_norm.default": 5, "aten.feature_dropout.default": 2,
             "aten.alpha_dropout.default": 2, "aten.instance_norm.default": None}  # fmt: skip
"""Operations that differ in training, and the position of the argument that says so."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence PyTorch's warnings and logs about its own internals, which users cannot act on."""
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
    """The first line of an error's message."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:_MAX_LINE]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def to_onnx(
    model: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, dynamic: Any = None
) -> onnx.ModelProto:
    """Convert a module or a program. Inputs and outputs keep their order; no trace of the user's source remains.

    Args:
        model: a module, or a program, which needs no other argument.
        args: the positional arguments that the module is traced with.
        kwargs: the keyword arguments that it is traced with.
        dynamic: the arguments' free dimensions, in torch.export's form.

    Raises:
        ExportError: the module cannot be traced, or uses an operation that ONNX lacks.
    """
    try:
        with torch.no_grad(), quiet(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            program = torch.onnx.export(
                model, args, kwargs=kwargs, dynamic_shapes=dynamic, dynamo=True, external_data=False,
                opset_version=OPSET, optimize=True, verbose=False,
            )  # fmt: skip
            assert program is not None
            graph: onnx.ModelProto = program.model_proto
    except Exception as e:  # of many classes, few of them public
        raise ExportError(_conversion_error(e)) from None
    return _strip(graph)


def _conversion_error(error: Exception) -> str:
    """Why PyTorch could not convert a model, in one line that says what would work."""
    chain = list(_chain(error))
    messages = "\n".join(str(e) for e in chain)
    if missing := sorted(set(_NO_OPERATION.findall(messages))):
        return (
            f"ONNX has no operation for {', '.join(missing)}, which the model uses: rewrite it with other operations, or do "
            "that part before or after the model"
        )
    where = _LINE.findall(messages)
    at = f" ({where[-1][0]}, line {where[-1][1]})" if where else ""
    if "data-dependent" in messages or any("DataDependent" in type(e).__name__ for e in chain):
        return (
            f"torch.export cannot trace the model: its code branches on the values of tensors{at}: compute both branches and "
            "choose with torch.where, or use torch.cond"
        )
    deepest = chain[-1]
    return f"PyTorch cannot convert the model to ONNX: {type(deepest).__name__}: {first_line(deepest)}{at}"


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline the graph's functions, and drop what the exporter writes about the user's files and lines."""
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


def from_program(program: Any, request: Request) -> TorchModel:
    """Make a trained model of one of torch.export's programs, which says what shapes its inputs have.

    Raises:
        ExportError: the program cannot run on batches, or cannot be converted.
    """
    _check_inference(program)
    declared = _inputs(program)
    pictures = request.pictures is not None or (request.rows is None and len(declared) == 1)
    batches = {shape[0] if shape else None for _, _, shape in declared}
    if any(not shape for _, _, shape in declared) or len(batches) > 1:
        raise ExportError("every input of the program needs the batch as its first dimension")
    inputs = []
    for name, dtype, shape in declared:
        if dtype not in DTYPES:
            raise ExportError(
                f"the program's input {name!r} is {str(dtype).removeprefix('torch.')}: export the model in float32, with "
                "model.float()"
            )
        picture = (
            pictures and dtype == torch.float32 and len(shape) == 4 and shape[1] in (1, 3)
            and (len(declared) == 1 or request.picture_name in (name, logical_name(name), UNNAMED, "image"))
        )  # fmt: skip
        rest = (*shape[2:], shape[1]) if picture else shape[1:]
        inputs.append(Input(TensorInfo(logical_name(name), DTYPES[dtype], (None, *rest)), picture))
    with quiet():
        model = program.module(check_guards=False)
    spec = program.call_spec.in_spec

    def run(tensors: list[Any]) -> Outputs:
        args, kwargs = _pytree.tree_unflatten(tensors, spec)
        try:
            with torch.no_grad(), quiet():
                answer = model(*args, **kwargs)
        except Exception as e:
            raise ExportError(
                f"the program fails on the examples: {type(e).__name__}: {first_line(e)}"
            ) from None
        return named_outputs(answer)

    graph = to_onnx(program)
    outputs = _outputs(program)
    return TorchModel(inputs, run, graph, outputs, notes=[], provenance={}, batch=batches.pop())


def _check_inference(program: Any) -> None:
    """Refuse a program that was traced in training mode.

    Raises:
        ExportError: its dropout or batch norm is in training mode, or it changes its buffers.
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
            "the program changes its own buffers when it runs: call model.eval() before torch.export.export"
        )


def _inputs(program: Any) -> list[tuple[str, Any, tuple[int | None, ...]]]:
    """Return the name, dtype and shape of a program's inputs; None is a free dimension.

    Raises:
        ExportError: one is not a tensor, or there are none.
    """
    names = list(program.graph_signature.user_inputs)
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    infos = []
    for name in names:
        value = values.get(name) if isinstance(name, str) else None
        if not isinstance(value, torch.Tensor):
            raise ExportError(f"the program's input {name!r} is not a tensor: make tensors its only inputs")
        infos.append((name, value.dtype, tuple(s if isinstance(s, int) else None for s in value.shape)))
    if not infos:
        raise ExportError("the program takes no inputs, so there is nothing to prove")
    return infos


def _outputs(program: Any) -> list[str]:
    """The names of a program's output tensors, in order."""
    kinds = [
        type(s.arg).__name__ for s in program.graph_signature.output_specs if s.kind.name == "USER_OUTPUT"
    ]
    structure = _pytree.tree_unflatten(list(range(len(kinds))), program.call_spec.out_spec)
    leaves, _ = _pytree.tree_flatten_with_path(structure)
    return [
        output_name(path) for (path, _), kind in zip(leaves, kinds, strict=True) if kind == "TensorArgument"
    ]
