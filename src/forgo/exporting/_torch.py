"""PyTorch: the adapter of modules in memory and of torch.export's programs, in memory or as .pt2 files.

The module answers for itself: eagerly, in evaluation mode, without gradients, on the CPU. It is left as it was.
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
from forgo.exporting._model import UNNAMED, Trained
from forgo.exporting._tensorflow import logical_name

if TYPE_CHECKING:
    from forgo.exporting._pipeline import Request

PROGRAM = ".pt2"
_PICKLES = (".pt", ".pth", ".ckpt")
_EXTRA = "pip install '.[torch]' in forgo's clone"


def _is_program(model: Any) -> bool:
    exporting = sys.modules.get("torch.export")
    return exporting is not None and isinstance(model, exporting.ExportedProgram)


def _is_model(model: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and (isinstance(model, torch.nn.Module) or _is_program(model))


def _is_file(path: Path) -> bool:
    return path.suffix in (PROGRAM, *_PICKLES) and not path.is_dir()


def _check(path: Path, trust: bool) -> None:
    if not path.is_file():
        raise ExportError(f"{path}: no such regular file")
    if path.suffix != PROGRAM:
        raise ExportError(
            f"{path}: a {path.suffix} file is a pickle, which runs code as it is loaded and often holds weights without "
            "their model: build the model in Python, give it "
            "load_state_dict(torch.load(FILE, weights_only=True)), and export it with forgo.export"
        )
    if not trust:
        raise ExportError(
            f"{path}: torch.export.load unpickles and evaluates what a .pt2 file holds, which can run code here; pass "
            f"{argument('trust', True)} if you trust its author"
        )
    if not zipfile.is_zipfile(path):
        raise ExportError(
            f"{path}: torch.export.load cannot load it: not a zip archive, which torch.export.save writes"
        )


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    try:
        import torch
    except ImportError:
        raise ExportError(f"{path}: reading it needs PyTorch: {_EXTRA}") from None
    from forgo.exporting import _torch_model, _torch_program

    try:
        with _torch_program.quiet():
            program = torch.export.load(path)
    except Exception as e:  # zip, JSON, schema and version errors have no common base
        raise ExportError(
            f"{path}: torch.export.load cannot load it: {_torch_program.first_line(e)}"
        ) from None
    _needs_onnxscript()
    made = _torch_model.of_program(program, request)
    return made, replace(request, notes=[*request.notes, *made.notes])


def _needs_onnxscript() -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ExportError(
            f"converting a PyTorch model to ONNX needs onnxscript, which is not installed: {_EXTRA}"
        ) from None


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    from forgo.exporting import _torch_model

    _needs_onnxscript()
    if _is_program(model):
        return _torch_model.of_program(model, request)
    return _torch_model.of_module(model, _samples(model, request), request)


def _samples(model: Any, request: Request) -> dict[str, tuple[npt.NDArray[Any], bool]]:
    """The rows given for each of the module's inputs, by its parameter; and whether they are pictures, channels first.

    Raises:
        ExportError: there are none, or they are of other inputs.
    """
    from forgo.exporting import _torch_model

    names, needed = _torch_model.parameters(model)
    rows = request.rows or {}
    if request.pictures is not None and request.prepared is None:
        raise ExportError(
            f"a PyTorch module does not say its pictures' size: give {argument('preprocess')}, the function that makes its "
            "input of a picture, such as a torchvision or timm transform"
        )
    if not rows and request.prepared is None:
        raise ExportError(
            f"a PyTorch module does not say the shapes of its inputs: give rows with {argument('examples')}, or save "
            "torch.export's program of it as a .pt2 file"
        )
    given: dict[str, tuple[npt.NDArray[Any], bool]] = {}
    for name, array in rows.items():
        found = (
            names[0]
            if name == UNNAMED
            else next((n for n in names if logical_name(n) == name or n == name), None)
        )
        if found is None:
            raise ExportError(
                f"examples: {type(model).__name__}.forward takes no {name!r}; it takes {', '.join(names)}"
            )
        given[found] = (array.astype(np.float64) if request.table and _numbers(array) else array, False)
    if request.prepared is not None:
        others = [n for n in names if n not in given]
        wanted = [n for n in names if n == request.picture_name] or others
        if not wanted:
            raise ExportError("examples: every input has rows, so the pictures have no input")
        given[wanted[0]] = (request.prepared.transpose(0, 3, 1, 2), True)
    if lacking := [n for n in needed if n not in given]:
        form = ", ".join(f"{n!r}: …" for n in needed)
        raise ExportError(
            f"examples: {type(model).__name__}.forward needs {lacking[0]!r}, too: give a dict, {{{form}}}"
        )
    return {n: given[n] for n in names if n in given}


def _numbers(cells: npt.NDArray[Any]) -> bool:
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
