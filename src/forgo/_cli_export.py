"""forgo export and forgo slim."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

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


def export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A trained model: its file, a SavedModel's or MLflow's folder, or models:/NAME/VERSION of MLflow's. "
            "See docs/models.md.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT.forgo",
            help="The bundle to write. With --tag, a name that does not end in .forgo writes a bare SavedModel.",
        ),
    ],
    force: ForceOption = False,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Inputs as clients will send them, to prove parity on: a folder of pictures, a picture, or rows in a "
            ".jsonl, .json, .csv, .npy or .npz file; - reads such a file from stdin.",
        ),
    ] = None,
    no_goldens: Annotated[
        bool, typer.Option("--no-goldens", help="Write a bundle without golden cases, marked as not proven.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            help="The engine that runs the model in Go, such as tensorflow.",
            show_default="onnxruntime",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The tag of the SavedModel to write; if MODEL is a SavedModel, the tag of the graph to export.",
        ),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For a SavedModel: the signature to call. With --engine tensorflow, several, separated by commas; "
            "the first answers clients that name none.",
            show_default="serving_default; with --engine tensorflow all that can be proven",
        ),
    ] = None,
    signature_examples: Annotated[
        list[str] | None,
        typer.Option(
            "--signature-examples",
            metavar="NAME=PATH",
            help="Rows as clients will send them to another signature, in the forms that --examples takes.",
            show_default="the rows of --examples, as they are or as tf.Examples",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME",
            help="For a SavedModel without a signature: an operation, such as input_1.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="An output of an ONNX file or a signature to keep, or a SavedModel's operation, such as inferenceLayer/Softmax.",
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Run code that MODEL contains, such as Lambda layers, and unpickle a .pt2 file."
        ),
    ] = False,
    slim: Annotated[
        bool,
        typer.Option(
            "--slim",
            help="Leave out the report and the examples' pictures; generated pictures become the golden cases.",
        ),
    ] = False,
    onnx_test_data: Annotated[
        bool,
        typer.Option(
            "--onnx-test-data", help="Also write the golden cases in ONNX's own form: test_data_set_N/."
        ),
    ] = False,
    expected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="The training framework's answers to the examples, an array for each output. Without it, an .onnx file's own "
            "answers become the golden ones, and the bundle says so.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="The type of a table's numbers: float32 or float64.", show_default="float32"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A classifier's labels, one per line, in the order of its output."),
    ] = None,
    expected_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The right label of each example, one per line, to measure the accuracy. For multi-label, all labels of "
            "an example, separated by commas. Class folders, DIR/LABEL/*.jpg, need no file.",
        ),
    ] = None,
    accept_accuracy: Annotated[
        bool,
        typer.Option(
            "--accept-accuracy",
            help="Write the bundle even if its accuracy on the examples is near chance, or clearly better with "
            "another normalization or label order.",
        ),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            help="multi-label (every label above its threshold), regression, ranking, embedding or tensors.",
            show_default="classification with --labels, else tensors",
        ),
    ] = None,
    append: Annotated[
        str | None,
        typer.Option(
            help="Append softmax or sigmoid to a model whose output is logits.",
            show_default="nothing",
        ),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            metavar="P,…",
            help="For multi-label: the probability above which a label is part of the answer; one value for all labels, or one each.",
            show_default="0.5",
        ),
    ] = None,
    resize: ResizeOption = "bilinear",
    fit: FitOption = "stretch",
    shorter_side: ShorterSideOption = None,
    pad_colour: PadColourOption = "0,0,0",
    alpha: AlphaOption = "drop",
    channels: Annotated[
        str, typer.Option(help="The order of the channels that MODEL was trained with: RGB or BGR.")
    ] = "RGB",
    scale: Annotated[
        str, typer.Option(metavar="X", help="Multiply pixel values, 0 to 255, by X, such as 1/255.")
    ] = "1",
    mean: Annotated[
        str,
        typer.Option(
            metavar="X", help="After --scale, subtract X, or one value per channel: 103.939,116.779,123.68."
        ),
    ] = "0",
    std: Annotated[
        str, typer.Option(metavar="X", help="After --mean, divide by X, or one value per channel.")
    ] = "1",
    tolerance: Annotated[
        float,
        typer.Option(
            parser=_usage.number,
            metavar="X",
            help="The largest difference allowed between Python and Go; at most 0.001.",
        ),
    ] = 1e-4,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model as a bundle, after proving that Go gives its framework's answers.

    Pixels reach MODEL as RGB, float32, 0 to 255. If training normalized them outside MODEL, describe that with
    --channels, --scale, --mean and --std: (pixel * scale - mean) / std becomes part of the graph.
    """
    import forgo.exporting

    result = forgo.exporting.export(
        model, out, force=force, examples=examples, no_goldens=no_goldens,
        engine=engine, tag=tag, signature=signature, signature_examples=_by_signature(signature_examples), inputs=inputs or None, outputs=outputs or None,
        trust=trust, slim=slim, onnx_test_data=onnx_test_data, expected=expected, precision=precision, labels=labels, expected_labels=expected_labels,  # type: ignore[arg-type]
        accept_accuracy=accept_accuracy, task=task, tolerance=tolerance,
        append=append, thresholds=_numbers("thresholds", thresholds),  # type: ignore[arg-type]
        resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=colour(pad_colour), alpha=alpha, channels=channels, scale=scale, mean=mean, std=std,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps({**asdict(result), "notes": [note.as_command() for note in result.notes]}))
        return
    console = Console()
    for line in result.refused[:3]:
        console.print(f"not used: {line}", style="yellow", soft_wrap=True)
    for note in result.notes:
        console.print(f"note: {note.as_command()}", style="yellow", soft_wrap=True)
    if result.accuracy:
        _show_accuracy(console, result.accuracy)
    show(console, result.path, result.parity)


def slim(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle with golden cases.")],
    out: OutOption,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a bundle without its report and the examples' pictures, and prove the copy.

    Generated pictures replace the examples'. The bundle's own graph answers them, after its own golden cases prove it.
    """
    from forgo.exporting import _slim

    result = _slim.slim(bundle, out, force=force)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    show(Console(), result.path, result.parity)


def _by_signature(options: list[str] | None) -> dict[str, Any] | None:
    named = {}
    for one in options or []:
        name, _, path = one.rpartition("=")
        if not name or not path:
            raise ForgoError(f"--signature-examples must be NAME=PATH, not {one!r}")
        if name in named:
            raise ForgoError(f"--signature-examples names {name!r} twice")
        named[name] = Path(path)
    return named or None


def _numbers(name: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ForgoError(f"--{name} must be numbers separated by commas, not {text!r}") from None


def _show_accuracy(console: Console, measured: dict[str, Any]) -> None:
    right, of = measured["right"], measured["examples"]
    if "balanced" in measured:
        console.print(
            f"balanced accuracy {100 * measured['balanced']:.1f}%, the labels' mean (by chance 50.0%)",
            soft_wrap=True,
        )
    console.print(
        f"accuracy {100 * right / of:.1f}% on {of} labelled examples, raw through the bundle "
        f"(by chance {100 * measured['chance']:.1f}%)",
        soft_wrap=True,
    )
    if "accepted" in measured:
        console.print(f"ACCEPTED: {measured['accepted']}", style="yellow", soft_wrap=True)
