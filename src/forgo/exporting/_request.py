"""The request and the result of an export."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo import _rules
from forgo._errors import Note
from forgo._picture import Alpha
from forgo.exporting import _engines, _heads, _normalization, _tasks
from forgo.exporting._model import UNNAMED, Arrays

TOLERANCE = 1e-4
LOOSEST_TOLERANCE = 1e-3


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
    """For a SavedModel, the signature to call, or those to keep, separated by commas."""
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
    notes: list[Note] = field(default_factory=list)
    """What users should know about the export, one line each."""
