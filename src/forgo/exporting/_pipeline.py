"""From a trained model to a proven bundle: framework, the graph's engine in Python, the Go binary."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

import forgo
from forgo import _binary, _onnxruntime, _preprocess, _rules
from forgo._bundle import Staging, name_of
from forgo._errors import ExportError, ForgoError, ParityError, argument
from forgo._picture import MEDIA, Alpha
from forgo.exporting import (
    _accuracy,
    _conventions,
    _engines,
    _expected_labels,
    _golden,
    _heads,
    _normalization,
    _signatures,
    _tasks,
    _test_data,
    _user_preprocess,
    _warmup,
)
from forgo.exporting._engine import Graph, Runtime
from forgo.exporting._examples import PICTURE, Example, from_cells, from_rows, read_pictures, stack
from forgo.exporting._model import UNNAMED, Arrays, SavedGraph, TensorInfo, Trained, innermost

CHANNELS = (1, 3)
"""A picture's channels in the model: grey, or RGB."""
TOLERANCE = 1e-4
LOOSEST_TOLERANCE = 1e-3
CONVERTED_GRAPH = "converted graph"
"""The manifest's word for golden cases that hold the graph's own answers."""
NO_EXAMPLES = "none were given when it was exported"
_PREPROCESS_TOLERANCE = 1e-5
"""Both sides run the same graph; only the machine's arithmetic may differ."""


@dataclass(frozen=True)
class Request:
    """What to export, and how. The examples are pictures, rows, or both for a model that takes both."""

    path: Path
    force: bool = False
    """Replace an older bundle at ``path``."""
    pictures: list[Path] | None = None
    picture_name: str = UNNAMED
    """The examples' name for the picture input, if there are other inputs."""
    rows: Arrays | None = None
    table: bool = False
    """Whether rows are a table's cells, strings [rows, elements]."""
    missing: bool = False
    """Whether numbers in rows may be missing: NaN."""
    precision: str | None = None
    """The type of numbers in a model of tables: "float32" or "float64"."""
    answers_from: str | None = None
    """Where ``expected`` came from, if not from the model in memory."""
    lists: bool = False
    """Whether bare values may be lists of rows, as in JSON."""
    labels: list[str] | None = None
    expected_labels: list[Any] | None = None
    """The right label of each example, None if unknown; for a multi-label model, a list of labels."""
    folders: list[str] | None = None
    """The examples' class folders, sorted, if there are no labels."""
    accept_accuracy: bool = False
    """Write the bundle even if its accuracy shows that pictures are prepared wrongly."""
    task: str | None = None
    append: _heads.Append | None = None
    """What to append to the model's first output."""
    thresholds: _tasks.Thresholds | None = None
    """Thresholds for the labels of a multi-label model."""
    resize: _rules.Resize = "bilinear"
    fit: _rules.Fit = "stretch"
    shorter_side: int | None = None
    """For the fit shorter-side."""
    pad_colour: _rules.Colour = (0, 0, 0)
    """For the fit pad."""
    alpha: Alpha = "drop"
    """What happens to transparent pixels."""
    normalization: _normalization.Normalization = field(default_factory=_normalization.Normalization)
    """Becomes part of the graph, before the picture input."""
    prepared: npt.NDArray[np.float32] | None = None
    """The user's own function's array for each picture, refused ones included."""
    tolerance: float = TOLERANCE
    engine: str = _engines.NAMES[0]
    tags: list[str] | None = None
    """Tags of the SavedModel to write or, if the model is one, of the graph to export."""
    signature: str | None = None
    """For a SavedModel, the signature to call, or those to keep, with commas between them."""
    signature_rows: dict[str, Arrays] = field(default_factory=dict)
    """Examples for its other signatures, by their names."""
    input_operations: list[str] | None = None
    output_operations: list[str] | None = None
    first_output: str | None = None
    """A new name for the first output."""
    onnx_test_data: bool = False
    """Also write the golden cases in ONNX's own form."""
    bare: bool = False
    """Write only the SavedModel, without the bundle that proved it."""
    trust: bool = False
    slim: bool = False
    """Leave out the report and the examples' pictures; generated ones become the golden cases."""
    expected: Arrays | None = None
    """The framework's answers by output name, a row for each example, if they are known already;
    the loaded model answers for outputs that are missing."""
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """The caller's notes on the examples, for the result."""
    report: dict[str, Any] | None = None
    """What the report shows about the training, if forgo trained the model."""

    @property
    def rules(self) -> _rules.Rules:
        """How pictures are brought to the model's size."""
        red, green, blue = self.pad_colour  # a list, if it comes from another process
        return _rules.Rules(self.resize, self.fit, self.shorter_side, (red, green, blue))


@dataclass(frozen=True)
class Result:
    """A bundle that was written, and how its proof went."""

    path: str
    parity: dict[str, Any]
    """The Go binary's verdict, as ``forgo verify --json`` prints it."""
    framework_difference: float | None
    """The largest difference between the training framework and the graph's engine in Python;
    None without examples."""
    refused: list[str]
    """Example pictures that no rule covers, with the reason."""
    accuracy: dict[str, Any] | None = None
    """The bundle's accuracy on labelled examples, as in the manifest's provenance."""
    notes: list[str] = field(default_factory=list)
    """What users should know about the export, one line each."""


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
    given, model = model, headed(normalized(model, request), request)
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

        agreed = check_prepared(model, examples, request)
        expected = _expected(given, examples, request) if proven else None
        task = _tasks.check(model.outputs[0], request.labels, request.task, expected)
        limits = _tasks.thresholds(request.thresholds, request.labels, request.task)
        engine = _engines.named(request.engine)
        graph = engine.write(model, stage, request)
        runtime = graph.runtime
        kept, said_of = _signatures.beside(
            model, request, examples if preprocess is None else [], proven=proven
        )
        if model.batch is not None:
            graph.entry["batch"] = model.batch
        worst = check(runtime, examples, expected, request.tolerance) if expected is not None else None
        if kept:
            beside = _signatures.prove(stage.folder / graph.entry["path"], kept, request.tolerance)
            worst = max(worst, beside) if worst is not None else None
        golden: dict[str, Any] = {"cases": [], "none": NO_EXAMPLES}
        if expected is not None:
            recorded, said = examples, expected
            if request.slim and preprocess is not None:
                recorded, said = _made(model, request, preprocess)
                worst = max(worst or 0, check(runtime, recorded, said, request.tolerance))
            golden = {"cases": _record(model, stage, recorded, said, limits, request, graph)}
            if recorded is not examples:
                golden["made"] = "answered by the training framework"
            if request.expected is None and getattr(innermost(model), "own_answers", False):
                golden["expected_from"] = CONVERTED_GRAPH

        manifest: dict[str, Any] = {
            "task": task,
            "engine": engine.name,
            "graph": graph.entry,
            "inputs": [entry(e, graph.saved, graph.inside) for e in model.inputs],
            "outputs": [entry(e, graph.saved) for e in model.outputs],
            **({"columns": columns} if (columns := getattr(innermost(model), "columns", None)) else {}),
            **({"labels": request.labels} if request.labels else {}),
            **({"thresholds": limits} if limits else {}),
            **({"picture": picture} if picture else {}),
            "tolerance": {"decode": 0, "preprocess": _PREPROCESS_TOLERANCE, "model": request.tolerance},
            "golden": golden,
            **(
                {"signatures": _signatures.record(stage, kept, request.tolerance, NO_EXAMPLES)}
                if kept
                else {}
            ),
            "provenance": {
                **({"formats": _formats(examples)} if preprocess is not None and examples else {}),
                **_provenance(model, request, worst),
                **({"preprocess": agreed} if agreed else {}),
            },
        }
        parity = _finish(stage, manifest, request, len(examples), runtime.name)
        found, hints = _accuracy.Measured(), []
        if preprocess is not None and request.report is None:  # forgo did not train it
            hints = _conventions.notes(given, request.normalization)
        scores = None if expected is None else expected[model.outputs[0].name]
        assumed = None if scores is None else _expected_labels.assumed_labels(request, scores)
        if request.folders and not assumed and request.task is None:
            found = _accuracy.Measured(notes=[_expected_labels.unmeasured(request.folders, model.outputs[0])])
        if scores is not None and (task in _tasks.LABELLED or assumed):
            unnormalized = headed(given, request)
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
        str(request.path), parity, worst, refused, measured, [*request.notes, *said_of, *hints, *found.notes]
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


def _made(
    model: Trained, request: Request, preprocess: _preprocess.Preprocessor
) -> tuple[list[Example], Arrays]:
    """Examples with generated pictures, and the framework's answers to them."""
    from forgo.exporting._slim import made_examples

    info = picture_input(model, request)
    examples = made_examples(preprocess, info, [e for e in model.inputs if e is not info], request.rows or {})
    return examples, model.predict(stack(examples))


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


def answers(model: Trained, examples: list[Example], request: Request) -> Arrays:
    """The training framework's answers, with the requested head.

    It gets pixels that NumPy normalized or, if there is one, the arrays that the user's own function
    made.
    """
    inputs = stack(examples)
    if request.prepared is None:
        return headed(normalized(model, request), request).predict(inputs)
    prepared = request.prepared[[e.index for e in examples]]
    return headed(model, request).predict({**inputs, picture_input(model, request).name: prepared})


def _expected(model: Trained, examples: list[Example], request: Request) -> Arrays:
    """The framework's answers to all examples, one row each."""
    saved = answers(model, examples, request)
    again = answers(model, examples[:1], request)
    for name, a in again.items():
        if _golden.difference(a, saved[name][:1]) > request.tolerance:
            raise ExportError(
                f"the model answers {name!r} of {examples[0].source} differently when it runs again: it keeps "
                "state, or its rows depend on one another; no replay can prove that"
            )
    if request.expected is None:
        return saved
    for name, given in request.expected.items():
        if name not in saved:
            raise ExportError(
                f"the expected answers name {name!r}; the model has the outputs {', '.join(saved)}"
            )
        if len(given) != len(examples):
            raise ExportError(
                f"there are {len(given)} expected answers for {name!r}, but {len(examples)} usable examples"
            )
        worst = _golden.difference(saved[name], given)
        if worst > request.tolerance:
            rows = [
                i
                for i in range(len(given))
                if _golden.difference(saved[name][i : i + 1], given[i : i + 1]) > request.tolerance
            ]
            raise ParityError(
                f"{request.answers_from} differs from the model's answers: {name!r} of {examples[rows[0]].source} "
                f"({len(rows)} of {len(given)} rows), by up to {worst:.3g}, tolerance {request.tolerance:.0e}"
                if request.answers_from
                else f"the saved model answers differently from the model in memory: {name!r} by {worst:.3g}",
                stage="model",
                difference=worst,
            )
    own = getattr(innermost(model), "own_answers", False)
    if own and (lacking := [e.name for e in innermost(model).outputs if e.name not in request.expected]):
        raise ExportError(
            f"the expected answers lack the output {lacking[0]!r}: give all outputs, or choose some with {argument('outputs')}"
        )
    return {**saved, **{name: given.astype(saved[name].dtype) for name, given in request.expected.items()}}


def check(runtime: Runtime, examples: list[Example], expected: Arrays, tolerance: float) -> float:
    """Compare the engine in Python with the framework's answers, at batches of 1 and 3.

    Returns:
        The largest difference.

    Raises:
        ParityError: the difference is above the tolerance.
    """
    parts = batches(examples)
    return hold(
        parts, runtime.answer([stack(batch) for _, batch in parts]), expected, tolerance, runtime.name
    )


def batches(examples: list[Example]) -> list[tuple[int, list[Example]]]:
    """Batches of one and of three examples, each with the index of its first."""
    return [(start, examples[start : start + n]) for n in (1, 3) for start in range(0, len(examples), n)]


def hold(
    parts: list[tuple[int, list[Example]]],
    answers: list[Arrays],
    expected: Arrays,
    tolerance: float,
    who: str,
) -> float:
    """Compare answers to batches with the framework's."""
    worst = 0.0
    for (start, batch), got in zip(parts, answers, strict=True):
        for name, want in expected.items():
            d = _golden.difference(got[name], want[start : start + len(batch)])
            if d > tolerance:
                raise ParityError(
                    f"parity refused at stage model: {name!r} of {batch[0].source} in a batch of {len(batch)} differs by "
                    f"{d:.3g} between the training framework and {who}, tolerance {tolerance:.0e}",
                    stage="model",
                    case=batch[0].source,
                    difference=d,
                )
            worst = max(worst, d)
    return worst


def entry(
    info: TensorInfo, graph: SavedGraph | None, inside: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """An input's or output's entry in the manifest."""
    name = (graph.names if graph else inside).get(info.name, info.name)
    entry = {"name": info.name, "graph_name": name, "dtype": info.dtype, "shape": list(info.shape)}
    return {**entry, "hidden": True} if info.hidden else entry


def headed(model: Trained, request: Request) -> Trained:
    """The model with the requested head, or the one that a single probability with two labels needs."""
    return _heads.behind(model, request.append, request.labels, request.task == "multi-label")


def _formats(examples: list[Example]) -> list[str]:
    """The media types of the examples' pictures. Training records its own instead."""
    return sorted({e.encoding.split()[0] for e in examples if e.pixels is not None})


def _provenance(model: Trained, request: Request, worst: float | None) -> dict[str, Any]:
    engine = _engines.named(request.engine)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "forgo": forgo.__version__,
            "framework": model.framework,
            "onnx": onnx.__version__,
            "onnxruntime": _onnxruntime.VERSION,
            engine.name: engine.version(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        **({} if worst is None else {"framework_difference": worst}),
        **innermost(model).provenance,
        **({} if request.normalization.is_identity else {"normalization": request.normalization.entry()}),
        **request.provenance,
    }
