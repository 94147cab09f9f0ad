"""Train: folders of pictures become a bundle."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from forgo import _preprocess, _printable
from forgo._bundle import check_place
from forgo._errors import ForgoError
from forgo.training._choices import AUGMENTS, BACKBONES, RECIPES
from forgo.training._quiet import native_stderr_held

__all__ = ["Trained", "train"]

_CANDIDATES = 256
"""Held-out pictures that golden cases are chosen from: half of them the least certain ones."""
_HARDEST = 12


@dataclass(frozen=True)
class Trained:
    """What training came to."""

    path: str
    """The bundle."""
    accuracy: float
    """On the held-out pictures, 0 to 1."""
    loss: float
    """On the held-out pictures: mean negative log likelihood, nats."""
    held_out: int
    """How many they were."""
    best_epoch: int
    interrupted: bool
    parity: dict[str, Any]
    """The Go binary's verdict, as ``forgo verify --json`` prints it."""
    set_aside: list[tuple[str, str]]
    """Files that could not be used, with the reason. They were not changed."""


def train(
    data: str | Path,
    path: str | Path,
    *,
    recipe: str = "standard",
    annotations: str | Path | None = None,
    attribute: str | None = None,
    class_names: tuple[str, str] | None = None,
    partition: str | Path | None = None,
    backbone: str | None = None,
    image_size: int | None = None,
    weights: str | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    valid: str | Path | float = 0.2,
    trainable: str | None = None,
    augment: str | None = None,
    learning_rate: float | None = None,
    patience: int | None = None,
    resize: _preprocess.Resize = "bilinear",
    fit: _preprocess.Fit = "stretch",
    save_keras: str | Path | None = None,
    console: Console | None = None,
) -> Trained:
    """Train a classifier on folders of pictures, and write it as a proven bundle.

    Pixels are decoded by Pillow (EXIF orientation applied) and pass through the very
    ``preprocess.onnx`` that the bundle carries, so that training and serving see the same.

    Args:
        data: a folder with ``train/CLASS`` and ``valid/CLASS`` (and, if there is one,
            ``test/CLASS``, which the metrics then come from), or with ``CLASS`` folders. With
            annotations, the folder of the pictures that they name.
        path: where the bundle goes: ``NAME.forgo``. An older bundle there is replaced.
        recipe: what the arguments are that are left out. "standard"; or "classic": ResNet50 from
            ImageNet weights, its first 30 layers trained and the rest frozen, classic augmentation,
            Adam at 1e-4 without decay, patience 10, 50 epochs, the input named ``input_1``.
        annotations: a list of attributes in the form of CelebA's ``list_attr_celeba.txt``, or of
            its CSV, in place of class folders.
        attribute: the one of the list that is to be told.
        class_names: of the pictures without the attribute and of those with it; "not NAME" and
            NAME unless given.
        partition: a list in the form of CelebA's ``list_eval_partition.txt``, or of its CSV: which
            pictures are train, valid and test. Without it, ``valid`` is a share.
        backbone: "small" (a compact CNN; the default) or "resnet50".
        image_size: height and width of the model's input; 64 for small, 224 for resnet50.
        weights: "none", "imagenet" (resnet50's default; needs a download) or a weights file.
        epochs: at most, 20 by default; training ends sooner when the held-out loss no longer falls.
        batch_size: pictures a step.
        seed: of the split, the weights, the order and the augmentation.
        valid: where ``data`` has no valid folder: another folder, or the share of each class
            to hold out.
        trainable: the backbone's layers to train: "all", "head" (none of them), "first:N",
            "last:N", or a regular expression of their names. "all" by default.
        augment: "none", "light" (small turns, shifts, zooms; the default) or "classic" (rotation 40°,
            shifts, shear and zoom 0.2, horizontal flip). Never part of the exported graph.
        learning_rate: of Adam, with cosine decay; 1e-3 for small, 1e-4 for resnet50.
        patience: epochs without a lower held-out loss before training ends; 5 by default.
        resize: "bilinear", "bilinear-antialias", "bilinear-tf1" or "nearest".
        fit: "stretch", or "crop" to keep the aspect ratio.
        save_keras: where to keep the trained Keras model too, as a ``.keras`` file.
        console: where progress goes; stderr unless given.

    Raises:
        ForgoError: the data or an argument cannot be used.
        ParityError: the exported model answers differently. The trained Keras model is kept
            beside the bundle's place.
    """
    place = Path(path)
    check_place(place)
    console = console or _printable.Console()
    if recipe not in RECIPES:
        raise ForgoError(f"--recipe is one of {', '.join(RECIPES)}, not {recipe!r}")
    usual = RECIPES[recipe]
    backbone = backbone or usual.backbone
    image_size = _or(image_size, usual.image_size, 64 if backbone == "small" else 224)
    weights = weights or (usual.weights if backbone == usual.backbone else None)
    weights = weights or ("imagenet" if backbone == "resnet50" else "none")
    epochs, patience = _or(epochs, usual.epochs), _or(patience, usual.patience)
    trainable, augment = trainable or usual.trainable, augment or usual.augment
    learning_rate = _or(learning_rate, usual.learning_rate, 1e-4 if backbone == "resnet50" else 1e-3)
    if (annotations is None) != (attribute is None) or (annotations is None and (partition or class_names)):
        raise ForgoError(
            "--annotations FILE and --attribute NAME go together; --partition and --class-names need them"
        )
    _check_arguments(backbone, image_size, epochs, batch_size, augment, patience, resize, fit)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keras = _import_keras()
    from forgo.training import _data, _fit, _network

    preprocess = _preprocess.Preprocessor(_preprocess.build(image_size, image_size, resize=resize, fit=fit))
    if annotations is not None and attribute is not None:
        listed = _data.Annotations(
            Path(annotations), attribute, class_names, Path(partition) if partition else None
        )
        found = _data.find_annotated(Path(data), listed, valid, seed, preprocess)
    else:
        found = _data.find(Path(data), valid, seed, preprocess)
    _describe(found, console)

    keras.utils.set_random_seed(seed)
    classifier = _network.build(
        backbone, image_size, len(found.labels), weights=weights, trainable=trainable,
        dropout=usual.dropout, input_name=usual.input_name,
    )  # fmt: skip
    shape = (image_size, image_size, 3)
    train_reader, valid_reader = (
        _data.Reader(part, preprocess, shape) for part in (found.train, found.valid)
    )
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.train.", dir=place.parent) as work:
        best = Path(work) / "best.keras"
        run = _fit.fit(
            classifier, train_reader, valid_reader, best, console,
            epochs=epochs, batch_size=batch_size, seed=seed, augment=augment, patience=patience,
            learning_rate=learning_rate, decay=usual.decay,
        )  # fmt: skip
        if run.interrupted:
            console.print(f"interrupted: the best model so far (epoch {run.best_epoch}) is kept")
        if save_keras is not None:
            shutil.copyfile(best, save_keras)
        reader = (
            valid_reader if found.held_out is found.valid else _data.Reader(found.test, preprocess, shape)
        )
        settings = {
            "recipe": recipe, "backbone": backbone, "image size": image_size, "weights": weights, "trainable": trainable,
            "augment": augment, "epochs": epochs, "batch size": batch_size, "seed": seed,
            "learning rate": learning_rate, "resize": resize, "fit": fit,
            **({"attribute": attribute} if attribute else {}),
        }  # fmt: skip
        return _measure_and_export(best, place, found, run, reader, settings, console)


T = TypeVar("T")


def _or(*values: T | None) -> T:
    """Return the first that is not None."""
    return next(v for v in values if v is not None)


def _import_keras() -> Any:
    try:
        if "keras" in sys.modules:
            import keras
        else:
            with native_stderr_held():
                import keras

                keras.ops.zeros(1)  # TensorFlow says some of it only at its first operation
    except ImportError as e:
        raise ForgoError(f"training needs Keras and TensorFlow ({e}): pip install 'forgo[keras]'") from None
    return keras


def _check_arguments(
    backbone: str,
    image_size: int,
    epochs: int,
    batch_size: int,
    augment: str,
    patience: int,
    resize: str,
    fit: str,
) -> None:
    for name, value, known in (
        ("backbone", backbone, BACKBONES), ("augment", augment, AUGMENTS),
        ("resize", resize, _preprocess.RESIZES), ("fit", fit, _preprocess.FITS),
    ):  # fmt: skip
        if value not in known:
            raise ForgoError(f"--{name} is one of {', '.join(known)}, not {value!r}")
    least = {
        "image-size": (image_size, 8),
        "epochs": (epochs, 1),
        "batch-size": (batch_size, 1),
        "patience": (patience, 1),
    }
    for name, (number, bound) in least.items():
        if number < bound:
            raise ForgoError(f"--{name} must be {bound} or more, not {number}")
    if backbone == "resnet50" and image_size < 32:
        raise ForgoError("--image-size must be 32 or more for resnet50")


def _describe(data: Any, console: Console) -> None:
    test = f" · {len(data.test)} test" if data.test else ""
    console.print(
        f"{len(data.train)} train · {len(data.valid)} valid{test} pictures, {len(data.labels)} classes"
    )
    for what, pairs in (("could not be used", data.set_aside), ("is also in train", data.leaked)):
        for path, why in pairs[:3]:
            console.print(f"  {what}: {path}: {why}", style="yellow", soft_wrap=True)
        if len(pairs) > 3:
            console.print(f"  … and {len(pairs) - 3} more; the bundle's report lists them", style="yellow")


def _measure_and_export(
    best: Path, place: Path, data: Any, run: Any, reader: Any, settings: dict[str, Any], console: Console
) -> Trained:
    import keras
    import numpy as np

    from forgo import report
    from forgo.exporting._pipeline import Request
    from forgo.exporting._process import export_file
    from forgo.training import _metrics

    model = keras.saving.load_model(best, compile=False)
    order = np.arange(len(reader.pictures))
    scores = np.concatenate(
        [model.predict(reader(part), verbose=0) for part in np.array_split(order, -(-len(order) // 256))]
    )
    measured = _metrics.measure(scores, reader.labels, data.labels)
    console.print(
        f"held out ({data.held_out_part}, {len(order)} pictures): accuracy {100 * measured['accuracy']:.2f}%  "
        f"loss {measured['loss']:.4f}  best epoch {run.best_epoch}, {run.seconds:.0f} s",
        soft_wrap=True,
    )
    ranked = np.sort(scores, axis=1)
    by_margin = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")
    spread = np.linspace(0, len(order) - 1, min(len(order), _CANDIDATES // 2)).round().astype(int)
    candidates = list(dict.fromkeys([*by_margin[: _CANDIDATES // 2].tolist(), *spread.tolist()]))
    doubted = np.argsort(scores[order, reader.labels], kind="stable")[:_HARDEST]
    hardest = [
        report.example(
            reader.pictures[i].path,
            data.labels[reader.labels[i]],
            data.labels[scores[i].argmax()],
            float(scores[i].max()),
        )
        for i in doubted
    ]
    trained = {
        "held_out": data.held_out_part, "counts": {p: len(getattr(data, p)) for p in ("train", "valid", "test")},
        "metrics": measured, "history": run.history, "best_epoch": run.best_epoch, "interrupted": run.interrupted,
        "seconds": run.seconds, "settings": settings, "hardest": hardest,
        "curves": report.curves(run.history, run.best_epoch), "set_aside": data.set_aside, "leaked": data.leaked,
    }  # fmt: skip
    request = Request(
        place=place,
        pictures=[reader.pictures[i].path for i in candidates],
        labels=data.labels,
        resize=settings["resize"],
        fit=settings["fit"],
        truth={"probabilities": scores[candidates]},
        provenance={
            "command": "forgo train",
            "settings": settings,
            "data": {
                "sha256": data.digest(),
                **{p: len(getattr(data, p)) for p in ("train", "valid", "test")},
            },
            "metrics": {"accuracy": measured["accuracy"], "loss": measured["loss"]},
            "held_out": data.held_out_part,
            "best_epoch": run.best_epoch,
            "interrupted": run.interrupted,
        },
        report=trained,
    )
    try:
        result = export_file(best, request)
    except ForgoError as e:
        kept = place.with_name(place.name.removesuffix(".forgo") + ".keras")
        shutil.copyfile(best, kept)
        e.args = (f"{e} (the trained model is kept at {kept})",)
        raise
    return Trained(
        result.path, measured["accuracy"], measured["loss"], len(order), run.best_epoch, run.interrupted,
        result.parity, data.set_aside,
    )  # fmt: skip
