"""The old chain, from CelebA's faces to Go: train, write forGo with the tag tags, predict.

    python examples/classic.py CELEBA -o build/classic
    python examples/classic.py CELEBA -o build/classic --attribute Smiling --weights none --epochs 1

CELEBA holds img_align_celeba/, list_attr_celeba.txt and list_eval_partition.txt, as downloaded.
What else is given goes to forgo train. It ends with exit code 1 where the SavedModel, run by its
three names, and the bundle, which is proven, differ in any answer.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

FORGO = Path(sys.executable).with_name("forgo")
NAMES = ["--tag", "tags", "--input", "input_1", "--output", "inferenceLayer/Softmax"]
TOLERANCE = 1e-4  # of a score, as export holds bundles to

Answers = dict[str, dict[str, float]]
"""Of each picture, the score of each label."""


def forgo(*arguments: str | Path) -> str:
    """Run a command, shown as it would be typed, and return what it answers."""
    print("$ forgo " + shlex.join(map(str, arguments)), flush=True)
    done = subprocess.run([FORGO, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    print(done.stdout, end="", flush=True)
    return done.stdout


def predict(*arguments: str | Path) -> Answers:
    """Ask for every label of each picture."""
    lines = map(json.loads, forgo("predict", "--json", "--top", "0", *arguments).splitlines())
    return {line["file"]: {c["label"]: c["score"] for c in line["classes"]} for line in lines}


def differences(one: Answers, other: Answers) -> list[str]:
    """What two ways to predict do not agree on, a line a picture."""
    found = [f"{file}: answered once only" for file in sorted(one.keys() ^ other.keys())]
    for file in sorted(one.keys() & other.keys()):
        a, b = one[file], other[file]
        if a.keys() != b.keys():
            found.append(f"{file}: labelled {', '.join(a)} and {', '.join(b)}")
        elif apart := [label for label in a if not abs(a[label] - b[label]) <= TOLERANCE]:
            found.append(f"{file}: {apart[0]} {a[apart[0]]:.6f} and {b[apart[0]]:.6f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("celeba", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--attribute", default="Male")
    given, training = parser.parse_known_args()
    celeba, out = given.celeba, given.out
    images = celeba / "img_align_celeba"
    out.mkdir(parents=True, exist_ok=True)
    bundle, keras, saved, labels = (out / n for n in ("faces.forgo", "faces.keras", "forGo", "labels.txt"))

    forgo(
        "train", images, "--annotations", celeba / "list_attr_celeba.txt", "--attribute", given.attribute,
        "--partition", celeba / "list_eval_partition.txt", "--recipe", "classic", *training,
        "--save-keras", keras, "-o", bundle,
    )  # fmt: skip
    # A bare SavedModel, as the old tag adder's: proven once, here, on the bundle's own pictures.
    forgo("export", keras, "--tag", "tags", "--examples", bundle / "golden", "-o", saved)
    forgo("inspect", saved)

    # What a SavedModel cannot hold: the classes in the order of its output.
    labels.write_text("\n".join(json.loads((bundle / "forgo.json").read_text())["labels"]) + "\n")
    photos = sorted(p for p in images.iterdir() if p.suffix in (".jpg", ".png"))[:8]
    by_names = predict(saved, *NAMES, "--labels", labels, *photos)
    from_bundle = predict(bundle, *photos)

    if found := differences(by_names, from_bundle):
        sys.exit("\n".join(["by names and from the bundle, the answers differ:", *found]))
    print(f"the same answers by names and from the bundle: {len(photos)} pictures, every label")


if __name__ == "__main__":
    main()
