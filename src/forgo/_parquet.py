"""``python -m forgo._parquet FILE`` writes the rows of a Parquet file as JSON lines: forgo predict reads them from it."""

from __future__ import annotations

import json
import sys
from typing import Any

_ROWS = 1000
"""How many rows are in memory as Python objects."""


def main(path: str) -> None:
    """Write an object for each row, with null for a missing value. Floats keep their value: Go rounds them once."""
    try:
        import polars
    except ImportError:
        sys.exit("reading Parquet needs Polars, which is not installed: pip install polars, or give CSV")
    try:
        frame = polars.read_parquet(path, glob=False)
        index = json.loads(polars.read_parquet_metadata(path).get("pandas", "{}")).get("index_columns", [])
    except Exception as e:  # whatever its parser raises
        sys.exit(f"it cannot be read: {(str(e).strip().splitlines() or [type(e).__name__])[0]}")
    frame = frame.drop([c for c in index if isinstance(c, str) and c in frame.columns])  # pandas' row names
    for rows in frame.iter_slices(_ROWS):
        for row in rows.iter_rows(named=True):
            sys.stdout.write(json.dumps(row, default=_unknown, ensure_ascii=False) + "\n")


def _unknown(value: Any) -> Any:
    raise SystemExit(
        f"a cell is a {type(value).__name__}, {value!r:.50}: rows hold numbers, booleans, strings and lists of these"
    )


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        main(sys.argv[1])
    except BrokenPipeError:  # nobody reads on
        sys.exit(1)
