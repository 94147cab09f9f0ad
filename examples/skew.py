"""What the arithmetic of an older Go predictor does to one photograph, beside Keras and forgo.

    python examples/skew.py build/tiles.keras build/tiles.forgo -o build/skew
    python examples/skew.py build/tiles.keras build/tiles.forgo -o build/skew --page docs/coming-from-a-go-predictor.md

The first prints the table, the second also puts it into the page, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).parent.parent
FORGO = Path(sys.executable).with_name("forgo")
MARKS = ("<!-- skew: make skew writes what follows -->\n", "<!-- /skew -->")
SIZE, STEP = 200, 80
SHOWN = "flower-240-80.jpg"

Scores = dict[str, float]


@dataclass(frozen=True)
class Way:
    """One way from photographs to answers."""

    name: str
    scores: list[Scores]
    """Of each photograph."""
    off: npt.NDArray[np.float32] | None = None
    """The model's input for the photograph that is shown, less what Keras was given; None is Keras's own."""


def photographs(folder: Path) -> list[Path]:
    """Cut square parts out of scikit-learn's two photographs, stored as cameras do; the shown one first."""
    files = []
    for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
        image = Image.fromarray(photograph)
        for y in range(0, image.height - SIZE + 1, STEP):
            for x in range(0, image.width - SIZE + 1, STEP):
                files.append(folder / f"{name}-{x}-{y}.jpg")
                image.crop((x, y, x + SIZE, y + SIZE)).save(files[-1], quality=85, subsampling=2)
    return sorted(files, key=lambda file: file.name != SHOWN)


def measure(keras_file: Path, bundle: Path, folder: Path) -> list[Way]:
    """Ask for the photographs in every way; the first is Keras's own."""
    import keras
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    photos, saved = photographs(folder), folder / "forGo"
    labels = json.loads((bundle / "forgo.json").read_text())["labels"]
    forgo("export", keras_file, "--tag", "tags", "--examples", bundle / "golden", "-o", saved)

    # Keras is given what Pillow and TensorFlow make of them, nothing of forgo's.
    model = keras.models.load_model(keras_file, compile=False)
    size = model.input_shape[1:3]
    pixels = np.stack([tf.image.resize(np.asarray(Image.open(p)), size).numpy() for p in photos])

    def named(scores: list[float]) -> Scores:
        return dict(zip(labels, map(float, scores), strict=True))

    def way(name: str, path: Path, *options: str) -> Way:
        command: list[str | Path] = [ROOT / "scripts/go.sh", "run", "./examples/oldpredictor", *options]
        answers = run([*command, path.resolve(), *(p.resolve() for p in photos)])
        made = np.array(answers[0]["input"], np.float32).reshape(pixels[0].shape)
        return Way(name, [named(a["scores"]) for a in answers], made - pixels[0])

    return [
        Way("Keras, which trained it", [named(scores) for scores in model.predict(pixels, verbose=0)]),
        way("forgo, the bundle", bundle, "-forgo"),
        way("forgo, the SavedModel by its three names", saved, "-forgo"),
        way("Go's decoder, read with `At`", saved),
        way("… and resized from the corner", saved, "-corner"),
        way("… and 117 subtracted: the old library", saved, "-corner", "-mean", "117"),
    ]


def run(command: list[str | Path]) -> list[Any]:
    """Run a command, and read a JSON object a line."""
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def forgo(*arguments: str | Path) -> list[Any]:
    return run([FORGO, *(a.resolve() if isinstance(a, Path) else a for a in arguments)])


def best(scores: Scores) -> str:
    return max(scores, key=scores.__getitem__)


def table(ways: list[Way]) -> str:
    """The ways in Markdown: the photograph that is shown, and how many of all are answered otherwise."""
    expected = ways[0].scores
    label = best(expected[0])
    lines = [
        f"| way | largest (mean) difference of pixels, of 255 | {label} | answer | answers unlike Keras's |",
        "| --- | --- | --- | --- | --- |",
    ]
    for way in ways:
        off = "" if way.off is None else f"{np.abs(way.off).max():.2f} ({np.abs(way.off).mean():.2f})"
        answer = best(way.scores[0])
        others = sum(best(got) != best(want) for got, want in zip(way.scores, expected, strict=True))
        shown = answer if answer == label else f"**{answer}**"
        lines.append(
            f"| {way.name} | {off} | {way.scores[0][label]:.4f} | {shown} | {others} of {len(expected)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("keras", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    given = parser.parse_args()
    made = table(measure(given.keras, given.bundle, given.out))
    print(made, end="")
    if given.page:
        before, _, rest = given.page.read_text().partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        given.page.write_text(before + MARKS[0] + made + MARKS[1] + after)


if __name__ == "__main__":
    main()
