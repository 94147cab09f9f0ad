"""A SavedModel's other signatures: those that can be proven go into the bundle.

Each is proven on examples of its own. Without any, it gets the model's examples: as they are, if its inputs
are the same; as its only input, if that fits; as tf.Examples, if it parses those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgo._bundle import Staging
from forgo._errors import ExportError, argument
from forgo.exporting import _engines, _golden, _reload
from forgo.exporting._arguments import is_table, split_examples
from forgo.exporting._examples import Example, as_bytes, from_rows, stack
from forgo.exporting._manifest import entry
from forgo.exporting._model import STRING, UNNAMED, Arrays, TensorInfo, Trained, innermost
from forgo.exporting._parity import batches, compare
from forgo.exporting._rows import read_examples
from forgo.exporting._saved_model import SavedModel

if TYPE_CHECKING:
    from forgo.exporting._request import Request

FOLDER = "signatures"
"""The folder of their golden cases."""
MOST = 64
"""The most signatures that a bundle holds beside its own."""
_FEATURES = {"f": "float_list", "i": "int64_list", "u": "int64_list", "b": "int64_list", "O": "bytes_list"}


@dataclass(frozen=True)
class OtherSignature:
    """A signature that the bundle keeps beside its model's own."""

    model: SavedModel
    examples: list[Example]
    expected: Arrays | None
    """TensorFlow's answers to the examples; None without examples."""

    @property
    def name(self) -> str:
        """The signature's name."""
        return self.model.signature or ""


def others(
    model: Trained, request: Request, examples: list[Example], *, proven: bool
) -> tuple[list[OtherSignature], list[str]]:
    """The other signatures that the bundle keeps, and notes on all of them."""
    inner = innermost(model)
    names = getattr(inner, "others", [])
    if request.bare or not names:
        if request.signature_rows:
            raise ExportError(
                f"{argument('signature_examples')} needs a bundle of a SavedModel with several signatures"
            )
        return [], []
    why = None
    if not _engines.named(request.engine).saved_model:
        why = f"{argument('engine', _engines.SAVED_MODEL.name)} keeps all"
    elif inner is not model:
        why = "a normalization or head makes a new graph"
    if why is not None:
        if request.signature_rows or (request.signature and request.signature != inner.signature):
            raise ExportError(
                f"{inner.folder}: the bundle can keep only the signature {inner.signature!r}: {why}"
            )
        return [], [f"only the signature {inner.signature} is kept, not {', '.join(names)}: {why}"]
    kept, left_out = keep(inner, examples, request.signature_rows, request.tolerance, proven=proven)
    if request.signature and left_out:
        name, reason = next(iter(left_out.items()))
        raise ExportError(f"{inner.folder}: signature {name!r} cannot be kept: {reason}")
    return kept, notes(inner, kept, left_out)


def keep(
    model: SavedModel, examples: list[Example], given: dict[str, Arrays], tolerance: float, *, proven: bool
) -> tuple[list[OtherSignature], dict[str, str]]:
    """Choose the signatures that can be kept, and get TensorFlow's answers to prove each.

    Args:
        model: the model, called by its own signature.
        examples: the model's examples, if they are rows.
        given: rows for other signatures, by name.
        tolerance: the model stage's tolerance.
        proven: whether there are golden cases at all.

    Returns:
        The signatures kept; and for each other one the reason.

    Raises:
        ExportError: there are rows for an unknown signature, or rows that do not fit it.
    """
    for name in given:
        if name not in model.others:
            raise ExportError(
                f"{model.folder}: there are examples for the signature {name!r}; beside {model.signature!r} it has "
                f"{', '.join(model.others) or 'none'}"
            )
    kept: list[OtherSignature] = []
    left_out: dict[str, str] = {}
    for name in model.others:
        try:
            if len(kept) == MOST:
                raise ExportError(f"{model.folder}: a bundle holds at most {MOST} signatures beside its own")
            kept.append(_answer(model, name, examples, given.get(name), tolerance, proven))
        except ExportError as e:
            if name in given:
                raise
            left_out[name] = e.message.removeprefix(f"{model.folder}: ")
    return kept, left_out


def _answer(
    model: SavedModel, name: str, examples: list[Example], rows: Arrays | None, tolerance: float, proven: bool
) -> OtherSignature:
    sibling = model.sibling(name)
    infos = [e.name for e in [*sibling.inputs, *sibling.outputs]]
    if len(set(infos)) < len(infos):
        raise ExportError("an input and an output have the same name")
    if not proven:
        sibling.settle(None)
        return OtherSignature(sibling, [], None)
    if rows is None:
        rows = _alike(sibling, model, examples)
    sibling.settle(rows)
    own = from_rows(rows, sibling.inputs, lists=list(rows) == [UNNAMED])
    inputs = stack(own)
    expected = sibling.predict(inputs)
    once = sibling.predict({n: a[:1] for n, a in inputs.items()})
    for output, a in expected.items():
        if len(a) != len(own):
            raise ExportError(f"its output {output!r} has {len(a)} rows for {len(own)}")
        if _golden.difference(once[output], a[:1]) > tolerance:
            raise ExportError(
                f"it answers {output!r} differently when it runs again: it keeps state, or its rows depend on one "
                "another; no replay can prove that"
            )
    return OtherSignature(sibling, own, expected)


def _alike(sibling: SavedModel, model: SavedModel, examples: list[Example]) -> Arrays:
    """Rows for a signature, from another's rows.

    Raises:
        ExportError: they do not fit its inputs.
    """
    have = stack(examples) if examples else {}
    if all(e.name in have and _fits(have[e.name], e) for e in sibling.inputs):
        return {e.name: have[e.name] for e in sibling.inputs}
    if len(sibling.inputs) == 1 and have:
        (info,) = sibling.inputs
        (first, *more) = have.values()
        if not more and _fits(first, info):
            return {info.name: first}
        if info.dtype == STRING and info.shape == (None,):
            return {info.name: _as_examples(have)}
    takes = ", ".join(f"{e.name} {e.dtype}{list(e.shape)}" for e in sibling.inputs)
    raise ExportError(
        f"the examples do not fit its inputs ({takes}): give rows for {sibling.signature!r} with {argument('signature_examples')}"
    )


def _fits(array: Any, info: TensorInfo) -> bool:
    kind = STRING if array.dtype.kind == "O" else array.dtype.name
    return kind == info.dtype and (
        info.shape == (-1,)
        or (
            len(info.shape) == array.ndim
            and all(want in (None, size) for want, size in zip(info.shape[1:], array.shape[1:], strict=True))
        )
    )


def _as_examples(rows: Arrays) -> Any:
    """Serialize each row as a tf.Example, whose features are the inputs."""
    import tensorflow as tf

    made = np.empty(len(next(iter(rows.values()))), dtype=object)
    for i in range(len(made)):
        example = tf.train.Example()
        for name, array in rows.items():
            values = getattr(example.features.feature[name], _FEATURES[array.dtype.kind]).value
            values.extend(array[i].ravel().tolist())
        made[i] = example.SerializeToString(deterministic=True)
    return made


def prove(folder: Path, kept: list[OtherSignature], tolerance: float) -> float:
    """Compare the written SavedModel with TensorFlow's answers, signature by signature.

    Returns:
        The largest difference.

    Raises:
        ParityError: the difference is above the tolerance.
    """
    proven = [b for b in kept if b.expected is not None]
    if not proven:
        return 0.0
    calls = [
        _reload.Call(
            b.model.graph(), b.model.inputs, b.model.outputs, [stack(part) for _, part in batches(b.examples)]
        )
        for b in proven
    ]
    answers = _reload.answer(folder, calls)
    return max(
        compare(batches(b.examples), got, b.expected or {}, tolerance, f"TensorFlow, by signature {b.name!r}")
        for b, got in zip(proven, answers, strict=True)
    )


def record(stage: Staging, kept: list[OtherSignature], tolerance: float, none: str) -> list[dict[str, Any]]:
    """Write the golden cases of each, and return their entries in the manifest."""
    entries = []
    for number, signature in enumerate(kept):
        graph = signature.model.graph()
        golden: dict[str, Any] = {"cases": [], "none": none}
        if signature.expected is not None:
            expected = signature.expected
            chosen = _golden.choose(signature.examples, None, None, tolerance)
            golden = {
                "cases": [
                    _golden.record(
                        stage, i, signature.examples[e], {n: a[e : e + 1] for n, a in expected.items()}, None,
                        several=False, folder=f"{FOLDER}/{number}",
                    )
                    for i, e in enumerate(chosen)
                ]
            }  # fmt: skip
        entries.append(
            {
                "name": signature.name,
                "method": graph.method,
                **({} if signature.model.batch is None else {"batch": signature.model.batch}),
                "inputs": [entry(e, graph) for e in signature.model.inputs],
                "outputs": [entry(e, graph) for e in signature.model.outputs],
                "golden": golden,
            }
        )
    return entries


def notes(model: SavedModel, kept: list[OtherSignature], left_out: dict[str, str]) -> list[str]:
    """Notes for users, one line each."""
    lines = []
    if kept:
        lines.append(
            f"{1 + len(kept)} signatures are kept: {model.signature}, which answers clients that name none, "
            + ", ".join(b.name for b in kept)
        )
    return lines + [f"signature {name} is left out: {why}" for name, why in left_out.items()]


def rows_of(name: str, given: Any) -> Arrays:
    """A signature's rows, from a file or arrays.

    Raises:
        ExportError: they cannot be read.
    """
    read = read_examples(Path(given)) if isinstance(given, str | Path) else given
    if is_table(read):
        raise ExportError(
            f"examples of the signature {name!r} must be rows in a .jsonl, .json, .npy or .npz file"
        )
    pictures, picture_name, rows = split_examples(read)
    return {**(rows or {}), **({picture_name: as_bytes(pictures)} if pictures else {})}
