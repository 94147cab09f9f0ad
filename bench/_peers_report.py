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
from bench._report import machine, machine_line, number, table, write_figures
from bench._turns import PeerResult

MODELS = {
    "digits": ("Digits", "Keras's 64-32-32-10 network on handwritten digits: one row of JSON a request."),
    "iris": ("Iris", "scikit-learn's logistic regression of scaled numbers, 4 in and 3 out: one row of JSON a request."),
    "trees": ("Trees", "XGBoost's 100 trees of depth 6, 20 numbers in: one row of JSON a request."),
    "resnet50": ("ResNet50", "Keras's, with weights at random: a JPEG of 640×427 a request, resized by Pillow's bilinear filter."),
    _models.LITE0: ("EfficientNet-Lite0", "PyTorch's, with ImageNet's weights: a JPEG of 640×427 a request, its shorter side brought to 256 by "
    "Pillow's bicubic filter, the middle cut out. The answer has the five best of 1,000 classes."),
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

{figures["rounds"]} round(s) of {figures["seconds"]} s on {figures["date"]}. {machine_line(figures["machine"])}
{missing}"""


def page(figures: dict[str, Any]) -> str:
    """The page of the last run of each model."""
    parts = "\n".join(part(model, figures[model]) for model in figures)
    versions = "\n".join(
        dict.fromkeys(f"- {r['title']}: {r['versions']}" for m in figures.values() for r in m["servers"])
    )
    loads = ", ".join(dict.fromkeys(m["load"] for m in figures.values()))
    return f"""# Peers

`make bench` wrote this page; nothing here is written by hand.

Other ways to serve a model, beside forgo: each configured as its documentation advises, in an environment of its own, over
the same model. In each round every server is started for its turn, held to the training framework's answers, loaded
for a second that does not count and for the turn that does, and held to the answers again. The figures are medians; *forgo,
times* is the median of the ratios within a round, forgo's first line to this server. The load: {loads}, one thread, {CONNECTIONS}
connections ({UPLOADS} for pictures), on the same cores as the server. **Ratios travel to other machines; absolute figures do not.**

- *First answer* is from the start of the process to the first right answer; forgo replays its golden cases in it.
- *Memory* is that of all processes after one answer to each request, shared pages counted once (PSS).
- *Disk* is what must be shipped: a Python environment without Python itself; or a Go binary, with ONNX Runtime's library
  if the running server has it open.
- *Largest difference* is that of a probability from the training framework's. More than {TOLERANCE:g} ends the run.
- *Go by hand* has no limits, metrics, batches, protocols or proof: the least that a Go engineer writes over ONNX
  Runtime's cgo binding. It decodes JPEG by image/jpeg and resizes by x/image/draw, whose pixels are not Pillow's: with
  pictures its answers may differ by {LOOSE:g}.
- *FastAPI* reads and writes JSON by orjson, on uvloop, with one thread of the engine a worker; with pictures it decodes and
  resizes by Pillow. *MLServer* runs the digits in a runtime of a few lines over ONNX Runtime, and iris and trees in the
  runtimes that it brings.

{parts}
## Versions

{versions}

How each is set up is in [`bench/peers/`](../../bench/peers); all figures are in [peers.json](peers.json).
`python -m bench --part peers` measures this page alone, with `--model` one of its models.
"""
