"""The clean process that exports a file: ``python -m forgo.exporting._process JOB``.

JOB is a folder with request.json and arrays.npz; result.json is written there. A process of
its own gives the exporter the TensorFlow backend, whatever the caller uses, and keeps its
threads and its state out of the caller's way.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgo import _child, _errors
from forgo._errors import ExportError, ForgoError, ParityError
from forgo._work import working_folder
from forgo.exporting import _arrays
from forgo.exporting._examples import as_bytes
from forgo.exporting._model import STRING, UNNAMED, Arrays, Trained
from forgo.exporting._normalization import Normalization
from forgo.exporting._pipeline import Request, Result

if TYPE_CHECKING:
    from forgo.exporting._keras import KerasModel


def export_file(model: Path, request: Request) -> Result:
    """Export a .keras or .h5 file, or a SavedModel, in a clean process.

    Raises:
        ForgoError: as forgo.exporting._pipeline.run, or with what the process said last.
    """
    with working_folder(request.place) as job:
        fields = asdict(request)
        kinds = {kind: fields.pop(kind) for kind in ("rows", "truth")}
        prepared = fields.pop("prepared")
        signed = fields.pop("signature_rows")
        kinds |= {f"signature {i}": rows for i, rows in enumerate(signed.values())}
        kinds["prepared"] = None if prepared is None else {"": prepared}
        _arrays.write(
            job / "arrays.npz",
            {f"{kind}/{n}": a for kind, given in kinds.items() for n, a in (given or {}).items()},
        )
        (job / "request.json").write_text(
            json.dumps({"model": str(model), "signed": list(signed), **fields}, default=str)
        )
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
            "CUDA_VISIBLE_DEVICES": "",
        }
        code, err = _child.run("forgo.exporting._process", job, environment)
        try:
            answer = json.loads((job / "result.json").read_text())
        except FileNotFoundError:
            last = (err.strip().splitlines() or [f"exit code {code}"])[-1]
            raise ExportError(f"{model}: the exporting process failed: {last}") from None
    if "error" not in answer:
        return Result(**answer)
    if answer["kind"] == "ParityError":
        raise ParityError(
            answer["error"], stage=answer["stage"], case=answer["case"], difference=answer["difference"]
        )
    raise getattr(_errors, answer["kind"])(answer["error"])


def _request(job: Path) -> tuple[Path, Request]:
    fields = json.loads((job / "request.json").read_text())
    arrays: dict[str, Arrays] = {}
    for key, array in _arrays.read(job / "arrays.npz").items():
        kind, name = key.split("/", 1)
        arrays.setdefault(kind, {})[name] = array
    model = Path(fields.pop("model"))
    fields["place"] = Path(fields["place"])
    if fields["pictures"] is not None:
        fields["pictures"] = [Path(p) for p in fields["pictures"]]
    stated = fields["normalization"]
    fields["normalization"] = Normalization(
        stated["channels"], stated["scale"], tuple(stated["mean"]), tuple(stated["std"])
    )
    signed = {name: arrays[f"signature {i}"] for i, name in enumerate(fields.pop("signed"))}
    prepared: Any = arrays.get("prepared", {}).get("")
    return model, Request(
        **fields, rows=arrays.get("rows"), truth=arrays.get("truth"), prepared=prepared, signature_rows=signed
    )


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    if path.is_dir():
        from forgo.exporting._saved_model import SavedModel

        saved = SavedModel(
            path, tags=request.tags, signature=request.signature, inputs=request.input_operations,
            outputs=request.output_operations, trust=request.trust, retag=request.bare,
            several=request.engine == "tensorflow" and not request.bare,
        )  # fmt: skip
        request = _of_bytes(saved, request)
        saved.settle(request.rows)
        return saved, request
    from forgo.exporting import _keras

    return named(_keras.load(path, picture=request.rows is None, trust=request.trust), request), request


def _of_bytes(model: Trained, request: Request) -> Request:
    """Where files or base64 are given of an input that takes strings, they are its rows, and no pictures."""
    name, alone = request.picture_name, len(model.inputs) == 1
    ends = [e for e in model.inputs if e.name == name or (alone and name == UNNAMED)]
    if request.pictures is None or not ends or ends[0].dtype != STRING:
        return request
    rows = {**(request.rows or {}), ends[0].name: as_bytes(request.pictures)}
    return replace(request, pictures=None, picture_name=UNNAMED, rows=rows)


def named(model: KerasModel, request: Request) -> KerasModel:
    """Give a model's ends the names that are asked for in place of its own."""
    if request.first_output:
        model.call_first(request.first_output)
    if request.bare:
        model.use_old_names()
    return model


def _main(job: Path) -> None:
    from forgo.exporting import _pipeline

    answer: dict[str, Any]
    try:
        path, request = _request(job)
        answer = asdict(_pipeline.run(*_load(path, request)))
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
