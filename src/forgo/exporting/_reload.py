"""A SavedModel that was written, answering in a process that knows nothing else of the model.

``python -m forgo.exporting._reload JOB``: JOB is a folder with request.json and a file of arrays
for each batch, BATCH.npz; the answers are written beside them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from forgo import _child
from forgo._errors import ExportError
from forgo.exporting import _arrays
from forgo.exporting._model import Arrays, End, SavedGraph


class ReloadedModel:
    """A SavedModel's folder, run by TensorFlow in a clean process."""

    name = "TensorFlow"

    def __init__(self, folder: Path, graph: SavedGraph, inputs: list[End], outputs: list[End]) -> None:
        self._outputs = outputs
        self._request = {
            "folder": str(folder),
            "tags": graph.tags,
            "signature": graph.signature,
            "inputs": None if graph.signature else [graph.names.get(e.name, e.name) for e in inputs],
            "outputs": [graph.names.get(e.name, e.name) for e in outputs],
        }

    def answer(self, batches: list[Arrays]) -> list[Arrays]:
        """Run batches, each by itself."""
        with tempfile.TemporaryDirectory(prefix="forgo-reload-") as folder:
            job = Path(folder)
            (job / "request.json").write_text(json.dumps({**self._request, "batches": len(batches)}))
            for i, batch in enumerate(batches):
                _arrays.write(job / f"{i}.npz", batch)
            code, err = _child.run("forgo.exporting._reload", job)
            if code:
                last = (err.strip().splitlines() or [f"exit code {code}"])[-1]
                raise ExportError(f"TensorFlow cannot run the SavedModel that was written: {last}")
            return [_arrays.read(job / f"{i}.answers.npz") for i in range(len(batches))]


def _main(job: Path) -> None:
    from forgo.exporting._saved_model import SavedModel

    request = json.loads((job / "request.json").read_text())
    model = SavedModel(
        Path(request["folder"]), tags=request["tags"], signature=request["signature"],
        inputs=request["inputs"], outputs=request["outputs"], trust=True,
    )  # fmt: skip
    for i in range(request["batches"]):
        _arrays.write(job / f"{i}.answers.npz", model.predict(_arrays.read(job / f"{i}.npz")))


if __name__ == "__main__":
    _child.end_with_parent()
    try:
        _main(Path(sys.argv[1]))
    except ExportError as e:
        sys.exit(str(e))
