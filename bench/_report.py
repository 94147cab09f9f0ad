"""The results as a page, as JSON and as a chart."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench._go import Cost
from bench._results import CONNECTIONS, Result
from bench._servers import CORES

COLOURS = {"hello": "#9aa5b1", "echo": "#c9a227", "peer": "#9aa5b1", "prediction": "#0b7285"}
AIM = 0.40  # of chi's hello world: what forgo's JSON predictions are to reach
KINDS = {"hello": "hello world", "echo": "reads a POST", "peer": "others", "prediction": "forgo"}


def write_figures(
    json_path: Path, page_path: Path, figures: dict[str, Any], page: Callable[[dict[str, Any]], str]
) -> None:
    """Write the figures of a part as JSON, and its page."""
    json_path.parent.mkdir(parents=True, exist_ok=True)
    json_path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    page_path.write_text(page(figures))


def write(
    out: Path, results: list[Result], missing: dict[str, str], costs: list[Cost], about: dict[str, Any]
) -> None:
    """Write README.md, results.json and chart.svg to a folder."""
    by_name = {r.case.name: r for r in results}
    rows = [r.as_json(by_name.get("flask"), by_name.get("chi")) for r in results]
    figures = {
        **about,
        "machine": machine(),
        "servers": rows,
        "not_measured": missing,
        "go": [c.as_json() for c in costs],
    }
    write_figures(out / "results.json", out / "README.md", figures, page)
    chart(rows, out / "chart.svg")


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        cpu = next(
            (x.partition(": ")[2] for x in info.read_text().splitlines() if x.startswith("model name")), cpu
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.platform()
    return {
        "cpu": cpu,
        "cores": CORES,
        "memory_gib": round(memory),
        "system": system,
        "kernel": platform.release(),
    }


def machine_line(m: dict[str, Any]) -> str:
    """What every page says of a machine."""
    return (
        f"Machine: {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Linux {m['kernel']}."
    )


def number(x: float | None) -> str:
    """Three digits that matter, thousands apart."""
    if x is None:
        return "–"
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> str:
    """A Markdown table, flush right from a column on."""
    rule = ["---"] * right + ["---:"] * (len(head) - right)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def page(figures: dict[str, Any]) -> str:
    """The page of the benchmark's run."""
    m = figures["machine"]
    servers = table(
        ["", "requests a second", "lowest – highest", "in 30 s", "times Flask", "of Go + chi", "p99, ms"],
        [
            [
                f"**{r['title']}**" if r["kind"] == "prediction" else r["title"],
                f"{r['requests_a_second']:,}",
                f"{r['lowest']:,} – {r['highest']:,}",
                f"{r['requests_in_30_s']:,}",
                number(r["times_flask"]),
                number(r["of_chi"]),
                number(r["p99_ms"]),
            ]
            for r in figures["servers"]
        ],
        right=1,
    )
    versions = "\n".join(f"- {r['title']}: {r['versions']}" for r in figures["servers"])
    missing = "".join(f"\n- {title}: not measured: {why}" for title, why in figures["not_measured"].items())
    return f"""# Benchmarks

`make bench` wrote this page on {figures["date"]}; nothing here is written by hand.

![Requests a second, as bars](chart.svg)

{servers}

Each server had {figures["rounds"]} turn(s) of {figures["seconds"]} s in one run, after one that does not count; one server at a time was
loaded while the others were idle, and every round went through all of them. The figures are medians; *times
Flask* (in gunicorn) and *of Go + chi* are medians of the ratios within a round. The load: {figures["load"]}, one thread,
{CONNECTIONS} connections, on the same {m["cores"]} cores as the server. **Ratios travel to other machines; absolute figures do not.**

- The old stacks and chi answer `Hello, World!` to a GET: they predict nothing.
- *{"Go + chi, reads a POST"}* reads the body that forgo's JSON has and answers with its length: the least that a JSON
  request can cost.
- forgo answers real predictions: 64 pixels of a handwritten digit in, ten probabilities out, by a Keras network
  (64-32-32-10) in ONNX Runtime, over the Open Inference Protocol; 64 held-out rows in turn.
- Every server had to give the right answer to each request before it was loaded, and again after every turn: the
  text, or Keras's own probabilities to within 1e-4. A request that fails ends the run.

{aim(figures["servers"])}

{machine_line(m)} Every stack may use all the cores.

{versions}{missing}
{go_section(figures["go"])}
How each is set up is in [`bench/`](../../bench); all figures are in [results.json](results.json). `BENCH_SECONDS` and
`BENCH_ROUNDS` make the turns longer or more.

The other parts: [peers.md](peers.md), other model servers; [engine.md](engine.md), the bare engine, gRPC, trees and one
static program. What the server withstands: [overload.md](overload.md), ten times what ResNet50 can answer; [soak.md](soak.md), a
model that is swapped every second.
"""


def aim(rows: list[dict[str, Any]]) -> str:
    """Whether forgo is as fast as required."""
    ratio = next((r["of_chi"] for r in rows if r["name"] == "forgo-json"), None)
    if ratio is None:
        verdict = "Whether it was reached, this run does not say: one of the two was not measured."
    else:
        verdict = f"**This run {'reached' if ratio >= AIM else 'did not reach'} it: {ratio:.3f}.**"
    return f"The aim is that forgo answers JSON predictions at {AIM:.2f} of the rate of chi's hello world or better.\n{verdict}"


def go_section(costs: list[dict[str, Any]]) -> str:
    """The Go benchmarks."""
    if not costs:
        return ""
    rows = [
        [c["name"], f"{c['nanoseconds'] / 1e3:,.1f}", number(c["bytes"]), number(c["allocations"])]
        for c in costs
    ]
    by_name = {c["name"]: c["nanoseconds"] for c in costs}
    batched, alone = by_name["Run/32 callers"], by_name["Run/32 callers, each alone"]
    return f"""
## Without the network

{table(["Go benchmark", "µs", "bytes", "allocations"], rows, right=1)}

*Run* is the library: 32 callers of a small model take {batched / alone:.2f} of the time a request that they take without
batching. *Request* is the server's part of one request for 16 rows, network left out, engine included.
`make bench-go` runs these alone.
"""


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars below their names, so that the text stays large on a page as wide as a phone."""
    style = {"font.size": 12, "font.family": "DejaVu Sans", "svg.hashsalt": "forgo", "svg.fonttype": "path"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(5, 0.62 * len(rows) + 1), layout="constrained")
        axes = figure.add_subplot()
        highest = max(row["requests_a_second"] for row in rows)
        for place, row in enumerate(rows):
            rate, kind = row["requests_a_second"], row["kind"]
            axes.barh(place, rate, height=0.44, color=COLOURS[kind])
            weight = "bold" if kind == "prediction" else "normal"
            axes.text(0, place - 0.27, row["title"], va="bottom", weight=weight)
            axes.text(rate + 0.015 * highest, place, f"{rate:,}", va="center", weight=weight)
        axes.set(xlim=(0, 1.2 * highest), ylim=(len(rows) - 0.6, -0.75), yticks=[], xticks=[])
        axes.spines[:].set_visible(False)
        handles = [
            Patch(color=COLOURS[kind], label=name)
            for kind, name in KINDS.items()
            if kind in {r["kind"] for r in rows}
        ]
        figure.suptitle("Requests a second", x=0.02, ha="left", weight="bold")
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=3,
            frameon=False,
            fontsize=11,
            handlelength=1,
            columnspacing=1.2,
        )
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
