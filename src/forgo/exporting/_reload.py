"""A written SavedModel, run in a process that knows nothing else about the model.

``python -m forgo.exporting._reload JOB``: JOB is a folder with request.json and a file of arrays
for each batch, BATCH.npz; it writes the answers beside them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgo import _child
from forgo._errors import ExportError
from forgo.exporting import _arrays
from forgo.exporting._model import Arrays, SavedGraph, TensorInfo


@dataclass(frozen=True)
class Call:
    """Batches for one way to call a graph."""

    graph: SavedGraph
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    batches: list[Arrays]

    def request(self) -> dict[str, Any]:
        """The call as JSON, without the arrays."""
        names = self.graph.names
        return {
            "signature": self.graph.signature,
            "inputs": None if self.graph.signature else [names.get(e.name, e.name) for e in self.inputs],
            "outputs": [names.get(e.name, e.name) for e in self.outputs],
            "batches": len(self.batches),
        }


def answer(folder: Path, calls: list[Call]) -> list[list[Arrays]]:
    """Run each batch of each call by itself, in one clean process.

    Args:
        folder: the SavedModel's folder.
        calls: at least one, all of the same graph. Only the first may name operations.
    """
    with tempfile.TemporaryDirectory(prefix="forgo-reload-") as place:
        job = Path(place)
        request = {"folder": str(folder), "tags": calls[0].graph.tags, "calls": [c.request() for c in calls]}
        (job / "request.json").write_text(json.dumps(request))
        for c, call in enumerate(calls):
            for i, batch in enumerate(call.batches):
                _arrays.write(job / f"{c}.{i}.npz", batch)
        code, err = _child.run("forgo.exporting._reload", job)
        if code:
            last = (err.strip().splitlines() or [f"exit code {code}"])[-1]
            raise ExportError(f"TensorFlow cannot run the SavedModel that was written: {last}")
        return [
            [_arrays.read(job / f"{c}.{i}.answers.npz") for i in range(len(call.batches))]
            for c, call in enumerate(calls)
        ]


class ReloadedModel:
    """A SavedModel's folder, run by TensorFlow in a clean process."""

    name = "TensorFlow"

    def __init__(
        self, folder: Path, graph: SavedGraph, inputs: list[TensorInfo], outputs: list[TensorInfo]
    ) -> None:
        self._folder, self._graph, self._inputs, self._outputs = folder, graph, inputs, outputs

    def answer(self, batches: list[Arrays]) -> list[Arrays]:
        """Run each batch by itself."""
        return answer(self._folder, [Call(self._graph, self._inputs, self._outputs, batches)])[0]


def _main(job: Path) -> None:
    from forgo.exporting._saved_model import SavedModel

    request = json.loads((job / "request.json").read_text())
    first: SavedModel | None = None
    for c, call in enumerate(request["calls"]):
        if first is None:
            model = first = SavedModel(
                Path(request["folder"]), tags=request["tags"], signature=call["signature"],
                inputs=call["inputs"], outputs=call["outputs"], trust=True,
            )  # fmt: skip
        else:
            model = first.sibling(call["signature"])
        for i in range(call["batches"]):
            _arrays.write(job / f"{c}.{i}.answers.npz", model.predict(_arrays.read(job / f"{c}.{i}.npz")))


if __name__ == "__main__":
    _child.end_with_parent()
    try:
        _main(Path(sys.argv[1]))
    except ExportError as e:
        sys.exit(str(e))
