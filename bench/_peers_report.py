"""The peers' results as a page, as JSON and as charts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench import _charts, _models
from bench._cases import CONNECTIONS, TOLERANCE, UPLOADS
from bench._peers import FORGO, LOOSE
from bench._report import machine, machine_line, number, rounds_of, table, write_figures
from bench._turns import PeerResult

MODELS = {
    "digits": ("Digits", "Keras's 64-32-32-10 network on handwritten digits: one JSON row per request."),
    "iris": ("Iris", "scikit-learn's StandardScaler and LogisticRegression, 4 inputs and 3 classes: one JSON row per request."),
    "trees": ("Trees", "XGBoost's 100 trees of depth 6, 20 inputs: one JSON row per request."),
    "resnet50": ("ResNet50", "Keras's ResNet50 with random weights: one JPEG of 640×427 per request, resized with Pillow's bilinear filter."),
    _models.LITE0: ("EfficientNet-Lite0", "A PyTorch module with ImageNet weights: one JPEG of 640×427 per request. Pillow's bicubic filter resizes the "
    "shorter side to 256, and the centre is cropped. The answer has the five best of 1,000 classes."),
}  # fmt: skip


def write(out: Path, results: list[PeerResult], missing: dict[str, str], about: dict[str, Any]) -> None:
    """Write the figures of a model's peers into peers.json of a folder, which keeps the other models', and the page."""
    (model,) = {r.case.model for r in results}
    forgo = next((r for r in results if r.case.name == FORGO[model]), None)
    rows = [
        r.figures(
            forgo_times=None if forgo is None else forgo.times(r),
            first_answer_s=median(r.starts),
            memory_mib=median(r.memory),
            disk_mib=r.disk,
            difference=r.difference,
        )
        for r in results
    ]
    path = out / "peers.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures[model] = {**about, "machine": machine(), "servers": rows, "not_measured": missing}
    write_figures(out, "peers", {name: figures[name] for name in MODELS if name in figures}, pages)


def chart(model: str) -> str:
    """The file of a model's chart."""
    return "peers.svg" if model == "digits" else f"peers-{model}.svg"


def pages(figures: dict[str, Any], out: Path) -> None:
    """Write peers.md and a chart for each model."""
    (out / "peers.md").write_text(page(figures))
    for model, measured in figures.items():
        _charts.bars(measured["servers"], out / chart(model))


def part(model: str, figures: dict[str, Any]) -> str:
    """A model's section."""
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
        ("largest difference", lambda r: f"{r['difference']:.1g}"),
    ]
    if not all("difference" in r for r in figures["servers"]):
        cells.pop()  # figures of a run before it was measured
    rows = [[cell(r) for _, cell in cells] for r in figures["servers"]]
    servers = table([head for head, _ in cells], rows, right=1)
    name, text = MODELS[model]
    missing = "".join(f"\n- {title}: not measured: {why}" for title, why in figures["not_measured"].items())
    return f"""## {name}

{text}

![Requests a second, as bars]({chart(model)})

{servers}

{rounds_of(figures)} of {figures["seconds"]} s on {figures["date"]}. {machine_line(figures["machine"])}
{missing}"""


def page(figures: dict[str, Any]) -> str:
    """The page of the last run of each model."""
    parts = "\n".join(part(model, figures[model]) for model in figures)
    versions = "\n".join(
        dict.fromkeys(f"- {r['title']}: {r['versions']}" for m in figures.values() for r in m["servers"])
    )
    loads = ", ".join(dict.fromkeys(m["load"] for m in figures.values()))
    return f"""# Peers

`make bench` wrote this page.

forgo and other ways to serve the same model, each configured as its documentation advises, in an environment of its own.
In every round each server starts for its turn, must give the training framework's answers, is loaded for one uncounted second
and then for the turn, and must give the answers again. The figures are medians; *forgo, times* is the median over the rounds of
the rate of forgo's first line divided by this server's. The load: {loads}, one thread, {CONNECTIONS} connections ({UPLOADS} for pictures), on
the same cores as the server. **Ratios carry over to other machines; absolute figures do not.**

- *First answer* is the time from the start of the process to the first right answer; for forgo it includes the replay of the
  golden cases.
- *Memory* is the memory of all the server's processes after one answer to each request, with shared pages counted once (PSS).
- *Disk* is what a deployment ships: a Python environment without Python itself; or a Go binary, with ONNX Runtime's library
  if the running server has it open.
- *Largest difference* compares the server's probabilities with the training framework's. More than {TOLERANCE:g} ends the run.
- *Go by hand* is the least that a Go engineer would write over ONNX Runtime's cgo binding: no limits, metrics, batches,
  protocols or proof. It decodes with image/jpeg and resizes with x/image/draw, whose pixels are not Pillow's, so its answers to
  pictures may differ by {LOOSE:g}.
- *FastAPI* uses orjson and uvloop, with one engine thread per worker, and Pillow for pictures. *MLServer* runs the digits in a
  custom runtime of a few lines over ONNX Runtime, iris and trees in its own runtimes.

{parts}
## Versions

{versions}

[`bench/peers/`](../../bench/peers) has each server's setup, [peers.json](peers.json) all figures.
`python -m bench --part peers` measures this page alone; `--model` limits it to one model.
"""
