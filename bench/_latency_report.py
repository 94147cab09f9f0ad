"""Latency at fixed rates as a page and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import _charts
from bench._cases import CONNECTIONS
from bench._latency import TIMEOUT, Open
from bench._report import machine, machine_line, number, rounds_of, table, write_figures


def write(out: Path, lines: list[Open], missing: dict[str, str], about: dict[str, Any]) -> None:
    """Write latency.md and latency.json to a folder."""
    figures = {
        **about,
        "machine": machine(),
        "rates": [line.as_json() for line in lines],
        "not_measured": missing,
    }
    write_figures(out, "latency", figures, pages)


def pages(figures: dict[str, Any], out: Path) -> None:
    """Write latency.md and latency.svg."""
    (out / "latency.md").write_text(page(figures))
    if figures["rates"]:
        _charts.latencies(figures["rates"], out / "latency.svg")


def row(r: dict[str, Any]) -> list[str]:
    """A line of the table."""
    title = f"**{r['title']}**" if r["kind"] == "prediction" else r["title"]
    times = [number(r[key]) for key in ("p50_ms", "p99_ms", "p999_ms")]
    return [
        f"{r['asked_a_second']:,}",
        title,
        f"{r['sent_a_second']:,.0f}",
        f"{100 * r['answered']:.4g} %",
        *times,
    ]


def page(figures: dict[str, Any]) -> str:
    """The page of a run."""
    head = ["requests a second", "", "sent", "answered", "p50, ms", "p99, ms", "p99.9, ms"]
    rates = table(head, [row(r) for r in figures["rates"]], right=2)
    shares = ", ".join(f"{100 * s:g}" for s in dict.fromkeys(r["share"] for r in figures["rates"]))
    versions = "\n".join(dict.fromkeys(f"- {r['title']}: {r['versions']}" for r in figures["rates"]))
    chart = "![p50 and p99 over the rate](latency.svg)\n\n" if figures["rates"] else ""
    missing = "".join(f"\n- {what}: not measured: {why}" for what, why in figures["not_measured"].items())
    return f"""# Latency at fixed rates

`make bench` wrote this page on {figures["date"]}.

{chart}{rates}

Each request is sent when it is due, whether or not earlier ones were answered, so a server that falls behind shows it
(open loop). The rates are {shares} % of the {figures.get("peer_a_second", 0):,} requests a second that the faster of two FastAPI configurations
(one worker or two) answers when {CONNECTIONS} clients wait for their answers. The load generator ({figures["load"]}) runs on the same
cores, and uses more processor time than clients that wait. Each server starts and warms up for its turn, receives each rate
for {figures["seconds"]} s, and must give the right answers before and after it. The servers take turns; the figures are medians of
{rounds_of(figures)}. *Sent* is the rate that the generator reached; *answered* excludes errors and answers after {TIMEOUT} s.
**Ratios carry over to other machines; absolute figures do not.**

A test measures the same with Triton's perf_analyzer, on machines with the glibc 2.38 that its wheel needs
([tests/clients/test_perf_analyzer.py](../../tests/clients/test_perf_analyzer.py)).

{machine_line(figures["machine"])}

{versions}{missing}

`python -m bench --part latency` measures this page alone; all figures are in [latency.json](latency.json).
"""
