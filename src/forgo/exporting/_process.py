"""The clean process that exports a file: ``python -m forgo.exporting._process JOB``.

JOB is a folder with request.json and arrays.npz; the process writes result.json there. A process of
its own gives the exporter the environment that its adapter needs, whatever the caller's, and
keeps its threads and its state out of the caller's way.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from forgo import _child, _errors
from forgo._errors import ExportError, ForgoError, Note, ParityError
from forgo._work import working_folder
from forgo.exporting import _arrays
from forgo.exporting._adapter import Adapter
from forgo.exporting._model import Arrays
from forgo.exporting._normalization import Normalization
from forgo.exporting._request import Request, Result


def export_file(adapter: Adapter, model: Path, request: Request) -> Result:
    """Export a file in a clean process, where its adapter loads it.

    Raises:
        ForgoError: as forgo.exporting._pipeline.run, or with the process's last line.
    """
    with working_folder(request.path) as job:
        fields = asdict(request)
        kinds = {kind: fields.pop(kind) for kind in ("rows", "expected")}
        prepared = fields.pop("prepared")
        signed = fields.pop("signature_rows")
        kinds |= {f"signature {i}": rows for i, rows in enumerate(signed.values())}
        kinds["prepared"] = None if prepared is None else {"": prepared}
        _arrays.write(
            job / "arrays.npz",
            {f"{kind}/{n}": a for kind, given in kinds.items() for n, a in (given or {}).items()},
        )
        (job / "request.json").write_text(
            json.dumps(
                {"adapter": adapter.module, "model": str(model), "signed": list(signed), **fields},
                default=str,
            )
        )
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
            "CUDA_VISIBLE_DEVICES": "",
            **adapter.environment,
        }
        code, err = _child.run("forgo.exporting._process", job, environment)
        try:
            answer = json.loads((job / "result.json").read_text())
        except FileNotFoundError:
            last = (err.strip().splitlines() or [f"exit code {code}"])[-1]
            raise ExportError(f"{model}: the exporting process failed: {last}") from None
    if "error" not in answer:
        return Result(**{**answer, "notes": [Note(marked) for marked in answer["notes"]]})
    if answer["kind"] == "ParityError":
        raise ParityError(
            answer["error"], stage=answer["stage"], case=answer["case"], difference=answer["difference"]
        )
    raise getattr(_errors, answer["kind"])(answer["error"])


def _request(job: Path) -> tuple[Adapter, Path, Request]:
    fields = json.loads((job / "request.json").read_text())
    arrays: dict[str, Arrays] = {}
    for key, array in _arrays.read(job / "arrays.npz").items():
        kind, name = key.split("/", 1)
        arrays.setdefault(kind, {})[name] = array
    model = Path(fields.pop("model"))
    adapter: Adapter = import_module(fields.pop("adapter")).ADAPTER
    fields["path"] = Path(fields["path"])
    if fields["pictures"] is not None:
        fields["pictures"] = [Path(p) for p in fields["pictures"]]
    stated = fields["normalization"]
    fields["normalization"] = Normalization(
        stated["channels"], stated["scale"], tuple(stated["mean"]), tuple(stated["std"])
    )
    signed = {name: arrays[f"signature {i}"] for i, name in enumerate(fields.pop("signed"))}
    prepared: Any = arrays.get("prepared", {}).get("")
    request = Request(
        **fields,
        rows=arrays.get("rows"),
        expected=arrays.get("expected"),
        prepared=prepared,
        signature_rows=signed,
    )
    return adapter, model, request


def _main(job: Path) -> None:
    from forgo.exporting import _pipeline

    answer: dict[str, Any]
    try:
        adapter, path, request = _request(job)
        result = _pipeline.run(*adapter.load(path, request))
        answer = {**asdict(result), "notes": [note.marked for note in result.notes]}
    except ParityError as e:
        answer = {
            "kind": "ParityError",
            "error": e.message,
            "stage": e.stage,
            "case": e.case,
            "difference": e.difference,
        }
    except ForgoError as e:
        answer = {"kind": type(e).__name__, "error": e.message}
    (job / "result.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    _child.end_with_parent()
    _main(Path(sys.argv[1]))
