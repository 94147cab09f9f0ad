"""The results as a page, as JSON and as a chart."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import _charts
from bench._cases import CONNECTIONS
from bench._go import Cost
from bench._results import Result
from bench._servers import CORES

REQUIRED, AIM = 0.60, 0.75  # shares of chi's hello world for forgo's JSON predictions


def write_figures(
    out: Path, name: str, figures: dict[str, Any], pages: Callable[[dict[str, Any], Path], None]
) -> None:
    """Write the figures of a part as NAME.json, and its page and charts."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    pages(figures, out)


def pages(figures: dict[str, Any], out: Path) -> None:
    """Write README.md and chart.svg."""
    (out / "README.md").write_text(page(figures))
    _charts.bars(figures["servers"], out / "chart.svg")


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
    write_figures(out, "results", figures, pages)


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


def rounds_of(figures: dict[str, Any]) -> str:
    """How many rounds a run had."""
    return f"{figures['rounds']} round{'s' * (figures['rounds'] != 1)}"


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

`make bench` wrote this page on {figures["date"]}.

![Requests a second, as bars](chart.svg)

{servers}

Each server takes a turn of {figures["seconds"]} s in every round, after a warm-up round; the others are idle meanwhile. The figures
are medians of {rounds_of(figures)}; *times Flask* (in gunicorn) and *of Go + chi* are medians of the ratios within a round. The load:
{figures["load"]}, one thread, {CONNECTIONS} connections, on the same {m["cores"]} cores as the server. **Ratios carry over to other machines;
absolute figures do not.**

- The old stacks and chi answer `Hello, World!` to a GET: they predict nothing.
- *Go + chi, reads a POST* reads the same body as forgo's JSON request and answers with its length: the least work
  that a JSON request can be.
- forgo predicts over the Open Inference Protocol: 64 pixels of a handwritten digit in, ten probabilities out, from a Keras
  network (64-32-32-10). The requests cycle through 64 held-out rows.
- Every server must give the right answer to each request before the load and after every turn: the text, or Keras's
  probabilities to within 1e-4. A failed request ends the run.

{aim(figures["servers"])}

{machine_line(m)} Every stack may use all the cores.

{versions}{missing}
{go_section(figures["go"])}
[`bench/`](../../bench) has each server's setup, [results.json](results.json) all figures. `BENCH_SECONDS` sets the length of
a turn, `BENCH_ROUNDS` the number of rounds.

## The pages

| page | contents | measured by |
| --- | --- | --- |
| this one | forgo's predictions beside the hello worlds of older stacks and of Go | `python -m bench --part web` |
| [peers.md](peers.md) | other ways to serve the same models (a network, iris, trees, photographs): rate, latency, first answer, memory, disk | `--part peers` |
| [engine.md](engine.md) | gRPC, trees in the library, photographs beside the bare engine, a static program; each with a requirement and an aim | `--part engine` |
| [latency.md](latency.md) | latency at fixed request rates | `--part latency` |
| [growth.md](growth.md) | rate and latency as rows, connections, pictures, models and callers grow | `--part growth` |
| [pictures.md](pictures.md) | decoding and resizing a JPEG in forgo and in Pillow | `make bench-pictures` |
| [profile.md](profile.md) | where a prediction's processor time goes | `python -m bench.profile` |
| [overload.md](overload.md) | a ResNet50 under ten times the load that it can answer | `make overload` |
| [floods.md](floods.md) | requests that are small on the wire and large in memory | `make floods` |
| [soak.md](soak.md) | a model swapped every second under load | `make soak` |

`make bench` measures the first five in under 40 minutes on 2 cores. Its first run also installs Python environments for ten
servers, and PyTorch for EfficientNet-Lite0's weights. `--only` and `--model` limit which servers are measured; `--redraw`
writes these pages again from the recorded figures.
"""


def aim(rows: list[dict[str, Any]]) -> str:
    """Whether JSON predictions are as fast as required."""
    ratio = next((r["of_chi"] for r in rows if r["name"] == "forgo-json"), None)
    if ratio is None:
        verdict = "One of the two was not measured in this run."
    else:
        verdict = f"**This run {'reached' if ratio >= REQUIRED else 'did not reach'} it: {ratio:.3f}.**"
    return f"JSON predictions must reach {REQUIRED:.2f} of the rate of chi's hello world; the aim is {AIM:.2f}.\n{verdict}"


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

*Run* is a call of the library: with batching, a request of one of 32 callers takes {batched / alone:.2f} of its time without.
*Request* is the server's work for one request of 16 rows, with the engine and without the network.
`make bench-go` runs these alone.
"""
