"""The model's inputs: which one takes pictures, what prepares them, and the examples as it takes them."""

from __future__ import annotations

from typing import Any

from forgo import _preprocess
from forgo._errors import ExportError, ForgoError
from forgo.exporting import _expected_labels, _heads, _normalization, _user_preprocess
from forgo.exporting._examples import PICTURE, Example, from_cells, from_rows, read_pictures
from forgo.exporting._model import UNNAMED, TensorInfo, Trained
from forgo.exporting._request import Request

CHANNELS = (1, 3)
"""A picture's channels in the model: grey, or RGB."""


def takes_pictures(model: Trained) -> bool:
    """Whether a model's only input has the form of a picture: float32 [batch, height, width, channels]."""
    info = model.inputs[0]
    return (
        len(model.inputs) == 1 and info.dtype == "float32" and len(info.shape) == 4 and info.shape[3] in CHANNELS
        and None not in info.shape[1:]
    )  # fmt: skip


def picture_input(model: Trained, request: Request) -> TensorInfo:
    """The picture input: the only input, or the one that the examples name.

    Raises:
        ExportError: no input takes pictures.
    """
    fitting = [
        e for e in model.inputs if e.dtype == "float32" and len(e.shape) == 4 and e.shape[3] in CHANNELS
    ]
    named = [e for e in fitting if e.name == request.picture_name]
    if len(model.inputs) == 1 or (request.picture_name == PICTURE and len(fitting) == 1):
        named = fitting
    if not named:
        which = "one input" if request.picture_name in (UNNAMED, PICTURE) else repr(request.picture_name)
        raise ExportError(
            f"pictures need a model with {which} of float32 [batch, height, width, 3], or [batch, height, width, 1] for grey; "
            f"this one has {', '.join(f'{e.name} {e.dtype}{list(e.shape)}' for e in model.inputs)}"
        )
    if named[0].shape[1] is None or named[0].shape[2] is None:
        raise ExportError("pictures need a model whose input has a fixed height and width")
    if any(e.name == PICTURE for e in model.inputs if e is not named[0]):
        raise ExportError(
            f"the model's input {PICTURE!r} has the name that clients use for the picture: rename it"
        )
    return named[0]


def preprocessor(model: Trained, request: Request) -> _preprocess.Preprocessor | None:
    """The preprocessing of a picture model; None for any other."""
    if request.pictures is None and (request.rows is not None or not takes_pictures(model)):
        return None
    _, height, width, channels = picture_input(model, request).shape
    try:
        rules = request.rules.for_size(height or 0, width or 0)
        graph = _preprocess.build(height or 0, width or 0, rules, channels=channels or 3)
    except ForgoError as e:
        raise ExportError(e.message) from None
    return _preprocess.Preprocessor(graph, request.alpha, rules)


def normalized(model: Trained, request: Request) -> Trained:
    """The model with the requested normalization before it.

    Raises:
        ExportError: the model takes no pictures.
    """
    if request.normalization.is_identity:
        return model
    if request.pictures is None and (request.rows is not None or not takes_pictures(model)):
        raise ExportError(
            f"{request.normalization.named()}: these normalize pictures, but this model takes none"
        )
    info = picture_input(model, request)
    return _normalization.normalized(model, info.name, request.normalization.for_channels(info.shape[3] or 3))


def headed(model: Trained, request: Request) -> Trained:
    """The model with the requested head, or the one that a single probability with two labels needs."""
    return _heads.behind(model, request.append, request.labels, request.task == "multi-label")


def read_examples(
    model: Trained, request: Request, preprocess: _preprocess.Preprocessor | None
) -> tuple[list[Example], list[str]]:
    """Read the raw inputs as a server does; also return a line for each refused picture."""
    if preprocess is None:
        rows = request.rows
        if rows is not None and request.table:
            rows = from_cells(rows, model.inputs)
        found = []
        if rows is not None:
            found = from_rows(rows, model.inputs, lists=request.lists, missing=request.missing)
        if request.expected_labels is not None:
            _expected_labels.check_count(request.expected_labels, len(found))
        return found, []
    info = picture_input(model, request)
    pictures, refused = read_pictures(request.pictures or [], preprocess, info)
    if len(model.inputs) == 1:
        return [e for e in pictures if e is not None], refused
    others = [e for e in model.inputs if e is not info]
    return from_rows(request.rows or {}, others, pictures), refused


def check_prepared(model: Trained, examples: list[Example], request: Request) -> dict[str, Any]:
    """Compare the picture rules with the user's own preprocessing, if any; see _user_preprocess.check."""
    if request.prepared is None:
        return {}
    return _user_preprocess.check(examples, picture_input(model, request).name, request)
