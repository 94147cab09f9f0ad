"""After training: measure the best model on held-out pictures, warn, and export it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from rich.console import Console

from forgo import report
from forgo.exporting import _golden
from forgo.exporting._keras_files import ADAPTER
from forgo.exporting._process import export_file
from forgo.exporting._request import Request, Result
from forgo.training import _metrics
from forgo.training._data import Data, Reader
from forgo.training._fit import Fit
from forgo.training._progress import Ticker

_CANDIDATES = 256
"""How many held-out pictures golden cases are chosen from: half of them are the least certain."""
_HARDEST = 12
_ANSWERED_AT_ONCE = 64


@dataclass(frozen=True)
class Evaluation:
    """The best model's answers to the held-out pictures."""

    model: Path
    data: Data
    run: Fit
    held_out: Reader
    scores: npt.NDArray[np.float32]
    """Probabilities [pictures, classes]."""
    measured: dict[str, Any]
    warnings: list[str]


def evaluate(model: Path, data: Data, run: Fit, held_out: Reader, console: Console) -> Evaluation:
    """Measure a saved model on the held-out pictures, and say how good it is."""
    best = keras.saving.load_model(model, compile=False)
    order = np.arange(len(held_out.pictures))
    ticker, answers = Ticker(console), []
    for part in np.array_split(order, -(-len(order) // _ANSWERED_AT_ONCE)):
        answers.append(best.predict(held_out(part), verbose=0))
        ticker.say(f"  {part[-1] + 1} of {len(order)} held-out pictures answered")
    scores = np.concatenate(answers)
    measured = _metrics.measure(scores, held_out.labels, data.labels)
    console.print(
        f"held out ({data.held_out_part}, {len(order)} pictures): accuracy {100 * measured['accuracy']:.2f}%  "
        f"loss {measured['loss']:.4f}  best epoch {run.best_epoch}, {run.seconds:.0f} s",
        soft_wrap=True,
    )
    warnings = [w for w in [_metrics.at_chance(measured)] if w]
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    return Evaluation(model, data, run, held_out, scores, measured, warnings)


def export(e: Evaluation, path: Path, force: bool, settings: dict[str, Any]) -> Result:
    """Write the bundle, its golden cases from the held-out pictures.

    Raises:
        ForgoError: it cannot be proven; no bundle is left behind.
    """
    by_margin = np.argsort(_golden.margin(e.scores), kind="stable")
    count = len(e.held_out.pictures)
    spread = np.linspace(0, count - 1, min(count, _CANDIDATES // 2)).round().astype(int)
    candidates = list(dict.fromkeys([*by_margin[: _CANDIDATES // 2].tolist(), *spread.tolist()]))
    parts = ("train", "valid", "test")
    counts = {p: len(getattr(e.data, p)) for p in parts}
    return export_file(
        ADAPTER,
        e.model,
        Request(
            path=path,
            force=force,
            pictures=[e.held_out.pictures[i].path for i in candidates],
            labels=e.data.labels,
            first_output="probabilities",
            resize=settings["resize"],
            fit=settings["fit"],
            shorter_side=settings.get("shorter side"),
            pad_colour=tuple(settings.get("pad colour", (0, 0, 0))),
            alpha=settings["alpha"],
            expected={"probabilities": e.scores[candidates]},
            provenance={
                "command": "forgo train",
                "settings": settings,
                "data": {"sha256": e.data.digest(), **counts},
                "formats": e.data.formats(),
                "metrics": {"accuracy": e.measured["accuracy"], "loss": e.measured["loss"]},
                "held_out": e.data.held_out_part,
                "best_epoch": e.run.best_epoch,
                "interrupted": e.run.interrupted,
                **({"warnings": e.warnings} if e.warnings else {}),
            },
            report=_report(e, counts, settings),
        ),
    )


def _report(e: Evaluation, counts: dict[str, int], settings: dict[str, Any]) -> dict[str, Any]:
    """What the report shows about the training."""
    doubted = np.argsort(e.scores[np.arange(len(e.scores)), e.held_out.labels], kind="stable")[:_HARDEST]
    hardest = [
        report.example(
            e.held_out.pictures[i].path,
            e.data.labels[e.held_out.labels[i]],
            e.data.labels[e.scores[i].argmax()],
            float(e.scores[i].max()),
        )
        for i in doubted
    ]
    return {
        "held_out": e.data.held_out_part, "counts": counts, "metrics": e.measured, "history": e.run.history,
        "best_epoch": e.run.best_epoch, "interrupted": e.run.interrupted, "seconds": e.run.seconds,
        "settings": settings, "hardest": hardest, "curves": report.curves(e.run.history, e.run.best_epoch),
        "set_aside": e.data.set_aside, "leaked": e.data.leaked, "contradictory": e.data.contradictory,
        "copies": e.data.copies, "warnings": e.warnings,
    }  # fmt: skip
