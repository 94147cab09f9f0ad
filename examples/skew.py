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
OUTPUT = "inferenceLayer/Softmax"
MARKS = ("<!-- skew: make skew writes what follows -->\n", "<!-- /skew -->")
# A square part of scikit-learn's photograph of a temple, stored as cameras do: quality 85, 4:2:0.
PLACE, SIZE = (300, 120), 128


@dataclass(frozen=True)
class Row:
    """One way to the answer."""

    way: str
    scores: dict[str, float]
    pixels: npt.NDArray[np.float32] | None = None
    """The model's input, where it is another than Keras was given."""


def measure(keras_file: Path, bundle: Path, folder: Path) -> list[Row]:
    """Ask for one photograph in every way; the first row is Keras's own."""
    import keras

    from forgo import _preprocess
    from forgo._picture import decode

    folder.mkdir(parents=True, exist_ok=True)
    photo, saved = folder / "photo.jpg", folder / "forGo"
    x, y = PLACE
    image = Image.fromarray(load_sample_images().images[0]).crop((x, y, x + SIZE, y + SIZE))
    image.save(photo, quality=85, subsampling=2)
    labels = json.loads((bundle / "forgo.json").read_text())["labels"]
    forgo("export", keras_file, "--tag", "tags", "--examples", bundle / "golden", "-o", saved)

    model = keras.models.load_model(keras_file, compile=False)
    _, height, width, _ = model.input_shape
    pixels = _preprocess.Preprocessor(_preprocess.build(height, width))(decode(photo.read_bytes()))
    named = dict(zip(labels, map(float, model.predict(pixels[None], verbose=0)[0]), strict=True))
    names = ["--tag", "tags", "--input", model.inputs[0].name, "--output", OUTPUT]
    (folder / "labels.txt").write_text("\n".join(labels))

    def old(*options: str) -> tuple[dict[str, float], npt.NDArray[np.float32]]:
        answer = run(
            [
                ROOT / "scripts/go.sh",
                "run",
                "./examples/oldpredictor",
                "-input",
                model.inputs[0].name,
                *options,
                saved,
                photo,
            ]
        )
        return dict(zip(labels, answer["scores"], strict=True)), np.array(
            answer["input"], np.float32
        ).reshape(pixels.shape)

    rows = [
        Row("Keras, which trained it", named),
        Row("forgo, the bundle", classes(forgo("predict", "--json", "--top", "0", bundle, photo))),
        Row(
            "forgo, the SavedModel by its three names",
            classes(
                forgo(
                    "predict", "--json", "--top", "0", *names, "--labels", folder / "labels.txt", saved, photo
                )
            ),
        ),
    ]
    for way, options in {
        "Go's decoder, read with `At`": [],
        "… and resized from the corner": ["-corner"],
        "… and 117 subtracted: the old library": ["-corner", "-mean", "117"],
    }.items():
        scores, made = old(*options)
        rows.append(Row(way, scores, made - pixels))
    return rows


def run(command: list[str | Path]) -> Any:
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout) if done.stdout else None


def forgo(*arguments: str | Path) -> Any:
    return run([FORGO, *(a.resolve() if isinstance(a, Path) else a for a in arguments)])


def classes(answer: Any) -> dict[str, float]:
    return {c["label"]: c["score"] for c in answer["classes"]}


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    truth = rows[0].scores
    best = max(truth, key=truth.__getitem__)
    lines = [
        f"| way | pixels off by, largest (mean), of 255 | {best} | answer |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        off = "0"
        if row.pixels is not None:
            off = f"{np.abs(row.pixels).max():.1f} ({np.abs(row.pixels).mean():.2f})"
        answer = max(row.scores, key=row.scores.__getitem__)
        wrong = "" if answer == best else ", **wrong**"
        lines.append(f"| {row.way} | {off} | {row.scores[best]:.4f} | {answer}{wrong} |")
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
