"""The peers' results as a page, as JSON and as a chart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench._peers import PeerResult
from bench._report import chart, machine, machine_line, number, table, write_figures
from bench._results import CONNECTIONS


def write(out: Path, results: list[PeerResult], missing: dict[str, str], about: dict[str, Any]) -> None:
    """Write peers.md, peers.json and peers.svg to a folder."""
    by_name = {r.case.name: r for r in results}
    forgo = by_name.get("peers-json")
    rows = [
        r.figures(
            forgo_times=None if forgo is None else forgo.times(r),
            first_answer_s=median(r.starts),
            memory_mib=median(r.memory),
            disk_mib=r.disk,
        )
        for r in results
    ]
    figures = {**about, "machine": machine(), "servers": rows, "not_measured": missing}
    write_figures(out / "peers.json", out / "peers.md", figures, page)
    if rows:
        chart(rows, out / "peers.svg")


def page(figures: dict[str, Any]) -> str:
    """The page of a run."""
    m = figures["machine"]
    cells: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("", lambda r: f"**{r['title']}**" if r["kind"] == "prediction" else r["title"]),
        ("requests a second", lambda r: f"{r['requests_a_second']:,}"),
        ("lowest – highest", lambda r: f"{r['lowest']:,} – {r['highest']:,}"),
        ("forgo, times", lambda r: number(r["forgo_times"])),
        ("p50, ms", lambda r: number(r["p50_ms"])),
        ("p99, ms", lambda r: number(r["p99_ms"])),
        ("first answer, s", lambda r: number(r["first_answer_s"])),
        ("memory, MiB", lambda r: number(r["memory_mib"])),
        ("disk, MiB", lambda r: number(r["disk_mib"])),
    ]
    servers = table(
        [head for head, _ in cells], [[cell(r) for _, cell in cells] for r in figures["servers"]], right=1
    )
    versions = "\n".join(f"- {r['title']}: {r['versions']}" for r in figures["servers"])
    missing = "".join(f"\n- {title}: not measured: {why}" for title, why in figures["not_measured"].items())
    return f"""# Peers

`make bench` wrote this page on {figures["date"]}; nothing here is written by hand.

![Requests a second, as bars](peers.svg)

{servers}

Every server answers the same model, Keras's 64-32-32-10 network on handwritten digits: one row of JSON a request. Each
had {figures["rounds"]} turn(s) of {figures["seconds"]} s in one run, started for its turn, loaded first for a turn that does not count, and its
answers held to Keras's before and after. The figures are medians; *forgo, times* is the median of the ratios within a round,
forgo's JSON to this server. The load: {figures["load"]}, one thread, {CONNECTIONS} connections, on the same {m["cores"]} cores as the server.
**Ratios travel to other machines; absolute figures do not.**

- *First answer* is from the start of the process to the first right answer; forgo replays its golden cases in it.
- *Memory* is that of all processes after the first 64 answers, shared pages counted once (PSS).
- *Disk* is what must be shipped: a Python environment without Python itself; or a Go binary and ONNX Runtime's library.
- *Go by hand* has no limits, metrics, batches, protocols or proof: the least that a Go engineer writes over ONNX
  Runtime's cgo binding.

{machine_line(m)}

{versions}{missing}

How each is set up is in [`bench/peers/`](../../bench/peers); all figures are in [peers.json](peers.json).
`python -m bench --part peers` measures this page alone.
"""
