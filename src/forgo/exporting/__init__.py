"""Export: turns a trained model into a bundle whose answers are proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from forgo._bundle import check_path
from forgo._errors import ExportError, ForgoError, argument
from forgo._picture import ALPHAS, Alpha
from forgo._rules import Colour, Fit, Resize, Rules
from forgo._work import working_folder
from forgo.exporting import (
    _adapters,
    _engines,
    _mlflow,
    _normalization,
    _user_preprocess,
)
from forgo.exporting._adapter import Adapter
from forgo.exporting._arguments import (
    Examples,
    class_folders,
    expected_answers,
    is_table,
    read_labels,
    split_examples,
)
from forgo.exporting._arguments import expected_labels as read_expected_labels
from forgo.exporting._heads import APPENDS, Append
from forgo.exporting._model import UNNAMED
from forgo.exporting._request import TOLERANCE, Request, Result
from forgo.exporting._rows import Bare, Pictures
from forgo.exporting._rows import read_examples as read_file
from forgo.exporting._tasks import LABELLED, TASKS, Thresholds
from forgo.exporting._tasks import thresholds as each_threshold

__all__ = ["Result", "export"]


def export(
    model: Any,
    path: str | Path,
    *,
    force: bool = False,
    examples: Examples | None = None,
    no_goldens: bool = False,
    engine: str | None = None,
    tag: str | None = None,
    signature: str | None = None,
    signature_examples: dict[str, Examples] | None = None,
    inputs: list[str] | None = None,
    outputs: list[str] | None = None,
    trust: bool = False,
    slim: bool = False,
    onnx_test_data: bool = False,
    expected: dict[str, npt.NDArray[Any]] | str | Path | None = None,
    precision: Literal["float32", "float64"] | None = None,
    labels: list[str] | str | Path | None = None,
    expected_labels: list[Any] | npt.NDArray[Any] | str | Path | None = None,
    accept_accuracy: bool = False,
    task: str | None = None,
    append: Append | None = None,
    thresholds: Thresholds | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "stretch",
    shorter_side: int | None = None,
    pad_colour: Colour = (0, 0, 0),
    alpha: Alpha = "drop",
    channels: str = "RGB",
    scale: float | str = 1.0,
    mean: _normalization.Numbers = 0.0,
    std: _normalization.Numbers = 1.0,
    preprocess: Callable[[Any], Any] | None = None,
    tolerance: float = TOLERANCE,
) -> Result:
    """Write a trained model as a bundle, after proving that Go gives the framework's answers.

    The training framework and the engine in Python (at batches of 1 and 3) answer all examples. Some
    of the examples become the bundle's golden cases, which the Go binary answers. If two answers differ
    by more than the tolerance, export leaves no bundle behind.

    Args:
        model: a Keras 3 model (on any backend), a PyTorch module or its torch.export program, or a fitted
            model of scikit-learn, XGBoost, LightGBM or CatBoost; or the path of a ``.keras`` file, an ``.h5`` file of
            Keras 2 or 3, a SavedModel's folder, an ``.onnx`` or ``.pt2`` file, or a file that XGBoost,
            LightGBM or CatBoost saved; or an MLflow folder, or ``models:/NAME/VERSION``.
            docs/models.md lists them all.
        path: where to write the bundle: ``NAME.forgo``. With ``tag``, a name that does not end in
            ``.forgo`` writes a bare SavedModel instead.
        force: replace a bundle, or SavedModel, that exists at ``path``.
        examples: inputs as clients will send them; by default, the input example of an MLflow folder.
            For a picture model, a folder or a list of picture files; the model must take float32
            [batch, height, width, 3], RGB from 0 to 255 unless ``channels``, ``scale``, ``mean`` and
            ``std`` say otherwise. For any other model, an array [rows, …] of
            numbers or strings, a dict of such arrays by input name, or a DataFrame with a column for
            each input. A list of ``pathlib.Path`` in the dict holds pictures, for a model that takes
            one beside other inputs. Or a file of rows, as ``forgo predict`` and servers take it:
            ``.jsonl`` with a JSON row on each line (a picture is ``{"file": "PATH"}`` or
            ``{"b64": "…"}``), ``.json``, ``.csv``, ``.npy``, or ``.npz`` with an array for each input;
            "-" reads any of these from stdin.
        no_goldens: write a bundle without golden cases. Nothing proves its answers, and everything that
            shows the bundle says so.
        engine: what runs the graph in Go: "onnxruntime" (the default) or "tensorflow".
        tag: the tag of the SavedModel to write; if the model is a SavedModel, the tag of the graph to
            export. Separate several with commas.
        signature: for a SavedModel, the signature to call. By default the engine "tensorflow" keeps every
            signature that can be proven; ``serving_default`` answers clients that name none, and the
            result's notes name those left out, with the reason. One name keeps that signature alone;
            several, separated by commas, keep those, and the first answers clients that name none.
        signature_examples: for a SavedModel, rows for its other signatures, by their names, in the forms
            that ``examples`` takes. A signature without any gets ``examples``, as they are or as
            tf.Examples.
        inputs: for a SavedModel, operations to feed in place of a signature's inputs, such as ``input_1``.
        outputs: for a SavedModel or an ONNX file, the outputs to keep, in order; or a SavedModel's
            operations, such as ``inferenceLayer/Softmax``.
        trust: run Python code that the file contains (Lambda layers), run a SavedModel's operations that
            reach files, and unpickle a ``.pt2`` file.
        slim: leave out the report and the examples' pictures. The examples still prove the graph; then
            generated pictures, which the training framework answers too, become the golden cases.
        onnx_test_data: also write the golden cases in ONNX's own form, ``test_data_set_N/`` beside
            ``model.onnx``.
        expected: for a model in a file, the training framework's answers to the examples: an array
            [rows, …] for each output by its name, or an ``.npz`` file of them. The model must give
            these answers, and they become the golden ones. Without them, an ``.onnx`` file's own answers
            become the golden ones, and the bundle says so. Without examples, ONNX's own test data beside
            the file, ``test_data_set_N``, gives both.
        precision: for an estimator of tables, the type of its numeric inputs: "float32" (the default) or
            "float64".
        labels: a classifier's labels in the order of its output: a list, or a text file with one on each
            line; by default those of an estimator's classes, or of ZipMap in an ``.onnx`` file. With
            labels the task is classification: the model's first output must be probabilities
            [batch, labels], unless ``append`` makes them.
        expected_labels: the right label of each example, in order: strings or indices into labels, None
            if unknown; or a text file with one on each line. For a multi-label model each example has a
            list of labels, perhaps empty; an array [examples, labels] of 0 and 1; or a line with commas
            between labels, or a JSON list. Pictures in folders that are named after labels need none.
            Go measures the accuracy of the finished bundle on the raw examples, and the bundle records
            it.
        accept_accuracy: write the bundle even if that accuracy is near chance, or clearly better with
            another usual normalization or label order. The bundle records what was accepted.
        task: "classification", "multi-label", "regression", "ranking", "embedding" or "tensors". By default
            the task of the estimator in memory; otherwise "classification" with labels, and "tensors"
            without. A multi-label model's first output holds an independent probability for each label,
            [batch, labels]; its answer is every label above its threshold.
        append: what to append to a model that ends in logits: "softmax"; or "sigmoid", for a single logit
            with two labels and for labels that do not exclude each other. A model that ends in a single
            probability with two labels needs none: the bundle gives the probability of each.
        thresholds: for a multi-label model, one threshold for all labels, a list in their order, or a
            dict by label; 0.5 by default. A label is part of the answer if its probability is above its
            threshold.
        resize: how to bring pictures to the model's size. "bilinear", "bicubic", "lanczos3", "lanczos5",
            "area" and "nearest-tf" are TensorFlow's and Keras's; the first four followed by "-antialias"
            are the same with ``antialias=True``. "bilinear-pillow", "bicubic-pillow", "lanczos-pillow",
            "box-pillow", "hamming-pillow" and "nearest" are Pillow's, and torchvision's on Pillow images.
            "bicubic-torch" is PyTorch's without antialias, and "bilinear-tf1" TensorFlow 1's.
        fit: "stretch"; "crop" to crop to the model's aspect ratio and then resize; "shorter-side" to
            resize the shorter side to ``shorter_side`` and crop the centre, as torchvision's Resize and
            CenterCrop do; "pad" to place the whole picture on a background of ``pad_colour``, as Pillow's
            ImageOps.pad does.
        shorter_side: pixels; by default the larger side of the model's size.
        pad_colour: red, green and blue, each from 0 to 255.
        alpha: how to treat transparent pixels: "drop" keeps their colour, as Pillow's
            ``convert("RGB")`` does; "white" and "black" blend them with that background.
        channels: the order of the channels in training: "RGB" or "BGR".
        scale: how training normalized pixels outside the model: (pixel * scale - mean) / std. A number,
            or a string such as "1/255". The arithmetic becomes part of the model's graph, so that clients
            still send pictures.
        mean: one number, or one for each channel in the model's order.
        std: one number, or one for each channel in the model's order.
        preprocess: your own function from a picture to the model's input: a normalized array
            [height, width, 3], or a tensor [3, height, width] for PyTorch. The framework's answers to its
            arrays become the golden answers. ``resize``, ``fit``, ``shorter_side``, ``pad_colour``,
            ``channels``, ``scale``, ``mean`` and ``std`` must give the same arrays for every example,
            within 0.05 on the scale of 0 to 255. If they do not, the error gives the difference and the
            arguments that come closest. If the function's first parameter is annotated as ``str`` or
            ``Path``, it gets the picture's path; otherwise a ``PIL.Image``: RGB, upright, decoded as the
            bundle does.
        tolerance: the largest |got-want| / max(1, |want|) between two sides, at most 1e-3.

    Returns:
        The bundle's path, the Go binary's verdict, the largest difference between the framework and the
        engine in Python, and the example pictures that were refused.

    Raises:
        ExportError: the model or the examples cannot be used, or the labelled examples show that training
            prepared pictures differently; the error names the arguments that fit.
        ParityError: two sides answer differently; the error names the stage.

    Example:
        >>> forgo.export(model, "iris.forgo", examples=rows, labels=["setosa", "versicolor", "virginica"])
    """
    target = Path(path)
    tags = [t.strip() for t in tag.split(",") if t.strip()] if tag is not None else None
    if tags == []:
        raise ExportError("the tag is empty: give one, such as serve")
    origin: Mapping[str, Any] = {}
    if _mlflow.is_model(model):
        found_there = _mlflow.find(model, trust=trust, examples=examples is None and not no_goldens)
        model, origin = found_there.model, found_there.provenance
        examples = found_there.examples if examples is None else examples
    adapter = _adapters.find(model)
    chooses = adapter is not None and adapter.chooses
    bare = tags is not None and target.suffix != ".forgo"
    if not bare and target.suffix != ".forgo":
        raise ExportError(
            f"{target}: a bundle's name ends in .forgo; with {argument('tag')}, any other name writes a bare SavedModel"
        )
    if engine not in (None, *_engines.NAMES):
        raise ExportError(f"{argument('engine')} must be {' or '.join(_engines.NAMES)}, not {engine!r}")
    runs = _engines.named(engine) if engine else _engines.SAVED_MODEL if bare else _engines.ENGINES[0]
    if adapter is not None and runs.name not in adapter.engines:
        raise ExportError(
            f"{adapter.files if isinstance(model, str | Path) else adapter.models} runs only on {' or '.join(adapter.engines)}, not on the engine {runs.name}"
        )
    if tags and not bare and not chooses and not runs.saved_model:
        raise ExportError(
            f"{argument('tag')} is for SavedModels: add {argument('engine', _engines.SAVED_MODEL.name)}"
        )
    if bare and not runs.saved_model:
        raise ExportError(
            f"{target}: with {argument('tag')} it becomes a SavedModel, which {runs.name} does not run"
        )
    if slim and (bare or no_goldens):
        raise ExportError("a slim bundle needs examples to prove it, and a bare SavedModel cannot be slim")
    if onnx_test_data and (runs.saved_model or no_goldens):
        raise ExportError(
            f"{argument('onnx_test_data')} needs examples, and a bundle whose graph is an ONNX file"
        )
    if not chooses and (signature or signature_examples or inputs or outputs):
        raise ExportError("a model of this kind has no signature, inputs or outputs to choose")
    if task is not None and task not in TASKS:
        raise ExportError(f"{argument('task')} must be one of {', '.join(TASKS)}, not {task!r}")
    if append not in (None, *APPENDS):
        raise ExportError(f"{argument('append')} must be {' or '.join(APPENDS)}, not {append!r}")
    known = read_labels(labels)
    if adapter is not None and not isinstance(model, str | Path):
        declared, meant = adapter.means(model)
        if task is None and (known is None or meant in ("multi-label", "ranking")):
            task = meant
        known = declared if known is None and task in (None, *LABELLED) else known
    elif adapter is not None and known is None and (expected_labels is not None or task == "multi-label"):
        known = adapter.labels(Path(model), outputs) if task in (None, *LABELLED) else None
    each_threshold(thresholds, known, task)
    answers = None
    if (
        isinstance(model, str | Path)
        and adapter is not None
        and examples is None
        and not no_goldens
        and expected is None
    ):
        found = adapter.test_data(Path(model)) if Path(model).is_file() else None
        if found:
            examples, answers = found
    try:
        Rules(resize, fit, shorter_side, pad_colour).check()
    except ForgoError as e:
        raise ExportError(e.message) from None
    if alpha not in ALPHAS:
        raise ExportError(f"{argument('alpha')} must be one of {', '.join(ALPHAS)}, not {alpha!r}")
    if examples is None and not no_goldens:
        raise ExportError(
            f"parity cannot be proven without examples, whose columns become the inputs: give {argument('examples')}"
            if adapter is not None and adapter.tables
            else f"parity cannot be proven without examples: give {argument('examples')}, "
            f"or {argument('no_goldens', True)} for a bundle that is marked as not proven"
        )
    if examples is not None and no_goldens:
        raise ExportError(
            f"examples become golden cases: leave out {argument('examples')} or {argument('no_goldens')}"
        )
    check_path(target, saved_model=bare, force=force)
    if signature_examples and no_goldens:
        raise ExportError(
            f"examples become golden cases: leave out {argument('signature_examples')} or {argument('no_goldens')}"
        )
    data = read_file(Path(examples)) if isinstance(examples, str | Path) else examples
    in_file = isinstance(model, str | Path)
    tables = adapter is not None and adapter.tables and not in_file
    pictures, picture_name, rows = (None, UNNAMED, None) if tables else split_examples(data)
    table, lists = is_table(data), isinstance(data, dict) and isinstance(data.get(UNNAMED), Bare)
    if preprocess is not None and pictures is None:
        raise ExportError(f"{argument('preprocess')} needs a picture model and example pictures")
    layouts = adapter.layouts if adapter is not None else ("last",)
    prepared = (
        _user_preprocess.apply(preprocess, pictures, alpha, layouts) if preprocess and pictures else None
    )
    count = (
        None
        if lists or tables
        else len(pictures if pictures is not None else next(iter((rows or {}).values()), []))
    )
    source = None
    if expected is not None:
        answers, source = expected_answers(model, expected, examples)
    elif answers is not None:
        source = "the test data beside it"
    right, notes = read_expected_labels(
        examples, pictures, count, known, expected_labels, several=task == "multi-label"
    )
    if isinstance(data, Pictures) and data.note:
        notes.append(data.note)
    from forgo.exporting import _process, _signatures

    request = Request(
        path=target, force=force, pictures=pictures, picture_name=picture_name, rows=rows, labels=known, task=task,
        expected_labels=right, accept_accuracy=accept_accuracy, notes=notes, append=append, thresholds=thresholds, table=table,
        lists=lists, folders=class_folders(examples, pictures, known, expected_labels),
        resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=pad_colour, alpha=alpha, normalization=_normalization.read(channels, scale, mean, std),
        prepared=prepared, missing=tables, precision=precision, expected=answers, answers_from=source, tolerance=tolerance, engine=runs.name,
        tags=tags, signature=signature,
        signature_rows={name: _signatures.rows_of(name, data) for name, data in (signature_examples or {}).items()},
        input_operations=inputs, output_operations=outputs, bare=bare,
        trust=trust, slim=slim, onnx_test_data=onnx_test_data, provenance=dict(origin),
    )  # fmt: skip

    if adapter is None:
        raise _adapters.refused(model)
    if isinstance(model, str | Path):
        adapter.check(Path(model), trust)
        return _process.export_file(adapter, Path(model), _named(request, Path(model)))
    return _export_model(adapter, model, request, data)


def _named(request: Request, file: Path) -> Request:
    return replace(request, provenance={"model": file.name, **request.provenance})


def _export_model(adapter: Adapter, model: Any, request: Request, examples: Any) -> Result:
    """Record the answers of the model in memory, then export it as saved."""
    from forgo.exporting import _inputs, _parity, _pipeline, _process

    trained = adapter.adapt(model, request, examples)
    request = replace(request, notes=[*request.notes, *getattr(trained, "notes", [])])
    if adapter.tables:
        table: Any = trained
        return _pipeline.run(trained, replace(request, rows=table.rows))
    if request.pictures is not None or request.rows is not None:
        preprocess = _inputs.preprocessor(trained, request)
        read, _ = _inputs.read_examples(trained, request, preprocess)
        _inputs.check_prepared(trained, read, request)
        if read:
            request = replace(request, expected=_parity.answers(trained, read, request))
    with working_folder(request.path) as folder:
        file = adapter.save(model, folder)
        if file is None:
            return _pipeline.run(trained, request)
        return _process.export_file(adapter, file, request)
