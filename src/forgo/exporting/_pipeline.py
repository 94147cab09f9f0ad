"""From a trained model to a proven bundle: framework, ONNX Runtime, the Go binary."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import forgo
from forgo import _binary, _preprocess
from forgo._bundle import Staging
from forgo._errors import ExportError, ParityError
from forgo._picture import JPEG, PNG
from forgo.exporting import _golden
from forgo.exporting._examples import Example, from_rows, read_pictures, stack
from forgo.exporting._graph import OnnxModel, rename_ends
from forgo.exporting._model import Arrays, End, Trained

TOLERANCE = 1e-4
LOOSEST_TOLERANCE = 1e-3
_PREPROCESS_TOLERANCE = 1e-5
"""Both sides run the same graph; only the machine's arithmetic may differ."""


@dataclass(frozen=True)
class Request:
    """What to export, and as what. Exactly one of pictures and rows gives the examples."""

    place: Path
    pictures: list[Path] | None = None
    rows: Arrays | None = None
    labels: list[str] | None = None
    task: str | None = None
    resize: _preprocess.Resize = "bilinear"
    fit: _preprocess.Fit = "stretch"
    tolerance: float = TOLERANCE
    truth: Arrays | None = None
    """The framework's answers by output name, a row an example, where they were taken from the
    model in memory; the outputs that are missing are asked of the model as it was saved."""
    provenance: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    """What the report shows of the training, if there was one."""


@dataclass(frozen=True)
class Result:
    """A bundle that was written, and how its proof went."""

    path: str
    parity: dict[str, Any]
    """The Go binary's verdict, as ``forgo verify --json`` prints it."""
    framework_difference: float
    """The largest difference between the training framework and ONNX Runtime in Python."""
    refused: list[str]
    """Example pictures that no rule covers, with the reason."""


def run(model: Trained, request: Request) -> Result:
    """Export a model, prove it on every side, and write the bundle.

    Raises:
        ExportError: the model or the examples cannot be used.
        ParityError: two sides of the chain answer differently. No bundle is left behind.
    """
    if not 0 < request.tolerance <= LOOSEST_TOLERANCE:
        raise ExportError(
            f"a tolerance of {request.tolerance:g} is refused: it must be above 0 and at most {LOOSEST_TOLERANCE:g}"
        )
    with Staging(request.place) as stage:
        preprocess, picture = None, None
        refused: list[str] = []
        if request.pictures is not None:
            preprocess = _preprocessor(model, request)
            examples, refused = read_pictures(request.pictures, preprocess, model.inputs[0])
            picture = {
                "input": model.inputs[0].name,
                "preprocess": stage.add("preprocess.onnx", preprocess.graph),
                "channels": 3,
                "orientation": "applied",
                "accept": [JPEG, PNG],
            }
        else:
            assert request.rows is not None
            examples = from_rows(request.rows, model.inputs)
        if not examples:
            why = f", the first because {refused[0]}" if refused else ""
            raise ExportError(
                f"parity cannot be proven without examples: none of those given can be used{why}"
            )

        truth = _truth(model, examples, request)
        task = _task(model, truth, request)
        graph = rename_ends(model.to_onnx(), model.inputs, model.outputs)
        worst = check(OnnxModel(graph, model.outputs), examples, truth, request.tolerance)

        scores = truth[model.outputs[0].name] if task == "classification" else None
        chosen = _golden.choose(examples, scores, request.tolerance)
        if not chosen:
            raise ExportError(
                "no example has a best class beyond doubt: give examples that the model can tell apart"
            )
        cases = []
        for number, i in enumerate(chosen):
            label = request.labels[int(scores[i].argmax())] if scores is not None and request.labels else None
            answers = {name: a[i : i + 1] for name, a in truth.items()}
            cases.append(_golden.record(stage, number, examples[i], answers, label))

        manifest = {
            "task": task,
            "engine": "onnxruntime",
            "graph": {"path": stage.add("model.onnx", graph.SerializeToString())},
            "inputs": [_entry(e) for e in model.inputs],
            "outputs": [_entry(e) for e in model.outputs],
            **({"labels": request.labels} if request.labels else {}),
            **({"picture": picture} if picture else {}),
            "tolerance": {"decode": 0, "preprocess": _PREPROCESS_TOLERANCE, "model": request.tolerance},
            "golden": {"cases": cases},
            "provenance": _provenance(model, request, worst),
        }
        from forgo import report

        for name, text in report.render(request.place, manifest, request.report, len(examples)).items():
            stage.add(name, text.encode())
        stage.write_manifest(manifest)
        parity = _binary.verify(stage.folder)
        stage.commit()
    return Result(str(request.place), parity, worst, refused)


def _preprocessor(model: Trained, request: Request) -> _preprocess.Preprocessor:
    shape = model.inputs[0].shape
    if len(model.inputs) != 1 or len(shape) != 4 or shape[3] != 3 or model.inputs[0].dtype != "float32":
        raise ExportError(
            "pictures need a model with one float32 input [batch, height, width, 3]; "
            f"this one has {', '.join(f'{e.name} {e.dtype}{list(e.shape)}' for e in model.inputs)}"
        )
    if shape[1] is None or shape[2] is None:
        raise ExportError("pictures need a model whose input has a fixed height and width")
    return _preprocess.Preprocessor(
        _preprocess.build(shape[1], shape[2], resize=request.resize, fit=request.fit)
    )


def _truth(model: Trained, examples: list[Example], request: Request) -> Arrays:
    """The framework's answers to all examples, one row each."""
    saved = model.predict(stack(examples))
    if request.truth is None:
        return saved
    for name, given in request.truth.items():
        if len(given) != len(examples):
            raise ExportError(
                f"the answers given for {name!r} are {len(given)}, the usable examples {len(examples)}"
            )
        worst = _golden.difference(saved[name], given)
        if worst > request.tolerance:
            raise ParityError(
                f"the model as saved answers differently from the model in memory: {name!r} by {worst:.3g}",
                stage="model",
                difference=worst,
            )
    return {**saved, **request.truth}


def _task(model: Trained, truth: Arrays, request: Request) -> str:
    if request.labels is None:
        if request.task == "classification":
            raise ExportError("a classifier needs labels")
        return request.task or "tensors"
    if request.task not in (None, "classification"):
        raise ExportError(f"labels are for classification, not for the task {request.task!r}")
    first = model.outputs[0]
    scores = truth[first.name]
    if len(set(request.labels)) != len(request.labels) or not all(request.labels):
        raise ExportError("labels must not repeat or be empty")
    if scores.ndim != 2 or scores.shape[1] != len(request.labels):
        raise ExportError(
            f"there are {len(request.labels)} labels, but the output {first.name!r} has shape {list(scores.shape[1:])}"
        )
    total = scores.astype(np.float64).sum(axis=1)
    if scores.min() < -1e-6 or np.abs(total - 1).max() > 1e-3:
        raise ExportError(
            f"the output {first.name!r} is not probabilities (rows sum to {total.min():.3g} to {total.max():.3g}): end the model with a softmax"
        )
    return "classification"


def check(onnx_model: OnnxModel, examples: list[Example], truth: Arrays, tolerance: float) -> float:
    """Hold ONNX Runtime in Python to the framework's answers, at batches of 1 and of 3.

    Returns:
        The largest difference.

    Raises:
        ParityError: it is above the tolerance.
    """
    worst = 0.0
    for size in (1, 3):
        for start in range(0, len(examples), size):
            batch = examples[start : start + size]
            got = onnx_model.predict(stack(batch))
            for name, want in truth.items():
                d = _golden.difference(got[name], want[start : start + size])
                if d > tolerance:
                    raise ParityError(
                        f"parity refused at stage model: {name!r} of {batch[0].source} in a batch of {len(batch)} differs by "
                        f"{d:.3g} between the training framework and ONNX Runtime, tolerance {tolerance:.0e}",
                        stage="model",
                        case=batch[0].source,
                        difference=d,
                    )
                worst = max(worst, d)
    return worst


def _entry(end: End) -> dict[str, Any]:
    return {"name": end.name, "graph_name": end.name, "dtype": end.dtype, "shape": list(end.shape)}


def _provenance(model: Trained, request: Request, worst: float) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "forgo": forgo.__version__,
            "framework": model.framework,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "framework_difference": worst,
        **request.provenance,
    }
