"""Train: folders of pictures become a bundle."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from forgo import _preprocess, _printable
from forgo._bundle import check_free, check_path
from forgo._errors import ForgoError, argument
from forgo._picture import Alpha
from forgo._rules import Colour, Fit, Resize, Rules
from forgo._walk import left_out
from forgo._work import working_folder
from forgo.training import _data, _folders, _settings
from forgo.training._progress import Ticker
from forgo.training._quiet import native_stderr_held

__all__ = ["Trained", "train"]


@dataclass(frozen=True)
class Trained:
    """The result of training."""

    path: str
    """The bundle."""
    accuracy: float
    """The accuracy on the held-out pictures, 0 to 1."""
    loss: float
    """The mean negative log likelihood on the held-out pictures, in nats."""
    held_out: int
    """How many held-out pictures there are."""
    best_epoch: int
    """The epoch with the lowest held-out loss, from 1."""
    interrupted: bool
    """Whether Ctrl-C ended training."""
    parity: dict[str, Any]
    """The Go binary's verdict, as ``forgo verify --json`` prints it."""
    set_aside: list[tuple[str, str]]
    """Files that could not be used, with the reason. Training does not change them."""
    warnings: list[str] = field(default_factory=list)
    """Warnings about the model, a sentence each."""


def train(
    data: str | Path,
    path: str | Path,
    *,
    force: bool = False,
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
    resize: Resize = "bilinear",
    fit: Fit = "stretch",
    shorter_side: int | None = None,
    pad_colour: Colour = (0, 0, 0),
    alpha: Alpha = "drop",
    save_keras: str | Path | None = None,
    console: Console | None = None,
) -> Trained:
    """Train a classifier on folders of pictures, and write it as a proven bundle.

    Training decodes pictures by the rules of the bundle format and prepares them with the ``preprocess.onnx`` that becomes
    part of the bundle, so that training and serving see the same values. Ctrl-C ends training early and keeps the best
    model so far.

    Args:
        data: a folder with ``train/CLASS`` and ``valid/CLASS`` (and, if it exists, ``test/CLASS``,
            which then gives the metrics), or with ``CLASS`` folders. With annotations, the
            folder of the pictures that they name.
        path: where to write the bundle: ``NAME.forgo``.
        force: replace an older bundle at ``path``, and a file at ``save_keras``.
        recipe: the defaults for other arguments: "standard"; or "classic": ResNet50 from
            ImageNet weights, its first 30 layers trained and the rest frozen, classic augmentation,
            Adam at 1e-4 without decay, patience 10, 50 epochs, the input named ``input_1``.
        annotations: a list of attributes in the form of CelebA's ``list_attr_celeba.txt``, or of
            its CSV, in place of class folders.
        attribute: the attribute to predict.
        class_names: the names of the classes without and with the attribute; by default "not NAME"
            and NAME.
        partition: a list in the form of CelebA's ``list_eval_partition.txt``, or of its CSV, which
            assigns each picture to train, valid or test. Without it, ``valid`` is a share.
        backbone: "small" (a compact CNN; the default) or "resnet50".
        image_size: height and width of the model's input; 64 for small, 224 for resnet50.
        weights: "none", "imagenet" (resnet50's default; needs a download) or a weights file.
        epochs: the most epochs, 20 by default; training ends earlier if the held-out loss does not fall
            for ``patience`` epochs.
        batch_size: pictures in each training step.
        seed: seeds the split, the weights, the order and the augmentation.
        valid: if ``data`` has no valid folder: another folder, or the share of each class
            to hold out.
        trainable: the backbone's layers to train: "all", "head" (none of them), "first:N",
            "last:N", or a regular expression of their names. "all" by default.
        augment: "none", "light" (small turns, shifts, zooms; the default) or "classic" (rotation 40°,
            shifts, shear and zoom 0.2, horizontal flip). Never part of the exported graph.
        learning_rate: Adam's, with cosine decay, above 0 and at most 1; 1e-3 for small, 1e-4 for
            resnet50.
        patience: epochs without a lower held-out loss before training ends; 5 by default.
        resize: "bilinear" (the default), or any other value that :func:`forgo.export` takes.
        fit: "stretch", "crop", "shorter-side" or "pad", as in :func:`forgo.export`.
        shorter_side: for "shorter-side": pixels; by default the image size.
        pad_colour: for "pad": red, green and blue, each from 0 to 255.
        alpha: how to treat transparent pixels: "drop" keeps their colour, as Pillow's
            ``convert("RGB")`` does; "white" and "black" blend them with that background.
        save_keras: a ``.keras`` file to keep the trained Keras model in.
        console: where progress goes; stderr by default.

    Returns:
        The bundle's path, the accuracy and loss on the held-out pictures, and the Go binary's verdict.

    Raises:
        ForgoError: the data or an argument cannot be used.
        ParityError: the exported model gives other answers than Keras. The trained Keras model is kept
            beside the bundle's path.
    """
    target = Path(path)
    check_path(target, force=force)
    settings = _settings.resolve(
        recipe=recipe, backbone=backbone, image_size=image_size, weights=weights, epochs=epochs,
        batch_size=batch_size, seed=seed, trainable=trainable, augment=augment, learning_rate=learning_rate,
        patience=patience, rules=Rules(resize, fit, shorter_side, pad_colour), alpha=alpha,
    )  # fmt: skip
    if save_keras is not None:
        _check_keras_file(Path(save_keras), force)
    if (annotations is None) != (attribute is None) or (annotations is None and (partition or class_names)):
        raise ForgoError(
            f"{argument('annotations')} and {argument('attribute')} go together; "
            f"{argument('partition')} and {argument('class_names')} need them"
        )
    console = console or _printable.Console()
    _folders.check_folder(Path(data))
    preprocess = _preprocess.Preprocessor(
        _preprocess.build(settings.image_size, settings.image_size, settings.rules), alpha, settings.rules
    )
    source = _data.Source(preprocess, progress=Ticker(console).reading)
    # Read pictures before importing TensorFlow, which takes seconds.
    if annotations is not None and attribute is not None:
        listed = _data.Annotations(
            Path(annotations), attribute, class_names, Path(partition) if partition else None
        )
        found = _data.find_annotated(Path(data), listed, valid, seed, source)
    else:
        found = _data.find(Path(data), valid, seed, source)
    _describe(found, Path(data), console)
    _import_keras()
    import keras

    from forgo.training import _evaluate, _fit, _network

    keras.utils.set_random_seed(seed)
    classifier = _network.build(
        settings.backbone, settings.image_size, len(found.labels), weights=settings.weights,
        trainable=settings.trainable, dropout=settings.usual.dropout, input_name=settings.usual.input_name,
    )  # fmt: skip
    train_reader, valid_reader, held_out = (
        _data.Reader(part, preprocess) for part in (found.train, found.valid, found.held_out)
    )
    with working_folder(target) as work:
        best = work / "best.keras"
        run = _fit.fit(
            classifier, train_reader, valid_reader, best, console,
            epochs=settings.epochs, batch_size=batch_size, seed=seed, augment=settings.augment,
            patience=settings.patience, learning_rate=settings.learning_rate, decay=settings.usual.decay,
        )  # fmt: skip
        if run.interrupted:
            console.print(f"interrupted: the best model so far (epoch {run.best_epoch}) is kept")
        if save_keras is not None:
            shutil.copyfile(best, save_keras)
        recorded = {**settings.recorded(), **({"attribute": attribute} if attribute else {})}
        evaluation = _evaluate.evaluate(best, found, run, held_out, console)
        try:
            result = _evaluate.export(evaluation, target, force, recorded)
        except ForgoError as e:
            kept = _free(target.with_name(target.name.removesuffix(".forgo") + ".keras"))
            shutil.copyfile(best, kept)
            e.args = (f"{e.message} (the trained model is kept at {kept})",)
            raise
    measured = evaluation.measured
    return Trained(
        result.path, measured["accuracy"], measured["loss"], len(held_out.pictures), run.best_epoch,
        run.interrupted, result.parity, found.set_aside, evaluation.warnings,
    )  # fmt: skip


def _import_keras() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    try:
        with native_stderr_held():
            import keras

            keras.ops.zeros(1)  # TensorFlow prints some of it only at its first operation
    except ImportError as e:
        raise ForgoError(
            f"training needs Keras and TensorFlow ({e}): in forgo's clone, pip install '.[keras]'"
        ) from None


def _check_keras_file(file: Path, force: bool) -> None:
    if not file.parent.is_dir():
        raise ForgoError(f"{argument('save_keras')}: the folder {file.parent} does not exist")
    if file.suffix != ".keras":
        raise ForgoError(f"{argument('save_keras')}: {file} must end in .keras")
    check_free(file, force)


def _free(file: Path) -> Path:
    """Return the path, or the first numbered one that is free."""
    taken, number = file, 1
    while file.exists():
        number += 1
        file = taken.with_name(f"{taken.stem}-{number}{taken.suffix}")
    return file


def _describe(data: _data.Data, folder: Path, console: Console) -> None:
    test = f" · {len(data.test)} test" if data.test else ""
    console.print(
        f"{len(data.train)} train · {len(data.valid)} valid{test} pictures, {len(data.labels)} classes"
    )
    for what, pairs in (
        ("not used", data.set_aside),
        ("held out, but also in train", data.leaked),
        ("in two classes", data.contradictory),
        ("there twice", data.copies),
    ):
        for path, why in pairs[:3]:
            console.print(f"  {what}: {path}: {why}", style="yellow", soft_wrap=True)
        if len(pairs) > 3:
            console.print(f"  … and {len(pairs) - 3} more; the bundle's report lists them", style="yellow")
    if note := left_out(folder, data.passed, len(data.train) + len(data.valid) + len(data.test)):
        console.print(f"  {note}", style="yellow", soft_wrap=True)
