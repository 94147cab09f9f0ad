"""forgo batch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from forgo import _batch
from forgo._cli_options import ForceOption
from forgo._printable import printable


def batch(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Pictures, folders, patterns such as 'photos/*.jpg', or files of rows: .csv, .jsonl, .json, .npy, .npz, .parquet.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUTPUT", help="The table to write: .parquet, .csv or .jsonl."),
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Copy a column of the input, such as a key. The model need not take it. May be repeated.",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            min=0,
            help="A classifier's best classes: 1 writes the columns label and score, N the column classes, 0 the column classes with all.",
        ),
    ] = 1,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with code 1 if a row or file has an error; the output is written."
        ),
    ] = False,
    force: ForceOption = False,
) -> None:
    """Answer a large input with the Go binary and write one table.

    Each row of the table has the file and, for files of rows, the row's number, counted from 1; then the answer; then
    the error, if there is no answer. Memory does not grow with the input. The table appears when it is complete.
    """
    start = time.monotonic()
    done = _batch.run(bundle, inputs, out, keep=keep or [], top=top, force=force, progress=_batch.meter())
    rate = done.rows / (time.monotonic() - start)
    print(f"wrote {printable(str(out))}: {done.rows:,} rows, {rate:,.0f}/s", file=sys.stderr)
    if done.errors:
        print(
            f"forgo: {done.errors:,} rows have an error; the first: {printable(done.first)}", file=sys.stderr
        )
        if strict:
            raise SystemExit(1)
