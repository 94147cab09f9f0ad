"""Slim bundles: without a report and without the examples' pictures, and still proven.

Generated pictures (``_patterns``) replace the examples' pictures in the golden cases. In an export the
training framework answers them. A bundle that is made slim later has no framework: its own graph
answers, once it is proven on the bundle's own cases, and the slim bundle says so.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from safetensors.numpy import load_file

from forgo import _binary
from forgo._bundle import MANIFEST, Staging, check_path
from forgo._errors import ExportError, ParityError
from forgo._preprocess import Preprocessor
from forgo.exporting import _engines, _golden, _patterns, _tasks, _warmup
from forgo.exporting._arrays import unpack
from forgo.exporting._examples import Example, from_rows, read_pictures, stack
from forgo.exporting._model import Arrays, TensorInfo
from forgo.exporting._request import Result

_LEFT_OUT = ("golden/", "report.html", "test_data_set_", "saved_model/assets.extra/")


def made_examples(
    preprocess: Preprocessor, info: TensorInfo, others: list[TensorInfo], rows: Arrays
) -> list[Example]:
    """Examples with generated pictures; other inputs take the given rows in turns."""
    with tempfile.TemporaryDirectory(prefix="forgo-made-") as folder:
        pictures, refused = read_pictures(_patterns.write(Path(folder)), preprocess, info)
    if refused:
        raise ExportError(f"a generated picture is refused: {refused[0]}")
    if not others:
        return [e for e in pictures if e is not None]
    turns = {name: a[np.arange(len(pictures)) % len(a)] for name, a in rows.items()}
    return from_rows(turns, others, pictures)


def slim(bundle: str | Path, path: str | Path, *, force: bool = False) -> Result:
    """Copy a bundle without its report and without the examples' pictures.

    Without pictures the cases are kept. Otherwise generated pictures replace the examples';
    the bundle's own graph answers them, once it is proven on the bundle's own cases.

    Args:
        bundle: a bundle with golden cases.
        path: where to write the slim bundle: ``NAME.forgo``.
        force: replace a bundle that exists at ``path``.

    Returns:
        The slim bundle's path and the Go binary's verdict on it.

    Raises:
        BundleError: something exists at path already.
        ExportError: the bundle has no cases, or is already slim.
        ParityError: the bundle is refused.
    """
    source, target = Path(bundle), Path(path)
    check_path(target, force=force)
    if target.suffix != ".forgo":
        raise ExportError(f"{target}: a bundle's name ends in .forgo")
    if not (source / MANIFEST).is_file():
        raise ExportError(f"{source}: it is not a bundle: it has no {MANIFEST}")
    proven = _binary.verify(source)
    if proven["mode"] != "full":
        raise ExportError(f"{source}: it has no golden cases to prove a slim bundle with")
    manifest = json.loads((source / MANIFEST).read_text())
    if manifest["golden"].get("made"):
        raise ExportError(f"{source}: it is already slim: its pictures are generated")
    with Staging(target, force=force) as stage:
        pictures = "picture" in manifest
        for name in manifest["files"]:
            kept = not name.startswith(_LEFT_OUT if pictures else _LEFT_OUT[1:2])
            if kept and (source / name).is_file():
                stage.add(name, (source / name).read_bytes())
        worst = 0.0
        if pictures:
            manifest["golden"], worst = _cases(source, manifest, stage, proven)
        manifest["provenance"]["slim"] = {
            "of": (source / "forgo.sha256").read_text()[:64],
            "cases": proven["cases"],
            "largest_difference": max(worst, proven["largest_difference"]),
        }
        for key in ("format", "name", "files"):
            manifest.pop(key)
        stage.write_manifest(manifest)
        parity = _binary.verify(stage.folder)
        stage.commit()
    return Result(path=str(target), parity=parity, framework_difference=None, refused=[])


def _cases(
    source: Path, manifest: dict[str, Any], stage: Staging, proven: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Golden cases with generated pictures, once Python has proven the graph too; and its largest difference."""
    inputs, outputs = (
        [TensorInfo(e["name"], e["dtype"], tuple(e["shape"])) for e in manifest[kind]]
        for kind in ("inputs", "outputs")
    )
    tolerance = manifest["tolerance"]["model"]
    graph = _engines.named(manifest["engine"]).reopen(source, manifest, inputs, outputs)
    ask = graph.runtime.answer
    given: list[Arrays] = []
    wanted: list[Arrays] = []
    for case in manifest["golden"]["cases"]:
        tensors = unpack(load_file(source / case["tensors"]))
        for kind, into in (("input.", given), ("output.", wanted)):
            into.append({k.removeprefix(kind): v for k, v in tensors.items() if k.startswith(kind)})
    worst = 0.0
    for case, got, want in zip(manifest["golden"]["cases"], ask(given), wanted, strict=True):
        for name, a in want.items():
            d = _golden.difference(got[name], a)
            worst = max(worst, d)
            if d > tolerance:
                raise ParityError(
                    f"{source}: {name!r} of case {case['id']} differs by {d:.3g} in Python",
                    stage="model",
                    difference=d,
                )
    info = next(e for e in inputs if e.name == manifest["picture"]["input"])
    others = [e for e in inputs if e is not info]
    rows = {e.name: np.concatenate([g[e.name] for g in given]) for e in others}
    picture = manifest["picture"]
    preprocess = Preprocessor(onnx.load(source / picture["preprocess"]), picture.get("alpha"))
    examples = made_examples(preprocess, info, others, rows)
    answers = ask([stack([e]) for e in examples])
    expected = {o.name: np.concatenate([a[o.name] for a in answers]) for o in outputs}
    limits, labels, certainty = manifest.get("thresholds"), None, None
    if "labels" in manifest:
        labels = _tasks.answers(expected[outputs[0].name], limits, manifest["labels"])
        certainty = _tasks.certainty(expected[outputs[0].name], limits)
    chosen = _golden.choose(examples, certainty, labels, tolerance)
    if not chosen:
        raise ExportError(f"{source}: the model's two best classes are too close on every generated picture")
    cases = [
        _golden.record(
            stage, number, examples[i], answers[i], labels[i] if labels else None, several=limits is not None
        )
        for number, i in enumerate(chosen)
    ]
    folder = manifest["graph"]["path"]
    if graph.saved is not None and f"{folder}/{_warmup.FILE}" in manifest["files"]:
        tensors_of = [(examples[i].inputs, answers[i]) for i in chosen]
        _warmup.write(stage, folder, stage.path.name.removesuffix(".forgo"), graph.saved, tensors_of)
    made = f"answered by the bundle's own graph, after it was proven on the {proven['cases']} cases of the whole bundle"
    return {"cases": cases, "made": made}, worst
