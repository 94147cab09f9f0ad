"""Golden cases: which examples become cases, and how they are recorded."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import save

from forgo._bundle import Staging
from forgo._picture import FORMATS
from forgo.exporting._arrays import pack
from forgo.exporting._examples import Example
from forgo.exporting._model import Arrays

CASES = 16
"""Cases to record, if there are as many examples."""
MOST_CASES = 64
_LEAST_CERTAIN = 8
_UNUSUAL = 5
_WIDEST = 256
"""The most elements of a row in which unusual values are looked for."""
_SUFFIX = {media: ending for media, ending, *_ in FORMATS.values()} | {"application/json": ".json"}


def difference(got: npt.NDArray[Any], want: npt.NDArray[Any]) -> float:
    """The largest |got-want| / max(1, |want|), as Go's tensor.Difference measures it.

    Infinity if shapes differ, or if only one of two values is finite.
    """
    if got.shape != want.shape:
        return float("inf")
    if got.size == 0:
        return 0.0
    if want.dtype.kind not in "fiu":
        return 0.0 if (got == want).all() else float("inf")
    a, b = got.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        scaled = np.abs(a - b) / np.maximum(1, np.abs(b))
    return float(np.where(same, 0, np.where(np.isnan(scaled), np.inf, scaled)).max())


def margin(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return how far each row's best class lies above its second best: how certain the answer is.

    Args:
        scores: probabilities [n, classes] of two classes or more.
    """
    ranked = np.sort(scores, axis=1)
    margins: npt.NDArray[Any] = ranked[:, -1] - ranked[:, -2]
    return margins


def choose(
    examples: list[Example],
    certainty: npt.NDArray[Any] | None,
    labels: list[list[str]] | None,
    tolerance: float,
) -> list[int]:
    """Choose the examples to record, the least certain first.

    Args:
        examples: all of them.
        certainty: for a model with labels, how far each example's scores are from another answer.
        labels: for a model with labels, each example's answer.
        tolerance: the model stage's tolerance. Examples within four times the tolerance of another answer
            are left out: another machine may label them differently.

    Returns:
        Indices: the least certain examples, then one of each answer, of each encoding and of each
        EXIF orientation not yet chosen, then a few rows with missing, rare and extreme values, then
        others spread evenly, up to CASES in all; last the synthesized rows. Answers and encodings may need
        more, but at most MOST_CASES without synthesized rows.
    """
    chosen: dict[int, None] = {}  # a set that keeps its order
    synthesized = [i for i, e in enumerate(examples) if e.synthesized]
    candidates = [i for i, e in enumerate(examples) if not e.synthesized]
    if certainty is not None and labels is not None:
        candidates = [i for i in candidates if certainty[i] > 4 * tolerance]
        synthesized = [i for i in synthesized if certainty[i] > 4 * tolerance]
        for i in sorted(candidates, key=lambda i: certainty[i])[:_LEAST_CERTAIN]:
            chosen[i] = None
        _cover(chosen, candidates, [tuple(found) for found in labels])
    _cover(chosen, candidates, [e.encoding for e in examples])
    _cover(chosen, candidates, [e.orientation for e in examples])
    unusual = [i for i in _unusual(examples, candidates) if i not in chosen][:_UNUSUAL]
    for i in unusual[: max(0, CASES - len(chosen))]:
        chosen[i] = None
    spread = np.linspace(0, len(candidates) - 1, min(CASES, len(candidates))).round().astype(int)
    for i in [*(candidates[s] for s in spread), *candidates]:
        if len(chosen) >= CASES:
            break
        chosen[i] = None
    return [*list(chosen)[:MOST_CASES], *(synthesized if chosen else [])]


def _cover(chosen: dict[int, None], candidates: list[int], kinds: list[Any]) -> None:
    seen = {kinds[i] for i in chosen}
    for i in candidates:
        if kinds[i] not in seen:
            seen.add(kinds[i])
            chosen[i] = None


def _unusual(examples: list[Example], candidates: list[int]) -> list[int]:
    """Rows with missing numbers, then with rare strings, then with the extremes of most columns."""
    rows = [examples[i].inputs for i in candidates if examples[i].pixels is None]
    if len(rows) < len(candidates) or not rows:
        return []
    if any(a.shape != rows[0][name].shape for of in rows for name, a in of.items()):
        return []
    columns = [np.stack([of[name].reshape(-1) for of in rows]) for name in rows[0]]
    if sum(c.shape[1] for c in columns) > _WIDEST:
        return []
    missing, rare, extreme = np.zeros((3, len(rows)))
    for cells in (c[:, i] for c in columns for i in range(c.shape[1])):
        if cells.dtype.kind == "f":
            missing += np.isnan(cells)
            if np.isnan(cells).all():
                continue
        if cells.dtype.kind in "fiu":
            extreme += (cells == np.nanmin(cells)) | (cells == np.nanmax(cells))
        elif cells.dtype.kind == "O":
            _, at, count = np.unique(cells, return_inverse=True, return_counts=True)
            rare = np.maximum(rare, (count[at] < len(rows) / len(count) / 2) / count[at])
    found = [int(scores.argmax()) for scores in (missing, rare) if scores.any()]
    found += [i for i in np.argsort(-extreme, kind="stable").tolist() if extreme[i] and i not in found]
    return [candidates[i] for i in found]


def record(
    stage: Staging,
    number: int,
    example: Example,
    outputs: Arrays,
    labels: list[str] | None,
    *,
    several: bool,
    folder: str = "golden",
) -> dict[str, Any]:
    """Write one case's files and return its entry in the manifest.

    Args:
        stage: the bundle being written.
        number: the case's position in the replay.
        example: the raw input, with its pixels and inputs.
        outputs: the training framework's answer, each with a batch of one.
        labels: its answer, for a model with labels.
        several: whether the answer is every label above its threshold, or the best one.
        folder: the folder for the files, in the bundle.
    """
    stem = f"{folder}/{number:03d}"
    entry: dict[str, Any] = {
        "id": f"{number:03d}",
        "input": stage.add(stem + _SUFFIX[example.content_type], example.raw),
        "content_type": example.content_type,
        "source": example.source,
        **({"synthesized": True} if example.synthesized else {}),
    }
    if example.pixels is not None:
        png = io.BytesIO()
        Image.fromarray(example.pixels).save(png, "PNG")
        entry["pixels"] = stage.add(stem + ".pixels.png", png.getvalue())
    tensors = {f"input.{k}": v for k, v in example.inputs.items()} | {
        f"output.{k}": v for k, v in outputs.items()
    }
    entry["tensors"] = stage.add(stem + ".safetensors", save(pack(tensors)))
    if labels is not None:
        entry |= {"labels": labels} if several else {"label": labels[0]}
    return entry
