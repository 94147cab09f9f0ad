"""The right question: what labelled examples say of an export, and what is refused for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import forgo
from forgo._errors import in_python
from forgo.exporting import _alternatives, _expected_labels, _grading, _guessing, _keras, _pipeline
from forgo.exporting._normalization import USUAL, Normalization
from forgo.exporting._request import Request
from tests.conftest import forgo as run_forgo

LABELS = ["bright_blue", "bright_red", "dark_blue", "dark_red"]
COLOURS = np.array([(150, 150, 225), (225, 150, 150), (30, 30, 105), (105, 30, 30)])
EACH = 20


def answers(right: int, of: int, classes: int = 2) -> tuple[Any, Any]:
    """Answers to examples of classes in turns; the wrong ones are spread over all classes."""
    expected = np.arange(of) % classes
    said = expected.copy()
    wrong = np.linspace(0, of - 1, of - right).round().astype(int)
    said[wrong] = (expected[wrong] + 1 + np.arange(len(wrong)) % (classes - 1)) % classes
    return said, expected


@pytest.mark.parametrize(
    ("right", "of", "classes", "guesses"),
    [
        (120, 240, 2, True),
        (101, 240, 2, True),  # worse than chance
        (130, 240, 2, True),  # 54%, which guessing reaches now and then
        (160, 240, 2, False),
        (24, 240, 10, True),
        (80, 240, 10, False),
        (3, 3, 2, False),  # too few to tell
        (2, 4, 2, False),
        (10, 20, 2, True),
        (20, 20, 2, False),
    ],
)
def test_near_chance(right: int, of: int, classes: int, guesses: bool) -> None:
    said, expected = answers(right, of, classes)
    assert _guessing.near_chance(said, expected, _guessing.chance(said, expected)) is guesses


def test_near_chance_of_unbalanced_classes() -> None:
    expected = np.array([0] * 180 + [1] * 20)
    always = np.zeros(200, int)
    assert _guessing.near_chance(
        always, expected, _guessing.chance(always, expected)
    )  # 90%, and says nothing
    said = expected.copy()
    said[:30], said[180:184] = 1, 0  # 83%, and finds most of the rare ones
    assert not _guessing.near_chance(said, expected, _guessing.chance(said, expected))
    alone = np.zeros(200, int)
    assert not _guessing.near_chance(alone, alone, 1.0)


def test_clearly_better_is_beyond_doubt_and_enough() -> None:
    def better(gained: int, lost: int, of: int, now_right: int) -> bool:
        now, other = np.zeros(of, bool), np.zeros(of, bool)
        now[:now_right] = other[:now_right] = True
        now[:lost], other[:lost] = True, False
        other[now_right : now_right + gained] = True
        return _guessing.clearly_better(now, other, 7)

    assert better(100, 0, 240, 120)
    assert better(10, 0, 20, 10)
    assert not better(5, 0, 10, 5)  # five coins that fall alike
    assert not better(30, 25, 240, 120)
    assert not better(20, 0, 2000, 1500)  # beyond doubt, but a point of a hundred
    assert better(40, 2, 2000, 1950)  # most of the mistakes gone


def test_labels_from_folders(tmp_path: Path) -> None:
    pictures = [
        tmp_path / p for p in ("cat/1.jpg", "train/dog/2.jpg", "dog/deep/3.jpg", "4.jpg", "cow/5.jpg")
    ]
    assert _expected_labels.from_folders(pictures, tmp_path, ["cat", "dog"]) == [
        "cat",
        "dog",
        "dog",
        None,
        None,
    ]
    assert _expected_labels.from_folders(pictures, tmp_path, ["a"]) is None
    assert _expected_labels.from_folders(pictures, tmp_path, None) is None


def test_natural_order_is_timms() -> None:
    assert sorted(["10", "9", "a10", "A2"], key=_alternatives._natural) == ["9", "10", "A2", "a10"]


def test_few_examples_tell_a_guess_only_from_wrong_answers() -> None:
    classes = _grading.Classes(["a", "b"])
    assert classes.cannot_tell(np.array([0, 1, 0]), np.array([1, 1, 0]))
    assert not classes.cannot_tell(np.array([0, 1]), np.array([0, 1]))


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        (np.eye(3), 1.0),
        (np.eye(3)[[0, 0, 0, 0]], 0.0),
        (np.full((4, 3), 1 / 3), 0.0),
        (np.array([[0.9, 0.1], [0.1, 0.9]]), 0.531),
    ],
)
def test_answers_that_differ_and_are_certain_inform(answers: Any, share: float) -> None:
    assert _alternatives._information(answers) == pytest.approx(share, abs=1e-3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes that differ in brightness and in red and blue, DIR/CLASS/*.png."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(3)
    for label, colour in zip(LABELS, COLOURS, strict=True):
        (folder / label).mkdir()
        for i in range(EACH):
            noise = generator.normal(0, 15, (16, 16, 3)) + generator.normal(0, 10, 3)
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i:02d}.png")
    return folder


def trained_on(pictures: Path, way: Normalization) -> Any:
    """A classifier of mean colours, trained on pixels that were normalized outside it."""
    files = sorted(pictures.glob("*/*.png"))
    means = way.apply(np.stack([np.asarray(Image.open(f), np.float32).mean((0, 1)) for f in files]))
    expected = [LABELS.index(f.parent.name) for f in files]
    spread = means.std()
    fitted = LogisticRegression(C=100, max_iter=5000).fit(means / spread, expected)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    model.layers[-1].set_weights([(fitted.coef_.T / spread).astype("f"), fitted.intercept_.astype("f")])
    return model


WAYS = {name: way for name, way in USUAL.items() if way.named() and (way.channels == "RGB" or any(way.mean))}


def run(
    model: Any,
    path: Path,
    pictures: Path,
    way: Normalization,
    labels: list[str] = LABELS,
    labelled: bool = True,
) -> Any:
    """Export as forgo.export does, without a process of its own."""
    files = sorted(pictures.glob("*/*.png"))
    request = Request(
        path, pictures=files, labels=labels, normalization=way,
        expected_labels=_expected_labels.from_folders(files, pictures, labels) if labelled else None,
    )  # fmt: skip
    return _pipeline.run(_keras.KerasModel(model, picture=True), request)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_normalization_is_refused_and_the_right_flags_named(
    tmp_path: Path, pictures: Path, way: str
) -> None:
    model, right = trained_on(pictures, WAYS[way]), WAYS[way]
    with pytest.raises(forgo.ExportError, match="of 80 labelled examples, by chance") as caught:
        run(model, tmp_path / "m.forgo", pictures, Normalization())
    assert f"({in_python(right.named())})" in str(caught.value)
    assert not list(tmp_path.iterdir())
    result = run(model, tmp_path / "m.forgo", pictures, right)
    assert result.accuracy["right"] >= 78


@pytest.mark.slow
def test_class_folders_on_the_command_line(tmp_path: Path, pictures: Path) -> None:
    trained_on(pictures, WAYS["pixels divided by 255"]).save(tmp_path / "m.keras")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    command: list[str | Path] = [
        "export", tmp_path / "m.keras", "-o", tmp_path / "m.forgo",
        "--examples", pictures, "--labels", tmp_path / "labels.txt",
    ]  # fmt: skip
    done = run_forgo(*command)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert "(--scale 1/255)" in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.txt", "m.keras"]
    done = run_forgo(*command, "--scale", "1/255")
    assert done.code == 0, done.err
    assert "on 80 labelled examples" in done.err
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    measured = manifest["provenance"]["accuracy"]
    assert measured["right"] >= 78
    assert measured["examples"] == 80
    assert measured["chance"] == pytest.approx(0.25, abs=0.01)
    assert manifest["provenance"]["metrics"]["accuracy"] == measured["right"] / 80
    assert f"{measured['right']} right" in run_forgo("inspect", tmp_path / "m.forgo").out
    assert f"of {measured['examples']} labelled" in (tmp_path / "m.forgo" / "card.md").read_text()
    assert "right of 80 labelled" in (tmp_path / "m.forgo" / "report.html").read_text()


@pytest.mark.slow
def test_what_is_accepted_is_recorded(tmp_path: Path, pictures: Path) -> None:
    model = trained_on(pictures, USUAL["pixels divided by 255"])
    path = tmp_path / "m.forgo"
    result = forgo.export(model, path, examples=pictures, labels=LABELS, accept_accuracy=True)
    assert result.accuracy is not None
    assert "--scale 1/255" in result.accuracy["accepted"]
    assert (
        "--scale 1/255" in json.loads((path / "forgo.json").read_text())["provenance"]["accuracy"]["accepted"]
    )
    assert "by --accept-accuracy" in run_forgo("inspect", path).out
    assert "--scale 1/255" in (path / "card.md").read_text()
    assert "in spite of this" in (path / "report.html").read_text()


@pytest.mark.slow
def test_flags_that_the_model_does_not_need_are_refused(tmp_path: Path, pictures: Path) -> None:
    by_255 = WAYS["pixels divided by 255"]
    model = trained_on(pictures, by_255)
    inside = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), model])
    with pytest.raises(forgo.ExportError, match="pixels as they are, 0 to 255"):
        run(inside, tmp_path / "m.forgo", pictures, by_255)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_labels_in_another_order_are_refused(tmp_path: Path, pictures: Path) -> None:
    by_255 = WAYS["pixels divided by 255"]
    model = trained_on(pictures, by_255)
    with pytest.raises(forgo.ExportError, match="labels in the order bright_blue, bright_red, dark_blue"):
        run(model, tmp_path / "m.forgo", pictures, by_255, LABELS[::-1])


@pytest.mark.slow
def test_unlabelled_examples_warn(tmp_path: Path, pictures: Path) -> None:
    model = trained_on(pictures, USUAL["pixels divided by 255"])
    files = sorted(pictures.glob("*/*.png"))
    result = forgo.export(model, tmp_path / "m.forgo", examples=files, labels=LABELS)
    assert any("--scale 1/255" in note.as_command() for note in result.notes)
    assert result.accuracy is None
    result = run(model, tmp_path / "right.forgo", pictures, WAYS["pixels divided by 255"], labelled=False)
    assert result.notes == []


@pytest.mark.slow
def test_rows_with_expected_labels(tmp_path: Path) -> None:
    iris = load_iris()
    rows, labels = iris.data.astype(np.float32), ["setosa", "versicolor", "virginica"]
    fitted = LogisticRegression(max_iter=1000).fit(rows, iris.target)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.layers[-1].set_weights([fitted.coef_.T, fitted.intercept_])
    arguments: dict[str, Any] = {"examples": rows, "labels": labels}
    result = forgo.export(model, tmp_path / "m.forgo", expected_labels=iris.target.tolist(), **arguments)
    assert result.accuracy is not None
    assert result.accuracy["right"] == (fitted.predict(rows) == iris.target).sum()
    (tmp_path / "m.forgo").rename(tmp_path / "sound.forgo")
    shuffled = np.random.default_rng(1).permutation(iris.target).tolist()
    with pytest.raises(forgo.ExportError, match="it guesses"):
        forgo.export(model, tmp_path / "m.forgo", expected_labels=shuffled, **arguments)
    np.save(tmp_path / "rows.npy", rows[:30])
    model.save(tmp_path / "m.keras")
    for name, lines in (("labels", labels), ("right", [labels[i] for i in iris.target[:30]])):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    done = run_forgo(
        "export", tmp_path / "m.keras", "-o", tmp_path / "m.forgo", "--examples", tmp_path / "rows.npy",
        "--labels", tmp_path / "labels.txt", "--expected-labels", tmp_path / "right.txt",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "accuracy 100.0% on 30 labelled examples" in done.err
    assert "have one class" in done.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expected_labels": ["a"]}, "1 expected labels, but 3 examples"),
        ({"expected_labels": ["a", "b", "c"]}, "'c' is not among the labels a, b"),
        ({"expected_labels": [0, 1, 2]}, "2 is not among the labels a, b"),
        ({"expected_labels": ["a", "b", None], "labels": None}, "give labels too"),
        ({"expected_labels": ["a"], "examples": None, "no_goldens": True}, "expected_labels needs examples"),
    ],
)
def test_expected_labels_that_do_not_fit(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"examples": np.ones((3, 4), "f"), "labels": ["a", "b"], **change}
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export("m.keras", tmp_path / "m.forgo", **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("way", [w for w in WAYS if "255" in w or "BGR" in w][:3])
def test_class_folders_without_labels_are_judged(tmp_path: Path, pictures: Path, way: str) -> None:
    """The outputs are the folders in sorted order, as Keras' image_dataset_from_directory has them."""
    right = WAYS[way]
    trained_on(pictures, right).save(tmp_path / "m.keras")
    path = tmp_path / "m.forgo"
    with pytest.raises(forgo.ExportError, match="the folders in sorted order") as caught:
        forgo.export(tmp_path / "m.keras", path, examples=pictures)
    assert f"({in_python(right.named())})" in str(caught.value)
    assert not path.exists()
    result = forgo.export(
        tmp_path / "m.keras", path, examples=pictures, channels=right.channels, scale=right.scale,
        mean=list(right.mean), std=list(right.std),
    )  # fmt: skip
    assert result.accuracy is not None
    assert result.accuracy["right"] >= 78
    assert result.accuracy["assumed_labels"] == LABELS
    assert any("give them as labels, and the bundle answers with them" in note for note in result.notes)
    recorded = json.loads((path / "forgo.json").read_text())["provenance"]["accuracy"]
    assert recorded["assumed_labels"] == LABELS


@pytest.mark.slow
def test_one_probability_of_two_folders_is_judged(tmp_path: Path, pictures: Path) -> None:
    for label in ("bright_red", "dark_red"):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / label).symlink_to(pictures / label)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.layers[-1].set_weights([np.full((3, 1), -0.05, "f"), np.array([16.0], "f")])  # dark, of 0 to 255
    result = forgo.export(model, tmp_path / "m.forgo", examples=tmp_path / "two")
    assert result.accuracy is not None
    assert result.accuracy["right"] == result.accuracy["examples"] == 2 * EACH
    guesses = keras.models.clone_model(model)
    guesses.layers[-1].set_weights([np.zeros((3, 1), "f"), np.array([0.01], "f")])
    with pytest.raises(forgo.ExportError, match=r"labelled examples, by chance 50\.0%"):
        forgo.export(guesses, tmp_path / "n.forgo", examples=tmp_path / "two")


@pytest.mark.slow
def test_folders_that_are_not_the_outputs_warn(tmp_path: Path, pictures: Path) -> None:
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()])
    result = forgo.export(model, tmp_path / "m.forgo", examples=pictures)
    assert result.accuracy is None
    assert [n for n in result.notes if n.startswith("NOT MEASURED: the examples lie in 4 class folders")]
    result = forgo.export(model, tmp_path / "e.forgo", examples=pictures, task="embedding")
    assert not [n for n in result.notes if "NOT MEASURED" in n]
