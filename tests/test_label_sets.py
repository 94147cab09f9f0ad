"""Examples that have several labels each, or none: how they are read, graded, measured and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import forgo
from forgo._errors import in_python
from forgo.exporting import _keras, _label_sets, _pipeline
from forgo.exporting._normalization import USUAL, Normalization
from forgo.exporting._request import Request
from tests.conftest import forgo as run_forgo

LABELS = ["red", "green", "blue"]
EACH = 12


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("red, blue", ["red", "blue"]),
        ("red", ["red"]),
        ("", []),
        ("[]", []),
        ('["a, b", "red"]', ["a, b", "red"]),
        ("a, b", ["a, b"]),  # which is a label
        ("null", None),
    ],
)
def test_a_line_of_a_file(tmp_path: Path, line: str, found: list[str] | None) -> None:
    file = tmp_path / "expected.txt"
    file.write_text(f"red\n{line}\nblue\n")
    assert _label_sets.read(file, [*LABELS, "a, b"]) == [["red"], found, ["blue"]]


@pytest.mark.parametrize("line", ['["red"', "[1]", "[[]]", "[" * 100_000])
def test_a_line_that_is_no_list(tmp_path: Path, line: str) -> None:
    file = tmp_path / "expected.txt"
    file.write_text(f"red\n{line}\n")
    with pytest.raises(forgo.ExportError, match=r"expected\.txt, line 2: .*JSON list") as caught:
        _label_sets.read(file, LABELS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([["blue", "red"], [], None], [["red", "blue"], [], None]),
        ([[2], (0, 1), "green"], [["blue"], ["red", "green"], ["green"]]),
        (np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]), [["red", "blue"], [], ["green"]]),
        (np.array([[True, False, False]] * 3), [["red"]] * 3),
    ],
)
def test_expected_labels(given: Any, found: Any) -> None:
    assert _label_sets.check(given, LABELS) == found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expected_labels": [["red"]]}, "1 expected labels, but 3 examples"),
        ({"expected_labels": [["red"], ["grey"], []]}, "'grey' is not among the labels red, green, blue"),
        ({"expected_labels": [[3], [], []]}, "3 is not among the labels red"),
        ({"expected_labels": [[True], [], []]}, "True is not among the labels red"),
        ({"expected_labels": [[0, 1, 0], [0, 1, 1], []]}, r"\[0, 1, 0\] name 'red' twice; .* a NumPy array"),
        ({"expected_labels": [1.5, [], []]}, "1.5 are not a list"),
        ({"expected_labels": np.full((3, 3), 0.5)}, "give 0 or 1 for each of the 3 labels"),
        ({"expected_labels": np.ones((3, 2))}, "give 0 or 1 for each of the 3 labels"),
        ({"expected_labels": [["red"], [], []], "task": None}, r"\['red'\] are several.*task='multi-label'"),
        ({"expected_labels": [["red"], [], []], "labels": None}, "needs labels"),
    ],
)  # fmt: skip
def test_expected_labels_that_do_not_fit(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {
        "examples": np.ones((3, 4), "f"), "labels": LABELS, "task": "multi-label", **change,
    }  # fmt: skip
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export("m.keras", tmp_path / "m.forgo", **arguments)


def grading(labels: int = 3) -> _label_sets.Sets:
    return _label_sets.Sets([str(i) for i in range(labels)], [0.5] * labels)


def test_right_answers_to_balanced_labels_are_no_guesses() -> None:
    expected = np.array([[True, False], [False, True]] * 12)
    assert grading()._p_value(expected, expected) < 0.01
    assert grading()._p_value(np.roll(expected, 1, axis=0), expected) > 0.9


def test_grades_have_the_balanced_accuracy_as_their_mean() -> None:
    expected = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    said = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], bool)
    # The first: 2 of 2 with it, 1 of 2 without it. The second: 1 of 2, and 2 of 2. The third tells no two apart.
    assert grading().grades(said, expected).mean() == pytest.approx(0.75)
    assert grading().grades(expected, expected).mean() == pytest.approx(1)
    assert grading().grades(~expected, expected).mean() == 0
    assert grading().right(expected, expected) == (4, 0.25)
    assert grading().right(said, expected)[0] == 0
    same = np.ones((4, 3), bool)
    assert grading().balanced(said, same) is None
    assert grading().says_little(same)
    assert not grading().guesses(said, same)


def test_an_output_for_another_label() -> None:
    said = np.array([[1, 0, 0], [0, 1, 1]], bool)
    renamed = grading().renamed(said, np.array([2, 0, 1]))
    assert renamed.tolist() == [[False, False, True], [True, True, False]]


@pytest.mark.parametrize(
    ("examples", "labels", "share", "guesses"),
    [
        (200, 5, 0.0, True),
        (200, 5, 0.02, True),  # beyond doubt or not, too little to be of use
        (200, 5, 0.4, False),
        (200, 5, 1.0, False),
        (40, 5, 0.0, True),
        (3, 5, 0.0, False),  # too few to tell
    ],
)
def test_guesses(examples: int, labels: int, share: float, guesses: bool) -> None:
    """Labels are copied from the expected ones in a share of the answers; the others are as frequent, and random."""
    generator = np.random.default_rng(5)
    often = np.linspace(0.2, 0.6, labels)
    expected, said = (generator.random((examples, labels)) < often for _ in range(2))
    said = np.where(generator.random((examples, labels)) < share, expected, said)
    assert grading(labels).guesses(said, expected) is guesses


def test_always_the_most_frequent_set_guesses() -> None:
    """It has 80% of the label sets right, and says nothing."""
    expected = np.zeros((200, 3), bool)
    expected[:20, 1] = True
    expected[20:40, 2] = True
    said = np.zeros_like(expected)
    assert grading().balanced(said, expected) == 0.5
    assert grading().guesses(said, expected)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A picture has each of the three colours or has it not: 30 of 255, or 170."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(3)
    expected = []
    for i in range(8 * EACH):
        has = np.array([i & 1, i & 2, i & 4]) > 0
        noise = generator.normal(0, 15, (16, 16, 3)) + generator.normal(0, 10, 3)
        pixels = np.clip(np.where(has, 170, 30) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
        expected.append([label for label, there in zip(LABELS, has, strict=True) if there])
    return folder, expected


def trained_on(way: Normalization, thresholds: Any = 0.5) -> Any:
    """Each label's probability rises with its colour, normalized outside the model; it is the threshold at 100 of 255."""
    low, mid = way.apply(np.stack([np.full((1, 1, 3), v, "f") for v in (30, 100)]))[:, 0, 0]
    steep = 6 / (mid - low)
    limit = np.log(thresholds / (1 - np.asarray(thresholds)))
    order = [2, 1, 0] if way.channels == "BGR" else [0, 1, 2]
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="sigmoid"),
        ]
    )
    kernel = np.diag(steep)[:, order]
    model.layers[-1].set_weights([kernel.astype("f"), (limit - (steep * mid)[order]).astype("f")])
    return model


def run(
    model: Any, path: Path, pictures: tuple[Path, list[list[str]]], way: Normalization, **changes: Any
) -> Any:
    """Export as forgo.export does, without a process of its own."""
    folder, expected = pictures
    fields: dict[str, Any] = {
        "labels": LABELS, "expected_labels": expected, "task": "multi-label", "normalization": way, **changes,
    }  # fmt: skip
    request = Request(path, pictures=sorted(folder.glob("*.png")), **fields)
    return _pipeline.run(_keras.KerasModel(model, picture=True), request)


WAYS = {name: way for name, way in USUAL.items() if way.named() and (way.channels == "RGB" or any(way.mean))}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_normalization_is_refused_and_the_right_flags_named(
    tmp_path: Path, pictures: Any, way: str
) -> None:
    model, right = trained_on(WAYS[way]), WAYS[way]
    with pytest.raises(forgo.ExportError, match="its labels at a balanced accuracy of") as caught:
        run(model, tmp_path / "m.forgo", pictures, Normalization())
    assert f"({in_python(right.named())})" in str(caught.value)
    assert not list(tmp_path.iterdir())
    result = run(model, tmp_path / "m.forgo", pictures, right)
    assert result.accuracy["right"] >= 90
    assert result.accuracy["balanced"] > 0.98


@pytest.mark.slow
def test_it_is_measured_at_the_thresholds(tmp_path: Path, pictures: Any) -> None:
    by_255, limits = WAYS["pixels divided by 255"], [0.001, 0.5, 0.999]
    model = trained_on(by_255, limits)
    result = run(model, tmp_path / "m.forgo", pictures, by_255, thresholds=limits)
    assert result.accuracy["balanced"] > 0.98
    halves = run(model, tmp_path / "h.forgo", pictures, by_255, accept_accuracy=True)
    assert halves.accuracy["balanced"] < result.accuracy["balanced"] - 0.05


@pytest.mark.slow
def test_labels_in_another_order_are_refused(tmp_path: Path, pictures: Any) -> None:
    model = trained_on(WAYS["pixels divided by 255"])
    order = sorted(LABELS)  # blue, green, red
    turned = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="sigmoid"),
        ]
    )
    kernel, bias = model.layers[-1].get_weights()
    turned.layers[-1].set_weights([kernel[:, ::-1], bias[::-1]])
    by_255 = WAYS["pixels divided by 255"]
    with pytest.raises(forgo.ExportError, match=f"labels in the order {', '.join(order)}"):
        run(turned, tmp_path / "m.forgo", pictures, by_255)
    assert run(turned, tmp_path / "m.forgo", pictures, by_255, labels=order).accuracy["balanced"] > 0.98


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path, pictures: Any) -> None:
    folder, expected = pictures
    trained_on(WAYS["pixels divided by 255"]).save(tmp_path / "m.keras")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    lines = [",".join(e) for e in expected]
    lines[0] = "null"
    (tmp_path / "expected.txt").write_text("\n".join(lines) + "\n")
    path = tmp_path / "m.forgo"
    command: list[str | Path] = [
        "export", tmp_path / "m.keras", "-o", path, "--examples", folder, "--labels", tmp_path / "labels.txt",
        "--task", "multi-label", "--expected-labels", tmp_path / "expected.txt",
    ]  # fmt: skip
    done = run_forgo(*command)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert "(--scale 1/255)" in done.err
    assert "--accept-accuracy" in done.err
    assert not path.exists()
    done = run_forgo(*command, "--scale", "1/255")
    assert done.code == 0, done.err
    assert "the labels' mean (by chance 50.0%)" in done.err
    assert f"on {len(expected) - 1} labelled examples" in done.err
    assert "1 examples have no label" in done.err
    provenance = json.loads((path / "forgo.json").read_text())["provenance"]
    measured = provenance["accuracy"]
    assert measured["examples"] == len(expected) - 1
    assert measured["right"] >= 90
    assert measured["chance"] == pytest.approx(1 / 8, abs=0.02)
    assert provenance["metrics"] == {
        "accuracy": measured["right"] / measured["examples"], "balanced_accuracy": measured["balanced"],
    }  # fmt: skip
    shown = f"{100 * measured['balanced']:.1f}%"
    assert f"the labels' mean: {shown}; by chance 50.0%" in run_forgo("inspect", path).out
    assert f"a mean balanced accuracy of {shown}" in (path / "card.md").read_text()
    assert "balanced accuracy, the labels' mean" in (path / "report.html").read_text()


@pytest.mark.slow
def test_rows_at_chance_are_refused_unless_accepted(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    rows = generator.normal(size=(120, 3)).astype("f")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="sigmoid")])
    model.layers[-1].set_weights([np.eye(3, dtype="f") * 4, np.zeros(3, "f")])
    arguments: dict[str, Any] = {"examples": rows, "labels": LABELS, "task": "multi-label"}
    expected = rows > 0
    result = forgo.export(model, tmp_path / "m.forgo", expected_labels=expected, **arguments)
    assert result.accuracy == {
        "examples": 120,
        "right": 120,
        "chance": pytest.approx(1 / 8, abs=0.02),
        "balanced": 1.0,
    }
    shuffled = [np.flatnonzero(row).tolist() for row in generator.permutation(expected)]
    with pytest.raises(forgo.ExportError, match="it guesses"):
        forgo.export(model, tmp_path / "n.forgo", expected_labels=shuffled, **arguments)
    assert not (tmp_path / "n.forgo").exists()
    result = forgo.export(
        model, tmp_path / "n.forgo", expected_labels=shuffled, accept_accuracy=True, **arguments
    )
    assert result.accuracy is not None
    assert "it guesses" in result.accuracy["accepted"]
    assert "by --accept-accuracy" in run_forgo("inspect", tmp_path / "n.forgo").out


@pytest.mark.slow
def test_class_folders_do_not_measure_it(tmp_path: Path, pictures: Any) -> None:
    for i, file in enumerate(sorted(pictures[0].glob("*.png"))[:16]):
        folder = tmp_path / "examples" / LABELS[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file)
    result = forgo.export(
        trained_on(WAYS["pixels divided by 255"]), tmp_path / "m.forgo", examples=tmp_path / "examples", labels=LABELS,
        task="multi-label", scale="1/255",
    )  # fmt: skip
    assert result.accuracy is None
    assert [n for n in result.notes if n.startswith("NOT MEASURED: class folders")]
