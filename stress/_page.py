"""Figures, as JSON and as a page for people."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path


def machine() -> str:
    """The one that was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


def write(
    path: Path,
    title: str,
    text: str,
    figures: Mapping[str, object],
    rows: Mapping[str, str],
    faults: list[str],
) -> None:
    """Write place.json and place.md."""
    path.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    table = "".join(f"| {what} | {value} |\n" for what, value in rows.items())
    verdict = "".join(f"\n**Not as it should be: {fault}.**\n" for fault in faults)
    path.with_suffix(".md").write_text(
        f"# {title}\n\n{text.strip()}\n\n| {machine()} | |\n| --- | --- |\n{table}{verdict}"
    )
