"""What forgo's verbs in Python share: options, and the lines about a written bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forgo import _usage
from forgo._errors import ForgoError
from forgo._printable import Console

OutOption = Annotated[Path, typer.Option("-o", "--out", metavar="OUT.forgo", help="The bundle to write.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ResizeOption = Annotated[
    str,
    typer.Option(
        help="TensorFlow's and Keras's filters: bilinear, bicubic, lanczos3, lanczos5, each also with -antialias, area and "
        "nearest-tf; Pillow's: bilinear-, bicubic-, lanczos-, box- and hamming-pillow, and nearest; PyTorch's: "
        "bicubic-torch; TensorFlow 1's: bilinear-tf1. See docs/pictures.md.",
        metavar="FILTER",
    ),
]
FitOption = Annotated[
    str,
    typer.Option(
        help="stretch; crop: cut to the aspect ratio, then resize; shorter-side: resize the shorter side, then cut out "
        "the centre; pad: fit the whole picture and fill the rest.",
        metavar="FIT",
    ),
]
ShorterSideOption = Annotated[
    int | None,
    typer.Option(
        parser=_usage.whole_number,
        metavar="N",
        help="With --fit shorter-side: the length of the shorter side, in pixels.",
        show_default="the larger side of the model's input",
    ),
]
PadColourOption = Annotated[
    str, typer.Option(metavar="R,G,B", help="With --fit pad: the colour to fill with, from 0 to 255.")
]
AlphaOption = Annotated[
    str,
    typer.Option(
        help="How to treat transparent pixels: drop keeps their colour; white and black put them on that background."
    ),
]


def colour(text: str) -> tuple[int, ...]:
    """Parse R,G,B."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ForgoError(f"--pad-colour must be R,G,B from 0 to 255, not {text!r}") from None


def show(console: Console, path: str, parity: dict[str, Any]) -> None:
    """Say how a bundle was proven, and where it is."""
    if parity["mode"] == "none":
        verdict, style = f"parity NOT PROVEN: there are no golden cases ({parity['reason']})", "yellow"
    else:
        agreement = (
            f", top-1 agreement {100 * parity['top1_agreement']:.0f}%" if parity["top1_agreement"] else ""
        )
        verdict = (
            f"parity proven in Go: {parity['cases']} cases, "
            f"largest difference {parity['largest_difference']:.1e}{agreement}"
            + (f", on generated pictures ({parity['made']})" if parity.get("made") else "")
        )
        style = "green"
        if parity.get("expected_from"):
            verdict += ", against the converted graph's own answers, not the training framework's"
            style = "yellow"
    console.print(verdict, style=style, soft_wrap=True)
    size = sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())
    if not (Path(path) / "forgo.json").is_file():
        console.print(f"wrote {path} ({size / 1e6:.1f} MB), a SavedModel", soft_wrap=True)
        return
    report = f"; its report is {path}/report.html" if (Path(path) / "report.html").is_file() else ""
    console.print(f"wrote {path} ({size / 1e6:.1f} MB){report}", soft_wrap=True)
    console.print(f"next: forgo predict {path} FILE   or   forgo serve {path}", soft_wrap=True)
