"""forgo train."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from forgo import _usage
from forgo._cli_options import (
    AlphaOption,
    FitOption,
    ForceOption,
    JsonOption,
    OutOption,
    PadColourOption,
    ResizeOption,
    ShorterSideOption,
    colour,
    show,
)
from forgo._errors import ForgoError
from forgo._printable import Console
from forgo.training._settings import AUGMENTS, BACKBONES


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folders of pictures: train/CLASS and valid/CLASS, or CLASS folders to split; "
            "with --annotations, the folder of the pictures.",
        ),
    ],
    out: OutOption,
    force: ForceOption = False,
    recipe: Annotated[
        str,
        typer.Option(
            help="standard, or classic: ResNet50 with its first 30 layers fine-tuned. "
            "Other options override the recipe."
        ),
    ] = "standard",
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A list of attributes instead of class folders, in the form of CelebA's list_attr_celeba.txt.",
        ),
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="The attribute to predict, such as Male.")
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            metavar="WITHOUT,WITH",
            help="The classes without and with the attribute, such as female,male.",
            show_default="not NAME,NAME",
        ),
    ] = None,
    partition: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A list that says which pictures are train, valid and test, as CelebA's list_eval_partition.txt.",
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help=f"{' or '.join(BACKBONES)}.", show_default="small")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="none, imagenet (resnet50 only; a download), or a file.",
            show_default="imagenet for resnet50",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            parser=_usage.whole_number,
            metavar="N",
            help="Height and width of the model's input.",
            show_default="64, resnet50 224",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=_usage.whole_number,
            metavar="N",
            help="The most epochs to train; early stopping may end sooner.",
            show_default="20, classic 50",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(parser=_usage.whole_number, metavar="N", help="Pictures in each training step.")
    ] = 32,
    seed: Annotated[
        int,
        typer.Option(
            parser=_usage.whole_number, metavar="N", help="Seeds the split, weights, order and augmentation."
        ),
    ] = 0,
    valid: Annotated[
        str, typer.Option(help="A folder of held-out pictures, or the share of each class to hold out.")
    ] = "0.2",
    trainable: Annotated[
        str | None,
        typer.Option(
            help="Backbone layers to train: all, head, first:N, last:N, or a regular expression.",
            show_default="all, classic first:30",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help=f"How to augment the training pictures: {', '.join(AUGMENTS)}.",
            show_default="light, classic classic",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            parser=_usage.number,
            metavar="RATE",
            help="Adam's learning rate.",
            show_default="0.001, resnet50 0.0001",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            parser=_usage.whole_number,
            metavar="N",
            help="Epochs without improvement before stopping.",
            show_default="5, classic 10",
        ),
    ] = None,
    resize: ResizeOption = "bilinear",
    fit: FitOption = "stretch",
    shorter_side: ShorterSideOption = None,
    pad_colour: PadColourOption = "0,0,0",
    alpha: AlphaOption = "drop",
    save_keras: Annotated[
        Path | None, typer.Option(metavar="FILE.keras", help="Also write the trained Keras model.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier on pictures and write it as a proven bundle.

    Ctrl-C keeps the best model so far. Unreadable pictures are listed and skipped.
    """
    import forgo.training

    console = Console()
    result = forgo.training.train(
        data, out, force=force, recipe=recipe, annotations=annotations, attribute=attribute,
        class_names=_two(class_names), partition=partition, backbone=backbone, weights=weights, image_size=image_size, epochs=epochs,
        batch_size=batch_size, seed=seed, valid=_share(valid), trainable=trainable, augment=augment,
        learning_rate=learning_rate, patience=patience, resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=colour(pad_colour), alpha=alpha,  # type: ignore[arg-type]
        save_keras=save_keras, console=console,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    show(console, result.path, result.parity)


def _two(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ForgoError(f"--class-names must be two names separated by a comma, not {text!r}")
    return names[0], names[1]


def _share(text: str) -> float | str:
    """A share is a number; anything else names a folder."""
    try:
        return float(text)
    except ValueError:
        return text
