"""Writes how far forgo's filters are from OpenCV's and torchvision's into docs/pictures.md.

    make resizers

Each library has an environment of its own, made from its folder's requirements.txt; PyTorch's takes four gigabytes.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forgo._preprocess import Preprocessor, build
from tests.conftest import ROOT
from tests.environments import environment
from tests.test_resize import corpus

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "pictures.md"
SIZES = ((64, 64), (31, 97))
START, END = "| call | on | closest `--resize` |", "\n\n"

NEAREST: dict[str, dict[str, str]] = {
    "opencv": {
        "NEAREST uint8": "nearest", "NEAREST_EXACT uint8": "nearest",
        "LINEAR uint8": "bilinear", "LINEAR float32": "bilinear",
        "CUBIC uint8": "bicubic-torch", "CUBIC float32": "bicubic-torch",
        "AREA uint8": "area", "AREA float32": "area",
        "LANCZOS4 uint8": "lanczos3", "LANCZOS4 float32": "lanczos5",
    },
    "torchvision": {
        "NEAREST PIL": "nearest", "NEAREST_EXACT PIL": "nearest",
        "BILINEAR PIL": "bilinear-pillow", "BICUBIC PIL": "bicubic-pillow", "LANCZOS PIL": "lanczos-pillow",
        "NEAREST uint8": "nearest", "NEAREST_EXACT uint8": "nearest-tf",
        "BILINEAR antialias uint8": "bilinear-pillow", "BICUBIC antialias uint8": "bicubic-pillow",
        "LANCZOS antialias uint8": "lanczos-pillow",
        "BILINEAR uint8": "bilinear", "BICUBIC uint8": "bicubic-torch",
        "BILINEAR antialias float32": "bilinear-antialias", "BICUBIC antialias float32": "bicubic-antialias",
        "LANCZOS antialias float32": "lanczos3-antialias",
        "BILINEAR float32": "bilinear", "BICUBIC float32": "bicubic-torch",
    },
}  # fmt: skip
"""Each library's calls, and the filter that is nearest to each by its mean difference."""


@dataclass
class Difference:
    """How far a call is from a filter, in steps of 255."""

    reduced: float = 0
    """The largest difference over pictures larger than the result."""
    other: float = 0
    """The largest difference over pictures with a side shorter than the result's."""
    means: list[float] = field(default_factory=list)

    def add(self, ours: Any, theirs: Any, reduced: bool) -> None:
        """Count one picture."""
        off = np.abs(ours - theirs.astype(np.float32))
        if reduced:
            self.reduced = max(self.reduced, float(off.max()))
        else:
            self.other = max(self.other, float(off.max()))
        self.means.append(float(off.mean()))

    def cells(self) -> str:
        """The three figures."""
        mean = float(np.mean(self.means))
        return " | ".join(_figure(x) for x in (self.reduced, self.other, mean))


def _figure(x: float) -> str:
    return f"{x:.0f}" if x >= 10 or x == 0 else f"{x:.2g}"


def differences(library: str, pictures: list[Any]) -> dict[str, Difference]:
    """Ask a library for its resizes, and compare them."""
    python, found = environment(HERE / library), defaultdict[str, Difference](Difference)
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "pictures.npz", Path(folder) / "answers.npz"
        np.savez(asked, **{str(i): x for i, x in enumerate(pictures)})
        for height, width in SIZES:
            command: list[str | Path] = [
                python,
                HERE / library / "calls.py",
                asked,
                answered,
                str(height),
                str(width),
            ]
            subprocess.run(command, check=True)
            ours = {
                name: [Preprocessor(build(height, width, resize=name))(x) for x in pictures]
                for name in set(NEAREST[library].values())
            }
            with np.load(answered) as theirs:
                for call, name in NEAREST[library].items():
                    for i, x in enumerate(pictures):
                        reduced = x.shape[0] >= height and x.shape[1] >= width
                        found[call].add(ours[name][i], theirs[f"{call} {i}"], reduced)
    return found


def label(library: str, call: str) -> tuple[str, str]:
    """A call as the page has it, and what it is given."""
    way, *antialias, kind = call.split()
    if library == "opencv":
        return f"`cv2.INTER_{way}`", f"`{kind}`"
    said = f"`InterpolationMode.{way}`"
    if kind == "PIL":
        return said, "Pillow images"
    if not way.startswith("NEAREST"):
        said += f", `antialias={bool(antialias)}`"
    return said, f"`{kind}` tensors"


def _row(library: str, call: str, difference: Difference) -> str:
    return f"| {' | '.join(label(library, call))} | `{NEAREST[library][call]}` | {difference.cells()} |"


def table() -> str:
    """Make the table of both libraries."""
    lines = [f"{START} reduced | otherwise | mean |", "| --- | --- | --- | --- | --- | --- |"]
    for library in NEAREST:
        lines += [_row(library, call, d) for call, d in differences(library, corpus()).items()]
    return "\n".join(lines)


def main() -> None:
    """Write the table in place of the one that is there."""
    page = PAGE.read_text()
    before, _, rest = page.partition(START)
    PAGE.write_text(before + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
