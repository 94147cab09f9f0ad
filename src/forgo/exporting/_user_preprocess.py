"""The user's own preprocessing function: the picture rules must agree with it.

For the golden cases, the framework answers the function's arrays. The function itself
stays in the caller's process; only its arrays leave it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from forgo import _preprocess
from forgo._errors import ExportError, PictureError
from forgo._picture import Alpha, decode
from forgo._rules import Resize, Rules
from forgo.exporting._examples import Example
from forgo.exporting._normalization import Normalization, read, usual_of

if TYPE_CHECKING:
    from forgo.exporting._request import Request

AGREES = 0.05
"""The largest difference between the function and the rules, in steps of 255 before normalization.
Every rule is within 0.001 of the library that it is named after; a different rounding is off by 0.5 or more."""
_SEARCHED = 8
"""The first examples, on which other rules are tried before all."""
_LIKELY = 4
"""How many fits each filter is tried with."""

_CHANNELS = {"last": 2, "first": 0}
_SHAPES = {"last": "[height, width, 3]", "first": "[3, height, width]"}

Function = Callable[[Any], Any]
Floats = npt.NDArray[np.float32]


def takes_path(function: Function) -> bool:
    """Whether its first parameter is annotated as a path: ``str``, ``Path`` or ``os.PathLike``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # builtins, and classes without a signature
        return False
    if not parameters:
        return False
    said: Any = parameters[0].annotation
    called = function if inspect.isroutine(function) else type(function).__call__
    with contextlib.suppress(Exception):  # some annotation does not resolve: use this one's text
        said = typing.get_type_hints(called).get(parameters[0].name, said)
    kinds = said.split("|") if isinstance(said, str) else typing.get_args(said) or (said,)
    return any(
        kind.strip().rpartition(".")[2] in ("str", "Path", "PathLike")
        if isinstance(kind, str)
        else isinstance(kind, type) and issubclass(kind, str | os.PathLike)
        for kind in kinds
    )


def apply(
    function: Function, pictures: list[Path], alpha: Alpha = "drop", layouts: tuple[str, ...] = ("last",)
) -> Floats:
    """Call the function for every picture: with its path, if annotated so, else with its pixels.

    The pixels are a ``PIL.Image`` in RGB, upright, decoded as the bundle does it. Pictures that no rule covers
    are skipped; they are not examples. The function's arrays have their channels in the first of the layouts
    that fits.

    Returns:
        float32 [pictures, height, width, 3], or [pictures, height, width, 1] for grey.

    Raises:
        ExportError: the function fails, or returns something else.
    """
    by_path = takes_path(function)
    made: list[Floats | None] = []
    for path in pictures:
        try:
            pixels = decode(path.read_bytes(), alpha)
        except OSError as e:
            raise ExportError(f"{path}: cannot read the example: {e.strerror}") from None
        except PictureError:
            made.append(None)
            continue
        try:
            output = function(path if by_path else Image.fromarray(pixels))
            array = np.asarray(output)
        except Exception as e:
            said = (str(e).splitlines() or [""])[0]
            raise ExportError(f"preprocess fails on {path}: {type(e).__name__}: {said}") from e
        if array.ndim == 4 and len(array) == 1:
            array = array[0]
        if array.ndim == 2:
            array = array[:, :, None] if layouts[0] == "last" else array[None]
        fitting = [of for of in layouts if array.ndim == 3 and array.shape[_CHANNELS[of]] in (1, 3)]
        if not fitting or array.dtype.kind not in "iuf":
            wants = " or ".join(_SHAPES[of] for of in layouts)
            raise ExportError(
                f"preprocess gives {array.dtype}{list(array.shape)} for {path}, not numbers {wants} or, for grey, [height, width]"
            )
        array = np.moveaxis(array, _CHANNELS[fitting[0]], 2)
        first = next((a for a in made if a is not None), array)
        if array.shape != first.shape:
            raise ExportError(
                f"preprocess gives {list(array.shape)} for {path}, but {list(first.shape)} for an earlier picture"
            )
        values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise ExportError(f"preprocess gives values for {path} that are not finite")
        made.append(values)
    shape = next((a.shape for a in made if a is not None), (1, 1, 3))
    return np.stack([np.zeros(shape, np.float32) if a is None else a for a in made])


def check(examples: list[Example], name: str, request: Request) -> dict[str, Any]:
    """Compare the picture rules with the function's arrays, on every example.

    Returns:
        An entry for the bundle's provenance.

    Raises:
        ExportError: they differ. The message says by how much, on which example, and which rules come closest.
    """
    tensors = request.prepared
    if tensors is None or not examples:
        return {}
    want = examples[0].inputs[name].shape[1:]
    if tensors.shape[1:] != want:
        raise ExportError(f"preprocess gives {list(tensors.shape[1:])}, but the model takes {list(want)}")
    normalization = request.normalization.for_channels(want[-1])
    worst, where = 0.0, examples[0]
    for e in examples:
        d = _steps(normalization, e.inputs[name][0], tensors[e.index])
        if d > worst:
            worst, where = d, e
    if worst <= AGREES:
        return {"tolerance": AGREES, "largest_difference": worst, "examples": len(examples)}
    raise ExportError(
        f"preprocess differs from {_arguments(request.rules, request.normalization)}: "
        f"by up to {worst:.3g} of 255, on {where.source}. {_nearest(examples, tensors, want, request.rules)}"
    )


def _steps(normalization: Normalization, pixels: Floats, tensors: Floats) -> float:
    """The largest difference, in steps of 255 before normalization."""
    off = np.abs(normalization.apply(pixels) - tensors) * np.abs(
        np.array(normalization.std) / normalization.scale
    )
    return float(off.max())


def _nearest(examples: list[Example], tensors: Floats, shape: tuple[int, ...], said: Rules) -> str:
    """Say which rules come closest to the function."""
    upright = [e for e in examples if e.orientation == 1] or examples
    some = upright[:: max(1, len(upright) // _SEARCHED)][:_SEARCHED]
    some = [e for e in some if e.pixels is not None]
    wanted = [tensors[e.index] for e in some]

    def best(of: list[Rules]) -> list[tuple[float, int, Rules, Normalization]]:
        found: list[tuple[float, int, Rules, Normalization]] = []
        for rules in of:
            preprocess = _graph(rules, shape)
            prepared = [preprocess(e.pixels) for e in some if e.pixels is not None]
            for n in [*usual_of(shape[2]).values(), *_fitted(np.stack(prepared), np.stack(wanted))]:
                worst = _typical(n, prepared, wanted) if len(of) > 1 else 0.0
                found.append((worst, len(found), rules, n))
        return sorted(found, key=lambda f: f[:2])

    # First the crop, with one filter: a wrong crop differs more than a wrong filter. Then the filter.
    fits = best([replace(f, resize="bilinear-antialias") for f in _fits(shape, said)])
    likely = list(dict.fromkeys(f[2] for f in fits))[:_LIKELY]
    found = best([replace(f, resize=r) for f in likely for r in typing.get_args(Resize)])
    _, _, rules, n = found[0]
    preprocess = _graph(rules, shape)

    def worst_of(part: list[Example]) -> float:
        return max(_steps(n, preprocess(e.pixels), tensors[e.index]) for e in part if e.pixels is not None)

    worst, arguments = worst_of(examples), _arguments(rules, n)
    if worst <= AGREES:
        return f"On all {len(examples)} examples it matches {arguments}"
    if len(upright) < len(examples) and worst_of(upright) <= AGREES:
        return (
            f"On the {len(upright)} examples without an EXIF orientation it matches {arguments}; the bundle "
            "turns the others upright, but the function does not: use PIL.ImageOps.exif_transpose"
        )
    return f"No rules match it; the closest, {arguments}, differ by up to {worst:.3g}"


def _graph(rules: Rules, shape: tuple[int, ...]) -> _preprocess.Preprocessor:
    return _preprocess.Preprocessor(_preprocess.build(shape[0], shape[1], rules, channels=shape[2]))


def _fits(shape: tuple[int, ...], said: Rules) -> list[Rules]:
    """The fits worth trying: the requested one, and usual ones."""
    side = max(shape[:2])
    sides = {said.shorter_side or side, side, int(side / 0.875), int(side / 0.95), int(side / 0.9)}
    colours = {said.pad_colour, (0, 0, 0), (114, 114, 114), (128, 128, 128), (255, 255, 255)}
    return [
        Rules(),
        Rules(fit="crop"),
        *(Rules(fit="shorter-side", shorter_side=s) for s in sorted(sides) if s >= side),
        *(Rules(fit="pad", pad_colour=c) for c in sorted(colours)),
    ]


def _typical(normalization: Normalization, prepared: list[Floats], wanted: list[Floats]) -> float:
    """The distance to compare rules by: the largest difference, in steps of 255."""
    return max(_steps(normalization, p, w) for p, w in zip(prepared, wanted, strict=True))


def _fitted(pixels: Floats, tensors: Floats) -> list[Normalization]:
    """The normalizations that a linear fit of each channel gives, in both orders."""
    made = []
    for channels in ("RGB", "BGR")[: pixels.shape[-1]]:
        ordered = pixels[..., ::-1] if channels == "BGR" else pixels
        slopes, offsets = [], []
        for c in range(pixels.shape[-1]):
            x, y = ordered[..., c].ravel().astype(np.float64), tensors[..., c].ravel().astype(np.float64)
            slope = ((x - x.mean()) * (y - y.mean())).mean() / max(x.var(), 1e-12)
            slopes.append(slope)
            offsets.append(y.mean() - slope * x.mean())
        if min(abs(s) for s in slopes) < 1e-9:
            continue
        if max(slopes) - min(slopes) < 1e-3 * abs(slopes[0]):
            made.append(
                read(channels, _short(float(np.mean(slopes))), [_short(-o) for o in offsets]).for_channels(
                    len(slopes)
                )
            )
            continue
        std = [1 / (255 * s) for s in slopes]
        mean = [_short(-o * d) for o, d in zip(offsets, std, strict=True)]
        made.append(read(channels, 1 / 255, mean, [_short(d) for d in std]))
    return made


def _short(value: float) -> float:
    return float(f"{value:.5g}") if abs(value) > 1e-6 else 0.0


def _arguments(rules: Rules, normalization: Normalization) -> str:
    """The arguments of forgo.export for these rules."""
    return ", ".join([*rules.arguments(), *normalization.arguments()])
