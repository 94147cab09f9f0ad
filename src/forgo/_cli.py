"""The command line: train, export and slim run here, every other verb in the Go binary."""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from forgo import _child, _usage
from forgo._errors import ForgoError
from forgo._launch import GO_VERBS
from forgo._printable import Console, printable
from forgo.training._settings import AUGMENTS, BACKBONES

app = typer.Typer(
    name="forgo",
    help="Train with Python, predict with Go, with answers that are proven equal.",
    epilog="Example: forgo train pictures -o animals.forgo, then forgo predict animals.forgo cat.jpg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_INTERRUPTED = 130

OutOption = Annotated[Path, typer.Option("-o", "--out", metavar="OUT.forgo", help="The bundle to write.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace OUT.forgo if it exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ResizeOption = Annotated[
    str,
    typer.Option(
        help="TensorFlow's and Keras's filters: bilinear, bicubic, lanczos3, lanczos5, each also with -antialias, area and "
        "nearest-tf; Pillow's: bilinear-, bicubic-, lanczos-, box- and hamming-pillow, and nearest; PyTorch's: "
        "bicubic-torch; TensorFlow 1's: bilinear-tf1. See docs/pictures.md.",
        metavar="FILTER",
    ),
]
FitOption = Annotated[
    str,
    typer.Option(
        help="stretch; crop: cut to the aspect ratio, then resize; shorter-side: resize the shorter side, then cut out "
        "the centre; pad: fit the whole picture and fill the rest.",
        metavar="FIT",
    ),
]
ShorterSideOption = Annotated[
    int | None,
    typer.Option(
        parser=_usage.whole_number,
        metavar="N",
        help="With --fit shorter-side: the length of the shorter side, in pixels.",
        show_default="the larger side of the model's input",
    ),
]
PadColourOption = Annotated[
    str, typer.Option(metavar="R,G,B", help="With --fit pad: the colour to fill with, from 0 to 255.")
]
AlphaOption = Annotated[
    str,
    typer.Option(
        help="How to treat transparent pixels: drop keeps their colour; white and black put them on that background."
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        import forgo

        typer.echo(f"forgo {forgo.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("train", epilog="Example: forgo train pictures -o animals.forgo --epochs 10")
def _train(
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
            help="A list of attributes instead of class folders, as CelebA's list_attr_celeba.txt.",
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
        str | None, typer.Option(help=f"{', '.join(AUGMENTS)}.", show_default="light, classic classic")
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
    from forgo.training import train

    console = Console()
    result = train(
        data, out, force=force, recipe=recipe, annotations=annotations, attribute=attribute,
        class_names=_two(class_names), partition=partition, backbone=backbone, weights=weights, image_size=image_size, epochs=epochs,
        batch_size=batch_size, seed=seed, valid=_share(valid), trainable=trainable, augment=augment,
        learning_rate=learning_rate, patience=patience, resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=_colour(pad_colour), alpha=alpha,  # type: ignore[arg-type]
        save_keras=save_keras, console=console,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    _show(console, result.path, result.parity)


def _two(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ForgoError(f"--class-names must be two names with a comma between them, not {text!r}")
    return names[0], names[1]


def _colour(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ForgoError(f"--pad-colour must be R,G,B from 0 to 255, not {text!r}") from None


def _share(text: str) -> float | str:
    """A share is a number; anything else names a folder."""
    try:
        return float(text)
    except ValueError:
        return text


@app.command(
    "export",
    epilog="Example: forgo export model.keras -o animals.forgo --examples photos --labels labels.txt",
)
def _export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A trained model: its file, or a SavedModel's folder. See docs/models.md."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT.forgo",
            help="The bundle to write; with --tag, any other name writes a bare SavedModel.",
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
            help="The engine that runs the model in Go: onnxruntime or tensorflow.",
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
            help="For a SavedModel: the signature to call. With --engine tensorflow, several with commas between them; "
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
            help="For a SavedModel: an output of its signature, or an operation, such as inferenceLayer/Softmax.",
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run code that MODEL carries, such as Lambda layers; load a .pt2 file."),
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
            help="The training framework's answers to the examples, an array for each output. Without them an .onnx file "
            "answers for itself, which the bundle says.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="What the numbers of a table are: float32 or float64.", show_default="float32"),
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
            "an example, with commas between them. Class folders, DIR/LABEL/*.jpg, need no file.",
        ),
    ] = None,
    accept_accuracy: Annotated[
        bool,
        typer.Option(
            "--accept-accuracy",
            help="Write the bundle even if the examples' labels show that it guesses, or that training prepared "
            "pictures differently.",
        ),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            help="multi-label (every label above its threshold), regression, embedding or tensors.",
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
            help="For multi-label: the probability above which a label is answered; one value for all labels, or one each.",
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
    from forgo.exporting import export

    result = export(
        model, out, force=force, examples=examples, no_goldens=no_goldens,
        engine=engine, tag=tag, signature=signature, signature_examples=_by_signature(signature_examples), inputs=inputs or None, outputs=outputs or None,
        trust=trust, slim=slim, onnx_test_data=onnx_test_data, expected=expected, precision=precision, labels=labels, expected_labels=expected_labels,  # type: ignore[arg-type]
        accept_accuracy=accept_accuracy, task=task, tolerance=tolerance,
        append=append, thresholds=_numbers("thresholds", thresholds),  # type: ignore[arg-type]
        resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=_colour(pad_colour), alpha=alpha, channels=channels, scale=scale, mean=mean, std=std,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    console = Console()
    for line in result.refused[:3]:
        console.print(f"not used: {line}", style="yellow", soft_wrap=True)
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    if result.accuracy:
        _show_accuracy(console, result.accuracy)
    _show(console, result.path, result.parity)


@app.command("slim", epilog="Example: forgo slim faces.forgo -o faces-slim.forgo")
def _slim(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle with golden cases.")],
    out: OutOption,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.forgo if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a bundle without its report and without pictures of people, and prove the copy.

    Generated pictures replace the examples'. The bundle's own graph answers them, once it is proven.
    """
    from forgo.exporting._slim import slim

    result = slim(bundle, out, force=force)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    _show(Console(), result.path, result.parity)


def _by_signature(given: list[str] | None) -> dict[str, Any] | None:
    named = {}
    for one in given or []:
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
        raise ForgoError(f"--{name} must be numbers with commas between them, not {text!r}") from None


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


def _show(console: Console, path: str, parity: dict[str, Any]) -> None:
    if parity["mode"] == "none":
        verdict, style = f"parity NOT PROVEN: there are no golden cases ({parity['reason']})", "yellow"
    else:
        agreement = (
            f", top-1 agreement {100 * parity['top1_agreement']:.0f}%" if parity["top1_agreement"] else ""
        )
        verdict = (
            f"parity proven in Go: {parity['cases']} cases, "
            f"largest difference {parity['largest_difference']:.1e}{agreement}"
            + (f", on generated pictures ({parity['made']})" if parity.get("made") else "")
        )
        style = "green"
        if parity.get("expected_from"):
            verdict += ", against the converted graph's own answers, not the training framework's"
            style = "yellow"
    console.print(verdict, style=style, soft_wrap=True)
    size = sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())
    if not (Path(path) / "forgo.json").is_file():
        console.print(f"wrote {path} ({size / 1e6:.1f} MB), a SavedModel", soft_wrap=True)
        return
    report = f"; its report is {path}/report.html" if (Path(path) / "report.html").is_file() else ""
    console.print(f"wrote {path} ({size / 1e6:.1f} MB){report}", soft_wrap=True)
    console.print(f"next: forgo predict {path} FILE   or   forgo serve {path}", soft_wrap=True)


def _add_go_verb(verb: str, summary: str) -> None:
    """Show a Go verb in --help; main hands it over before this module is even imported."""

    @app.command(
        verb, help=f"{summary}.", rich_help_panel="In Go", context_settings={"ignore_unknown_options": True}
    )
    def _hand_over(context: typer.Context) -> None:
        from forgo._binary import hand_over

        hand_over([verb, *context.args])


for _verb, _summary in GO_VERBS.items():
    _add_go_verb(_verb, _summary)


def run(arguments: list[str]) -> None:
    """Run a command line and exit. A user's mistake gets one line on stderr and no traceback."""
    _child.exit_on_terminate()
    _child.interrupt_once()
    try:
        code = app(arguments, prog_name="forgo", standalone_mode=False)
        if code == _INTERRUPTED:  # typer's code for KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(code)
    except ForgoError as e:
        _fail(e.as_command())
    except OSError as e:
        _fail(f"{e.filename}: {e.strerror}" if e.filename else str(e))
    except (KeyboardInterrupt, typer.Abort):
        print("\nforgo: interrupted; nothing was written", file=sys.stderr)
        _leave(_INTERRUPTED)
    except SystemExit as e:
        if e.code != 128 + signal.SIGTERM:
            raise
        _leave(e.code)
    except Exception as e:
        if not _usage.is_usage_error(e):
            raise
        _usage.show(e, arguments)
        sys.exit(2)


def _leave(code: int) -> None:
    """Exit without C++'s destructors, which crash where TensorFlow's threads were interrupted at work."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str) -> None:
    print(f"forgo: {printable(' '.join(message.split()))}", file=sys.stderr)
    if os.environ.get("FORGO_TRACEBACK"):
        raise
    sys.exit(1)
