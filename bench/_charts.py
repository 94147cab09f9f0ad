"""The figures of the pages, as SVG: as wide as a phone's page, so that the text stays large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

COLOURS = {"hello": "#9aa5b1", "echo": "#c9a227", "peer": "#9aa5b1", "prediction": "#0b7285"}
KINDS = {"hello": "hello world", "echo": "reads a POST", "peer": "others", "prediction": "forgo"}
GREY, BLUE = COLOURS["peer"], COLOURS["prediction"]
STYLE = {
    "font.size": 12, "font.family": "DejaVu Sans", "svg.hashsalt": "forgo", "svg.fonttype": "path",
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@contextmanager
def drawing(path: Path, height: float) -> Iterator[Figure]:
    """A figure 5 inches wide, saved in the end."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, height), layout="constrained")
        yield figure
        figure.savefig(path, metadata={"Date": None}, facecolor="white")


def title(figure: Figure, text: str) -> None:
    """A figure's title, flush left."""
    figure.suptitle(text, x=0.02, ha="left", weight="bold")


def bars(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Requests a second, as bars below their names."""
    with drawing(path, 0.62 * len(rows) + 1) as figure:
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
        title(figure, "Requests a second")
        handles = [
            Patch(color=COLOURS[kind], label=name)
            for kind, name in KINDS.items()
            if kind in {r["kind"] for r in rows}
        ]
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=3,
            frameon=False,
            fontsize=11,
            handlelength=1,
            columnspacing=1.2,
        )


def ratios(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """How far each ratio or figure is on the way to its aim, which is 1; for a figure with a unit less is better."""
    rows = [r for r in rows if r["aim"] is not None]
    with drawing(path, 0.78 * len(rows) + 1.2) as figure:
        axes = figure.add_subplot()
        for place, r in enumerate(rows):

            def share(x: float, r: dict[str, Any] = r) -> float:
                return float(r["aim"] / x if r["unit"] else x / r["aim"])

            got = share(r["median"])
            axes.barh(place, got, height=0.4, color=BLUE if got >= share(r["least"]) else "#b5482f")
            axes.plot([share(r["least"])] * 2, [place - 0.24, place + 0.24], color="#343a40", lw=2)
            over = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # the line of the aim
            axes.text(
                0, place - 0.26, _wrapped(r["what"]), va="bottom", fontsize=10, linespacing=1.1, bbox=over
            )
            unit = r["unit"] and f" {r['unit']}"
            axes.text(max(got, share(r["least"])) + 0.03, place, f"{r['median']:.3g}{unit}", va="center", weight="bold")  # fmt: skip
        axes.axvline(1, color="#343a40", lw=1, ls=":")
        longest = max(1.0, *(r["aim"] / r["median"] if r["unit"] else r["median"] / r["aim"] for r in rows))
        axes.set(xlim=(0, 1.2 * longest), ylim=(len(rows) - 0.6, -0.95), yticks=[], xticks=[0, 0.5, 1])
        axes.set_xlabel("share of the aim; the dark mark is the requirement", fontsize=11)
        axes.spines["left"].set_visible(False)
        title(figure, "Measured, beside the aim")


def _wrapped(text: str, width: int = 52) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def latencies(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """p50 and p99 over the rate, a line each for each server."""
    with drawing(path, 4.4) as figure:
        axes = figure.add_subplot()
        for name in dict.fromkeys(r["name"] for r in rows):
            own = [r for r in rows if r["name"] == name]
            colour = COLOURS[own[0]["kind"]]
            for key, style, quantile in (("p99_ms", "o-", "p99"), ("p50_ms", "o:", "p50")):
                label = f"{own[0]['title']}: {quantile}"
                axes.plot([r["asked_a_second"] for r in own], [r[key] for r in own], style, color=colour, label=label)  # fmt: skip
        rates = sorted({r["asked_a_second"] for r in rows})
        axes.set(xscale="log", yscale="log", xlabel="requests a second, sent when they are due")
        _ticks(axes, rates)
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axes.grid(axis="y", color="#e9ecef")
        title(figure, "Latency, ms")
        figure.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=11)


def _ticks(axes: Axes, at: Sequence[float]) -> None:
    axes.set_xticks(at, labels=[f"{x:,}" for x in at])
    axes.minorticks_off()


def growth(parts: dict[str, tuple[str, list[float], list[float]]], path: Path) -> None:
    """A panel for each thing that grows: what is counted a second, the sizes, and the rates."""
    with drawing(path, 1.9 * len(parts) + 0.4) as figure:
        panels = figure.subplots(len(parts), squeeze=False)[:, 0]
        for axes, (grows, (what, sizes, rates)) in zip(panels, parts.items(), strict=True):
            axes.plot(sizes, rates, "o-", color=BLUE)
            axes.set(xscale="log", ylim=(0, 1.25 * max(rates)), xlabel=grows.lower())
            axes.set_title(what, loc="left", fontsize=11)
            _ticks(axes, sizes)
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
            axes.grid(axis="y", color="#e9ecef")
        title(figure, "As requests and servers grow")
