"""From a trained model to a proven bundle: framework, the graph's engine in Python, the Go binary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from forgo import _binary, _preprocess
from forgo._bundle import Staging, name_of
from forgo._errors import ExportError, Note, argument
from forgo._picture import MEDIA
from forgo.exporting import (
    _accuracy,
    _conventions,
    _engines,
    _expected_labels,
    _golden,
    _manifest,
    _parity,
    _signatures,
    _synthesized,
    _tasks,
    _test_data,
    _warmup,
)
from forgo.exporting._engine import Graph
from forgo.exporting._examples import Example, from_rows, stack
from forgo.exporting._inputs import (
    check_prepared,
    headed,
    normalized,
    picture_input,
    preprocessor,
    read_examples,
)
from forgo.exporting._model import Arrays, Trained, innermost
from forgo.exporting._request import LOOSEST_TOLERANCE, Request, Result

CONVERTED_GRAPH = "converted graph"
"""The manifest's word for golden cases that hold the graph's own answers."""
NO_EXAMPLES = "none were given when it was exported"
_PREPROCESS_TOLERANCE = 1e-5
"""Both sides run the same graph; only the machine's arithmetic may differ."""


def run(model: Trained, request: Request) -> Result:
    """Export a model, prove it on every side, and write the bundle.

    Raises:
        ExportError: the model or the examples cannot be used.
        ParityError: two sides of the chain answer differently. No bundle is left behind.
    """
    if not 0 < request.tolerance <= LOOSEST_TOLERANCE:
        raise ExportError(
            f"{argument('tolerance')} must be above 0 and at most {LOOSEST_TOLERANCE:g}, not {request.tolerance:g}"
        )
    original, model = model, headed(normalized(model, request), request)
    with Staging(request.path, "saved_model" if request.bare else None, force=request.force) as stage:
        preprocess, picture = preprocessor(model, request), None
        examples, refused = read_examples(model, request, preprocess)
        if preprocess is not None:
            picture = {
                "input": picture_input(model, request).name,
                "preprocess": stage.add("preprocess.onnx", preprocess.graph),
                "channels": 3,
                "orientation": "applied",
                "alpha": request.alpha,
                "rules": preprocess.rules.recorded(),
                "accept": list(MEDIA),
            }
        proven = request.pictures is not None or request.rows is not None
        if proven and not examples:
            why = f", the first because {refused[0]}" if refused else ""
            raise ExportError(
                f"parity cannot be proven without examples: none of the given ones can be used{why}"
            )

        preprocess_check = check_prepared(model, examples, request)
        expected = _parity.expected_answers(original, examples, request) if proven else None
        task = _tasks.check(model.outputs[0], request.labels, request.task, expected)
        limits = _tasks.thresholds(request.thresholds, request.labels, request.task)
        engine = _engines.named(request.engine)
        graph = engine.write(model, stage, request)
        runtime = graph.runtime
        signatures, signature_notes = _signatures.others(
            model, request, examples if preprocess is None else [], proven=proven
        )
        if model.batch is not None:
            graph.entry["batch"] = model.batch
        worst = (
            _parity.check(runtime, examples, expected, request.tolerance) if expected is not None else None
        )
        if signatures:
            difference = _signatures.prove(stage.folder / graph.entry["path"], signatures, request.tolerance)
            worst = max(worst, difference) if worst is not None else None
        golden: dict[str, Any] = {"cases": [], "none": NO_EXAMPLES}
        if expected is not None:
            recorded, answers = examples, expected
            if request.slim and preprocess is not None:
                recorded, answers = _generate(model, request, preprocess)
                worst = max(worst or 0, _parity.check(runtime, recorded, answers, request.tolerance))
            beside = _beside(model)
            if beside:
                more = _parity.answers(original, beside, request)
                worst = max(worst or 0, _parity.check(runtime, beside, more, request.tolerance))
                answers = {name: np.concatenate([a, more[name]]) for name, a in answers.items()}
            golden = {"cases": _record(model, stage, [*recorded, *beside], answers, limits, request, graph)}
            if recorded is not examples:
                golden["made"] = "answered by the training framework"
            if request.expected is None and getattr(innermost(model), "own_answers", False):
                golden["expected_from"] = CONVERTED_GRAPH

        manifest: dict[str, Any] = {
            "task": task,
            "engine": engine.name,
            "graph": graph.entry,
            "inputs": [_manifest.entry(e, graph.saved, graph.inside) for e in model.inputs],
            "outputs": [_manifest.entry(e, graph.saved) for e in model.outputs],
            **({"columns": columns} if (columns := getattr(innermost(model), "columns", None)) else {}),
            **({"labels": request.labels} if request.labels else {}),
            **({"thresholds": limits} if limits else {}),
            **({"picture": picture} if picture else {}),
            "tolerance": {"decode": 0, "preprocess": _PREPROCESS_TOLERANCE, "model": request.tolerance},
            "golden": golden,
            **(
                {"signatures": _signatures.record(stage, signatures, request.tolerance, NO_EXAMPLES)}
                if signatures
                else {}
            ),
            "provenance": {
                **({"formats": _manifest.formats(examples)} if preprocess is not None and examples else {}),
                **_manifest.provenance(model, request, worst),
                **({"preprocess": preprocess_check} if preprocess_check else {}),
            },
        }
        parity = _finish(stage, manifest, request, len(examples), runtime.name)
        found, hints = _accuracy.Measured(), []
        if preprocess is not None and request.report is None:  # forgo did not train it
            hints = _conventions.notes(original, request.normalization)
        scores = None if expected is None else expected[model.outputs[0].name]
        assumed = None if scores is None else _expected_labels.assumed_labels(request, scores)
        if request.folders and not assumed and request.task is None:
            found = _accuracy.Measured(notes=[_expected_labels.unmeasured(request.folders, model.outputs[0])])
        if scores is not None and (task in _tasks.LABELLED or assumed):
            unnormalized = headed(original, request)
            name = picture_input(model, request).name if preprocess is not None else None
            found = _accuracy.judge(unnormalized, request, stage.folder, examples, scores, name)
            _accuracy.accept_or_refuse(found, request, hints)
        if found.examples:
            provenance = manifest["provenance"]
            provenance["metrics"] = {**provenance.get("metrics", {}), **found.metrics()}
            provenance["accuracy"] = found.entry()
            parity = _finish(stage, manifest, request, len(examples), runtime.name)
        stage.commit()
    measured = found.entry() if found.examples else None
    return Result(
        str(request.path),
        parity,
        worst,
        refused,
        measured,
        [Note(line) for line in [*request.notes, *signature_notes, *hints, *found.notes]],
    )


def _finish(
    stage: Staging, manifest: dict[str, Any], request: Request, examples: int, engine: str
) -> dict[str, Any]:
    """Write the files that describe the bundle, and have Go verify it."""
    from forgo import report

    for name, text in report.render(request.path, manifest, request.report, examples, engine).items():
        if not (request.slim and name == "report.html"):
            stage.add(name, text.encode())
    stage.write_manifest(manifest)
    return _binary.verify(stage.folder)


def _generate(
    model: Trained, request: Request, preprocess: _preprocess.Preprocessor
) -> tuple[list[Example], Arrays]:
    """Return examples with generated pictures, and the framework's answers to them."""
    from forgo.exporting._slim import made_examples

    info = picture_input(model, request)
    examples = made_examples(preprocess, info, [e for e in model.inputs if e is not info], request.rows or {})
    return examples, model.predict(stack(examples))


def _beside(model: Trained) -> list[Example]:
    """The rows that a model of tables was proven on beside the examples."""
    rows: _synthesized.Rows | None = getattr(innermost(model), "synthesized", None)
    if rows is None:
        return []
    made = from_rows(rows.inputs, model.inputs, missing=True)
    return [replace(e, source=o, synthesized=True) for e, o in zip(made, rows.origins, strict=True)]


def _record(
    model: Trained,
    stage: Staging,
    examples: list[Example],
    expected: Arrays,
    limits: list[float] | None,
    request: Request,
    graph: Graph,
) -> list[dict[str, Any]]:
    labels, certainty = None, None
    if request.labels is not None:
        scores = expected[model.outputs[0].name]
        certainty = _tasks.certainty(scores, limits)
        labels = _tasks.answers(scores, limits, request.labels)
    chosen = _golden.choose(examples, certainty, labels, request.tolerance)
    if not chosen:
        raise ExportError(
            "the model's two best classes are too close on every example: give examples that it tells apart"
        )
    answers = [{name: a[i : i + 1] for name, a in expected.items()} for i in chosen]
    tensors = [(examples[i].inputs, outputs) for i, outputs in zip(chosen, answers, strict=True)]
    saved = graph.saved
    if saved and saved.signature and not request.bare and model.batch in (None, 1):
        _warmup.write(stage, graph.entry["path"], name_of(request.path), saved, tensors)
    if request.onnx_test_data and model.batch not in (None, 1):
        raise ExportError(
            f"{argument('onnx_test_data')} writes one row for each case, but this model takes {model.batch} rows at once"
        )
    if request.onnx_test_data:
        _test_data.write(
            stage,
            {e.name: graph.inside.get(e.name, e.name) for e in model.inputs},
            [e.name for e in model.outputs],
            tensors,
        )
    cases = []
    for number, (i, outputs) in enumerate(zip(chosen, answers, strict=True)):
        answer = labels[i] if labels is not None else None
        cases.append(_golden.record(stage, number, examples[i], outputs, answer, several=limits is not None))
    return cases
