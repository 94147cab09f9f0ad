"""Answers to many rows or pictures in one file: ``forgo predict`` answers them in Go, this writes the table.

The Go binary reads the input, so that there is one reader of rows. Neither the input nor the output is ever in
memory as a whole.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from forgo import _binary, _work
from forgo._errors import ForgoError, argument

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
_KEY = ("file", "row")
_ERROR = "error"
_FLOATS = {"float16": "Float32", "bfloat16": "Float32", "float32": "Float32", "float64": "Float64"}


@dataclass
class Written:
    """What was written."""

    path: Path
    rows: int = 0
    errors: int = 0
    first: str = ""
    """The first error, with its file and row."""


def run(
    bundle: Path,
    inputs: Sequence[str],
    out: Path,
    *,
    keep: Sequence[str] = (),
    top: int = 1,
    force: bool = False,
    progress: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Answer everything in the inputs, and write a row for each answer or error.

    Args:
        bundle: the bundle.
        inputs: files, folders and patterns, as ``forgo predict`` takes them.
        out: the table, ``.parquet``, ``.csv`` or ``.jsonl``. It appears at the end, whole.
        keep: columns of the input that the output has too; the model need not take them.
        top: a classifier's classes in each row: 1 gives the columns label and score, others the column classes.
        force: whether an output that exists is replaced.
        progress: called with the count after each row.

    Raises:
        ForgoError: nothing could be answered, or the output cannot be written.
        SystemExit: the Go binary refused, and has said why.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ForgoError(f"{out}: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if out.exists() and not force:
        raise ForgoError(f"{out} exists; {argument('force', True)} replaces it")
    if out.is_dir() or not out.parent.is_dir():
        raise ForgoError(f"{out}: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}")
    if twice := [c for c in keep if list(keep).count(c) > 1]:
        raise ForgoError(f"{argument('keep')} names {twice[0]!r} twice")
    answers = _answers(bundle, top)
    if clash := [c for c in keep if c in (*_KEY, *answers, _ERROR)] or [
        c for c in answers if c in (*_KEY, _ERROR)
    ]:
        raise ForgoError(f"{clash[0]!r} is already a column of the output")
    parquet = out.suffix.lower() == ".parquet"
    if parquet:
        _polars()
    columns = [*_KEY, *keep, *answers, _ERROR]
    written = Written(out)
    kinds: dict[str, set[type]] = {c: set() for c in keep}
    with _work.working_folder(out) as work:
        made = work / out.name
        with made.open("w", encoding="utf-8", newline="") as file:
            write = _csv(file, columns) if out.suffix.lower() == ".csv" else _lines(file)
            for line in _predict(bundle, inputs, keep, top):
                row = _row(line, keep, answers)
                if parquet:
                    for c in keep:
                        if isinstance(row[c], list | dict):
                            row[c] = json.dumps(row[c], ensure_ascii=False)
                        kinds[c].add(type(row[c]))
                write(row)
                written.rows += 1
                if row[_ERROR] is not None:
                    written.errors += 1
                    written.first = written.first or _named(row)
                progress(written)
            file.flush()
            os.fsync(file.fileno())
        if written.rows == written.errors:
            raise ForgoError(f"nothing was answered, nothing was written: {written.first or 'no rows'}")
        if parquet:
            lines, made = made, work / "table.parquet"
            _to_parquet(lines, made, kinds, answers)
        if out.exists() and not force:
            raise ForgoError(f"{out} was created meanwhile; {argument('force', True)} replaces it")
        made.replace(out)
    return written


def _answers(bundle: Path, top: int) -> dict[str, str]:
    """The columns of an answer, with the type of their elements and ``[]`` for each dimension.

    Raises:
        ForgoError: there is no such bundle.
    """
    try:
        manifest = json.loads((bundle / "forgo.json").read_text(encoding="utf-8"))
        if manifest["task"] == "classification" and top == 1:
            return {"label": "String", "score": "Float32"}
        if manifest["task"] in ("classification", "multi-label"):
            return {"classes": "classes"}
        return {
            o["name"]: _type(o["dtype"]) + "[]" * len(_dimensions(o["shape"]))
            for o in manifest["outputs"]
            if not o.get("hidden")
        }
    except (OSError, ValueError, KeyError, TypeError) as e:
        why = e.strerror if isinstance(e, OSError) else "its forgo.json is damaged"
        raise ForgoError(f"load {os.fspath(bundle)!r}: not a bundle: {why}") from None


def _type(dtype: str) -> str:
    if dtype in _FLOATS:
        return _FLOATS[dtype]
    return {"bool": "Boolean", "string": "String", "uint64": "UInt64"}.get(dtype, "Int64")


def _dimensions(shape: list[int | None]) -> list[int | None]:
    """A row's dimensions; a row of one element is a scalar."""
    return [] if all(s == 1 for s in shape[1:]) else shape[1:]


def _row(line: dict[str, Any], keep: Sequence[str], answers: dict[str, str]) -> dict[str, Any]:
    row = {"file": line["file"], "row": line.get("row")}
    row |= {c: line.get("kept", {}).get(c) for c in keep}
    row |= dict.fromkeys(answers)
    if "classes" in answers:
        row["classes"] = line.get("classes")
    elif "label" in answers and "classes" in line:
        row |= line["classes"][0]
    for name, value in line.get("outputs", {}).items():
        while not answers[name].endswith("[]") and isinstance(value, list):
            value = value[0]
        row[name] = value
    row[_ERROR] = line.get("error")
    return row


def _named(row: dict[str, Any]) -> str:
    return ":".join(str(v) for v in (row["file"], row["row"]) if v is not None) + f": {row[_ERROR]}"


def _predict(bundle: Path, inputs: Sequence[str], keep: Sequence[str], top: int) -> Iterator[dict[str, Any]]:
    """What ``forgo predict`` prints: an answer or an error for each row, in order."""
    options = ["--json", "--errors", "--top", str(top), *(w for c in keep for w in ("--keep", c))]
    command: list[str | Path] = [_binary.path(), "predict", *options, "--", bundle, *inputs]
    with subprocess.Popen(command, env=_binary.environment(), stdout=subprocess.PIPE) as go:
        assert go.stdout is not None
        try:
            for line in go.stdout:
                yield json.loads(line)
        except BaseException:
            go.kill()
            raise
    if go.returncode < 0:
        raise ForgoError(f"the Go binary was ended by signal {-go.returncode}; nothing was written")
    if go.returncode:
        sys.exit(go.returncode)


def _lines(file: TextIO) -> Callable[[dict[str, Any]], None]:
    def write(row: dict[str, Any]) -> None:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write


def _csv(file: TextIO, columns: list[str]) -> Callable[[dict[str, Any]], None]:
    """Lists, objects and booleans are JSON in their cell; nothing is an empty one."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)

    def write(row: dict[str, Any]) -> None:
        cells = (row[c] for c in columns)
        table.writerow(
            [json.dumps(c, ensure_ascii=False) if isinstance(c, list | dict | bool) else c for c in cells]
        )

    return write


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise ForgoError(
            "writing Parquet needs Polars: pip install polars, or write .csv or .jsonl"
        ) from None
    return polars


def _to_parquet(lines: Path, table: Path, kinds: dict[str, set[type]], answers: dict[str, str]) -> None:
    pl = _polars()

    def of(name: str) -> Any:
        if name == "classes":
            return pl.List(pl.Struct({"label": pl.String, "score": pl.Float32}))
        if name.endswith("[]"):
            return pl.List(of(name[:-2]))
        return getattr(pl, name)

    schema = {"file": pl.String, "row": pl.Int64}
    schema |= {c: getattr(pl, _kept_type(k)) for c, k in kinds.items()}
    schema |= {n: of(t) for n, t in answers.items()} | {_ERROR: pl.String}
    try:
        pl.scan_ndjson(lines, schema=schema).sink_parquet(table)
    except pl.exceptions.PolarsError as e:
        raise ForgoError(f"write Parquet: {str(e).splitlines()[0]}") from None


def _kept_type(kinds: set[type]) -> str:
    """The type of a kept column: that of its values, or strings if these are mixed."""
    kinds = kinds - {type(None)}
    if kinds == {int}:
        return "Int64"
    if kinds and kinds <= {int, float}:
        return "Float64"
    return "Boolean" if kinds == {bool} else "String"


def meter() -> Callable[[Written], None]:
    """Progress on stderr: a line that is rewritten on a terminal, else one every ten seconds."""
    live = sys.stderr.isatty()
    start = last = time.monotonic()

    def show(w: Written) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= (0.5 if live else 10):
            last = now
            text = f"{w.rows:,} rows, {w.rows / (now - start):,.0f}/s, {w.errors:,} errors"
            print(text, end="\r" if live else "\n", file=sys.stderr, flush=True)

    return show
