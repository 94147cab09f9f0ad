"""How answers slow down with size, as a page and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import _charts
from bench._cases import CONNECTIONS
from bench._growth import SENDERS, Point
from bench._report import machine, machine_line, number, rounds_of, table, write_figures

TITLES = {
    "rows": ("Rows of a request", f"Binary tensors with 64 floats per row, {SENDERS} connections."),
    "connections": ("Connections", "One JSON row per request; each client waits for its answer."),
    "pixels": (
        "Size of a picture",
        "Square JPEG uploads to a network with a small input, 8 connections: most of the work is decoding and resizing.",
    ),
    "models": (
        "Models of a server",
        f"Copies of one model in a folder, each with its own graph; {CONNECTIONS} connections call them in turn.",
    ),
    "callers": (
        "Callers of the library",
        "`forgo bench` on ready tensors, in ONNX Runtime: callers that wait at the same time share a batch.",
    ),
}
HEADS = {
    "a_second": "a second",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "first_answer_s": "first answer, s",
    "memory_mib": "memory, MiB",
}


def write(out: Path, points: list[Point], about: dict[str, Any]) -> None:
    """Write growth.md and growth.json to a folder."""
    figures = {**about, "machine": machine(), "points": [p.as_json() for p in points]}
    write_figures(out, "growth", figures, pages)


def pages(figures: dict[str, Any], out: Path) -> None:
    """Write growth.md and growth.svg."""
    (out / "growth.md").write_text(page(figures))
    panels = {}
    for grows, (title, _) in TITLES.items():
        points = [p for p in figures["points"] if p["grows"] == grows]
        rates = [p["a_second"] * (p["size"] if grows == "rows" else 1) for p in points]
        what = {"rows": "Rows", "pixels": "Pictures", "callers": "Answers"}.get(grows, "Requests")
        panels[title] = (f"{what} a second", [p["size"] for p in points], rates)
    _charts.growth(panels, out / "growth.svg")


def first(grows: str) -> str:
    """What the first column counts."""
    return "side, pixels" if grows == "pixels" else grows


def part(grows: str, points: list[dict[str, Any]]) -> str:
    """The table of what grows."""
    title, text = TITLES[grows]
    keys = [key for key in HEADS if key in points[0]]
    head = [first(grows), *(HEADS[key] for key in keys)]
    rows = [[f"{p['size']:,}", *(number(p[key]) for key in keys)] for p in points]
    if grows == "rows":
        head.insert(2, "rows a second")
        for row, p in zip(rows, points, strict=True):
            row.insert(2, number(p["size"] * p["a_second"]))
    return f"## {title}\n\n{text}\n\n{table(head, rows, right=0)}\n"


def page(figures: dict[str, Any]) -> str:
    """The page of a run."""
    points = figures["points"]
    parts = "\n".join(part(grows, [p for p in points if p["grows"] == grows]) for grows in TITLES)
    return f"""# Growth

`make bench` wrote this page on {figures["date"]}.

Each server starts for its turn of {figures["seconds"]} s, and must give the right answers before and after it. The figures are
medians of {rounds_of(figures)}. The load: {figures["load"]}, on the same cores. **Ratios carry over to other machines; absolute
figures do not.** Unless a table says otherwise, the model is Keras's 64-32-32-10 network on handwritten digits. *Memory* is the
process's memory before the load (PSS).

![Answers a second over each size](growth.svg)

{parts}
{machine_line(figures["machine"])}

`python -m bench --part growth` measures this page alone; all figures are in [growth.json](growth.json).
"""
