"""PyTorch: the adapter for modules in memory, and for torch.export's programs in memory or in .pt2 files.

The expected answers come from the module itself, run eagerly in evaluation mode, without gradients, on the CPU.
Afterwards the module is as it was.
"""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ExportError, argument
from forgo.exporting._adapter import Adapter
from forgo.exporting._examples import one_matrix
from forgo.exporting._model import UNNAMED, TensorInfo, Trained
from forgo.exporting._tensorflow import logical_name

if TYPE_CHECKING:
    from forgo.exporting._request import Request

PROGRAM = ".pt2"
_PICKLES = (".pt", ".pth", ".ckpt")
_SCRIPT = ".jit"
_EXTRA = "pip install '.[torch]' in forgo's clone"


def _is_program(model: Any) -> bool:
    exporting = sys.modules.get("torch.export")
    return exporting is not None and isinstance(model, exporting.ExportedProgram)


def _is_model(model: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and (isinstance(model, torch.nn.Module) or _is_program(model))


def _is_file(path: Path) -> bool:
    return path.suffix in (PROGRAM, _SCRIPT, *_PICKLES) and not path.is_dir()


def _check(path: Path, trust: bool) -> None:
    if not path.is_file():
        raise ExportError(f"{path}: no such regular file")
    if path.suffix == _SCRIPT:
        raise ExportError(
            f"{path}: TorchScript cannot be exported: give the nn.Module that it was made from, or an .onnx file of the same model"
        )
    if path.suffix != PROGRAM:
        raise ExportError(
            f"{path}: a {path.suffix} file is a pickle: loading it runs code, and it often holds only weights. Build the "
            "model in Python, call its load_state_dict(torch.load(FILE, weights_only=True)), and pass it to forgo.export"
        )
    if not trust:
        raise ExportError(
            f"{path}: torch.export.load unpickles and evaluates parts of a .pt2 file, which can run code here; pass "
            f"{argument('trust', True)} if you trust its author"
        )
    if not zipfile.is_zipfile(path):
        raise ExportError(
            f"{path}: torch.export.load cannot load it: it is not a zip archive, as torch.export.save writes"
        )


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    try:
        import torch
    except ImportError:
        raise ExportError(f"{path}: reading it needs PyTorch: {_EXTRA}") from None
    from forgo.exporting import _torch_program

    try:
        with _torch_program.quiet():
            program = torch.export.load(path)
    except Exception as e:  # errors of zip, JSON, schema and version have no common base
        raise ExportError(
            f"{path}: torch.export.load cannot load it: {_torch_program.first_line(e)}"
        ) from None
    _check_onnxscript()
    model = _torch_program.from_program(program, request)
    return model, replace(request, notes=[*request.notes, *model.notes])


def _check_onnxscript() -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ExportError(
            f"converting a PyTorch model to ONNX needs onnxscript, which is not installed: {_EXTRA}"
        ) from None


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    from forgo.exporting import _torch_module, _torch_program

    _check_onnxscript()
    if _is_program(model):
        return _torch_program.from_program(model, request)
    return _torch_module.from_module(model, _samples(model, request), request)


def _samples(model: Any, request: Request) -> dict[str, tuple[npt.NDArray[Any], bool]]:
    """Return the example rows by parameter of forward, each with whether they are pictures, with channels first.

    Raises:
        ExportError: there are no rows, or they are for other inputs.
    """
    from forgo.exporting import _torch_module

    names, required = _torch_module.parameters(model)
    rows = request.rows or {}
    if request.pictures is not None and request.prepared is None:
        raise ExportError(
            f"a PyTorch module does not say what size its pictures have: give {argument('preprocess')}, the function that "
            "turns a picture into its input, such as a torchvision or timm transform"
        )
    if not rows and request.prepared is None:
        raise ExportError(
            f"a PyTorch module does not say what shapes its inputs have: give rows with {argument('examples')}, or save "
            "it as a .pt2 file with torch.export"
        )
    samples: dict[str, tuple[npt.NDArray[Any], bool]] = {}
    for name, array in rows.items():
        parameter = (
            names[0]
            if name == UNNAMED
            else next((n for n in names if logical_name(n) == name or n == name), None)
        )
        if parameter is None:
            only = [TensorInfo(n, "float32", ()) for n in names]
            raise ExportError(
                f"examples: {type(model).__name__}.forward takes no {name!r}; it takes {', '.join(names)}{one_matrix(rows, only)}"
            )
        samples[parameter] = (array.astype(np.float64) if request.table and _numeric(array) else array, False)
    if request.prepared is not None:
        without_rows = [n for n in names if n not in samples]
        candidates = [n for n in names if n == request.picture_name] or without_rows
        if not candidates:
            raise ExportError("examples: every input has rows, so none is left for the pictures")
        samples[candidates[0]] = (request.prepared.transpose(0, 3, 1, 2), True)
    if missing := [n for n in required if n not in samples]:
        form = ", ".join(f"{n!r}: …" for n in required)
        raise ExportError(
            f"examples: {type(model).__name__}.forward also needs {missing[0]!r}: give a dict, {{{form}}}"
        )
    return {n: samples[n] for n in names if n in samples}


def _numeric(cells: npt.NDArray[Any]) -> bool:
    try:
        cells.astype(np.float64)
    except ValueError:
        return False
    return True


ADAPTER = Adapter(
    module=__name__,
    models="a PyTorch module or exported program",
    files="a .pt2 file",
    engines=("onnxruntime",),
    layouts=("first",),
    is_file=_is_file,
    check=_check,
    load=_load,
    is_model=_is_model,
    adapt=_adapt,
)
