"""report.html and card.md: a model's training data and metrics."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from forgo._bundle import name_of
from forgo._picture import decode
from forgo._printable import printable

_THUMBNAIL = 96


def render(
    path: Path, manifest: dict[str, Any], trained: dict[str, Any] | None, examples: int, engine: str
) -> dict[str, str]:
    """Render a bundle's report.html and card.md.

    Args:
        path: the bundle's path, which gives its name.
        manifest: the manifest, without files.
        trained: what ``forgo train`` measured; None for any other model.
        examples: how many were compared with the training framework's answers.
        engine: the engine in Python.
    """
    values = {"name": name_of(path), "m": manifest, "t": trained, "examples": examples, "engine": engine}
    return {name: _template(name).render(values) for name in ("report.html", "card.md")}


def _template(name: str) -> Template:
    html = name.endswith(".html")
    templates = Environment(
        loader=PackageLoader("forgo.report"), autoescape=html, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_text if html else _markdown,
    )  # fmt: skip
    return templates.get_template(name)


def _text(value: Any) -> Any:
    """A value for a template as plain text: names and labels may come from anywhere."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _markdown(value: Any) -> Any:
    """The same for Markdown, with characters escaped that would begin a link, a tag or a table's cell."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", printable(value)) if isinstance(value, str) else value


def example(path: Path, expected: str, answer: str, score: float) -> dict[str, Any]:
    """A held-out picture for the report, with a thumbnail as a data URI."""
    image = Image.fromarray(decode(path.read_bytes()))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    png = io.BytesIO()
    image.save(png, "PNG")
    data = base64.b64encode(png.getvalue()).decode()
    return {
        "name": path.name,
        "expected": expected,
        "answer": answer,
        "score": score,
        "src": f"data:image/png;base64,{data}",
    }


def curves(history: dict[str, list[float]], best_epoch: int) -> str:
    """Plot loss and accuracy by epoch, as an SVG element."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    with plt.rc_context(
        {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "forgo"}
    ):
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.7), layout="constrained")
        for axis, key in zip(axes, ("loss", "accuracy"), strict=True):
            for prefix, label, colour in (("", "train", "#8a94a6"), ("val_", "held out", "#0b7285")):
                values = history[prefix + key]
                axis.plot(
                    range(1, len(values) + 1), values, color=colour, label=label, marker="o", markersize=2.5
                )
            axis.axvline(best_epoch, color="#e8590c", linewidth=0.8, linestyle=":", label="kept")
            axis.set_title(key, loc="left")
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].legend(frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    svg = out.getvalue()
    return svg[svg.index("<svg") :]
