"""Export: anyone's trained model becomes a bundle whose answers are proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from forgo._bundle import check_place
from forgo._errors import ExportError, ForgoError, argument
from forgo._picture import ALPHAS, Alpha
from forgo._rules import Colour, Fit, Resize, Rules
from forgo._work import working_folder
from forgo.exporting import (
    _accuracy,
    _adapters,
    _engines,
    _label_sets,
    _normalization,
    _tables,
    _user_preprocess,
)
from forgo.exporting._adapter import Adapter
from forgo.exporting._heads import APPENDS, Append
from forgo.exporting._model import UNNAMED, Arrays
from forgo.exporting._pipeline import TOLERANCE, Request, Result
from forgo.exporting._rows import Bare, Cells, Pictures
from forgo.exporting._rows import read_examples as read_file
from forgo.exporting._tasks import LABELLED, TASKS, Thresholds
from forgo.exporting._tasks import thresholds as each_threshold

__all__ = ["Result", "export"]

Examples = Any
"""What export takes as examples: its docstring says what."""


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
    """Write a trained model as a bundle, after proving that Go answers as the framework does.

    The examples are answered by the training framework, by the graph's engine in Python (at
    batches of 1 and 3) and by the Go binary. Where two differ by more than the tolerance, no
    bundle is left behind. Some of the examples become the bundle's golden cases.

    Args:
        model: a Keras 3 model (on any backend), a PyTorch module or torch.export's program of it, a fitted model of
            scikit-learn, XGBoost or LightGBM; or the path of a ``.keras`` file, of an ``.h5`` file of Keras 2 or 3, of a
            SavedModel's folder, of an ``.onnx`` or ``.pt2`` file, or of one that XGBoost or LightGBM saved.
            docs/models.md has them all.
        path: where the bundle goes: ``NAME.forgo``. With a tag, any other name is that of a
            SavedModel, which is left without the bundle that proved it.
        force: replace an older bundle, or SavedModel, at ``path``.
        no_goldens: write a bundle without examples. Its answers are not proven to be the training
            framework's, which is said wherever it is shown.
        engine: what runs the graph in Go: "onnxruntime", which is the default, or "tensorflow".
        tag: of the SavedModel that is written or, where the model is one, of the graph that is
            meant; several with commas between.
        signature: of a model that is a SavedModel: how it is called. Unless it is given, the engine "tensorflow"
            keeps every signature that can be proven, ``serving_default`` as the one that answers where a
            client names none, and the result's notes say which were left out and why. With one name the
            bundle has that signature alone; with several and commas between, those, and the first answers.
        signature_examples: what clients will send to its other signatures, by their names: rows, as examples
            takes them. A signature that has none is asked the examples, as they are or as tf.Examples.
        inputs: of such a model: operations in place of a signature's inputs, as ``input_1``.
        outputs: of such a model: those of the signature's outputs that are wanted, in order; or
            operations, as ``inferenceLayer/Softmax``.
        trust: run Python code that the file carries (Lambda layers), and operations of SavedModels
            that reach files; load a ``.pt2`` file, which is unpickled.
        slim: leave out the report and, of a model of pictures, the examples' pictures: the golden cases take
            pictures that were made, which the training framework answers, too. The examples prove the graph
            all the same, before they are left out.
        onnx_test_data: write the golden cases in ONNX's own form as well, as ``test_data_set_N/``
            beside ``model.onnx``.
        examples: what clients will send. For a model of pictures, a folder or a list of JPEG
            and PNG files; the model must take float32 [batch, height, width, 3]: values from 0 to
            255, RGB, unless channels, scale, mean and std say otherwise. For any other model an array [rows, …] of numbers or texts, or a dict
            of such arrays by input name, or a DataFrame with a column an input. In it a list of ``pathlib.Path`` is pictures, for a model
            that takes one beside other inputs. Rows may also be in a file, as ``forgo predict`` and servers
            take them: ``.jsonl`` with a JSON row a line (a picture is ``{"file": "PATH"}`` or ``{"b64": "…"}``),
            ``.json``, ``.csv``, ``.npy``, ``.npz`` with an array an input; "-" is any of these files on stdin.
        expected: of a model in a file: the training framework's answers to the examples, an array [rows, …] for each
            output by its name, or the ``.npz`` file of them. They become the golden answers, and the model in the file must
            give them. An ``.onnx`` file without them answers for itself, which the bundle says; ONNX's own test data,
            ``test_data_set_N`` beside the file, are examples and expected answers where no examples are given.
        precision: of an estimator of tables: what its numeric inputs are, "float32" unless given, or "float64".
        labels: a classifier's labels in the order of its output, as a list or a text file
            with one a line. They make the task classification: the model's first output must
            be probabilities [batch, labels].
        expected_labels: the right label of each example, in order, as texts or places in labels, None
            where it is not known; or a text file with one a line. Of examples in a folder they are the
            names of the folders that the pictures lie in, where these are labels. The accuracy is then
            measured through the finished bundle, by Go on the raw examples, and recorded. Of a multi-label model
            each example has a list of them, which may be empty; or they are an array [examples, labels] of 0 and
            1; or a line of the file has them with commas between, or as a JSON list.
        accept_accuracy: write the bundle even where that accuracy is near chance, or another of the
            usual normalizations would make it clearly better. What was accepted is recorded.
        task: "classification", "multi-label", "regression", "embedding" or "tensors"; without
            labels, "tensors" unless given. A multi-label model's first output is a probability of
            each label by itself, [batch, labels]; it is answered with every label over its threshold.
        append: what goes behind the model's first output, for models that end in logits: "softmax",
            or "sigmoid" for one number of two labels and for labels that do not exclude each other.
            Of one probability and two labels the probability of each is made without it.
        thresholds: of a multi-label model: one for all labels, a list in their order, or a dict by
            label; 0.5 unless given. A label is answered where its probability is above it.
        resize: how pictures are brought to the model's size: "bilinear", "bicubic", "lanczos3", "lanczos5",
            "area" or "nearest-tf" as TensorFlow and Keras do it; the first four with "-antialias" behind them as
            with its ``antialias=True``; "bilinear-pillow", "bicubic-pillow", "lanczos-pillow", "box-pillow",
            "hamming-pillow" or "nearest" as Pillow, and torchvision on its pictures, do it; "bicubic-torch" as
            PyTorch does it without antialias; "bilinear-tf1" as TensorFlow 1 does it.
        fit: "stretch"; "crop" to keep the aspect ratio, cutting before resizing; "shorter-side" to resize the
            shorter side to ``shorter_side`` and cut the centre out, as torchvision's Resize and CenterCrop; "pad" to
            lay the whole picture on a ground of ``pad_colour``, as Pillow's ImageOps.pad.
        shorter_side: pixels; the larger side of the model's size unless given.
        pad_colour: red, green and blue, from 0 to 255.
        alpha: what becomes of transparent pixels: "drop" keeps their colour, as Pillow's
            ``convert("RGB")`` does; "white" and "black" lay the picture over that ground.
        channels: the order in which the model was trained to take them, "RGB" or "BGR".
        scale: how pixels were normalized in training, outside the model: a value is
            (pixel x scale - mean) / std. A number, or a text such as "1/255". It is put into the
            model's graph, so that clients go on sending pictures.
        mean: one number, or one for each channel in the model's order.
        std: likewise.
        preprocess: your own function, which makes the model's input of a picture: an array [height,
            width, 3], normalized, or a tensor [3, height, width] for PyTorch. It is then the truth: what the framework answers to it are the golden
            answers, and resize, fit, shorter_side, pad_colour, channels, scale, mean and std must agree with it on every example,
            within 0.05 of 255. Otherwise the error says by how much not, and which arguments come nearest.
            A function whose first parameter is annotated as ``str`` or ``Path`` is called with the
            picture's path, any other with a ``PIL.Image``: RGB, upright, decoded as the bundle does it.
        tolerance: the largest |got-want| / max(1, |want|) between two sides, at most 1e-3.

    Returns:
        The bundle's path, the Go binary's verdict, the largest difference between the
        framework and the engine in Python, and the example pictures that were refused.

    Raises:
        ExportError: the model or the examples cannot be used, or the labelled examples say that
            pictures were prepared otherwise in training; it names the arguments that fit.
        ParityError: two sides answer differently; it names the stage.

    Example:
        >>> forgo.export(model, "iris.forgo", examples=rows, labels=["setosa", "versicolor", "virginica"])
    """
    place = Path(path)
    tags = [t.strip() for t in tag.split(",") if t.strip()] if tag is not None else None
    if tags == []:
        raise ExportError("a tag must not be empty")
    adapter = _adapters.of(model)
    chooses = adapter is not None and adapter.chooses
    bare = tags is not None and place.suffix != ".forgo"
    if not bare and place.suffix != ".forgo":
        raise ExportError(f"{place}: a bundle's name ends in .forgo; a bare SavedModel is written with a tag")
    if engine not in (None, *_engines.NAMES):
        raise ExportError(f"there is no engine {engine!r}; it is one of {', '.join(_engines.NAMES)}")
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
            f"{place}: with {argument('tag')} it becomes a SavedModel, which {runs.name} does not run"
        )
    if slim and (bare or no_goldens):
        raise ExportError("a slim bundle is proven: it needs examples, and is no bare SavedModel")
    if onnx_test_data and (runs.saved_model or no_goldens):
        raise ExportError("test data in ONNX's form is for ONNX models with examples")
    if not chooses and (signature or signature_examples or inputs or outputs):
        raise ExportError("a signature, inputs and outputs are chosen of SavedModels alone")
    if task is not None and task not in TASKS:
        raise ExportError(f"there is no task {task!r}; it is one of {', '.join(TASKS)}")
    if append not in (None, *APPENDS):
        raise ExportError(f"there is nothing to append called {append!r}; it is {' or '.join(APPENDS)}")
    known = read_labels(labels)
    if adapter is not None and not isinstance(model, str | Path):
        told, meant = adapter.means(model)
        if task is None and (known is None or meant == "multi-label"):
            task = meant
        known = told if known is None and task in (None, *LABELLED) else known
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
        raise ExportError(f"alpha is one of {', '.join(ALPHAS)}, not {alpha!r}")
    if examples is None and not no_goldens:
        raise ExportError(
            f"parity cannot be proven without examples: give some with {argument('examples')}, "
            f"or {argument('no_goldens', True)} for a bundle that says that it is not proven"
        )
    if examples is not None and no_goldens:
        raise ExportError(
            f"with examples there are golden cases: leave out {argument('examples')} or {argument('no_goldens')}"
        )
    check_place(place, saved_model=bare, force=force)
    if signature_examples and no_goldens:
        raise ExportError(
            f"with examples there are golden cases: leave out {argument('signature_examples')} or {argument('no_goldens')}"
        )
    given = read_file(Path(examples)) if isinstance(examples, str | Path) else examples
    in_file = isinstance(model, str | Path)
    tables = adapter is not None and adapter.tables and not in_file
    pictures, picture_name, rows = (None, UNNAMED, None) if tables else _split(given)
    table, lists = _is_table(given), isinstance(given, dict) and isinstance(given.get(UNNAMED), Bare)
    if preprocess is not None and pictures is None:
        raise ExportError("preprocess is for models of pictures, with examples")
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
        answers, source = _answers(model, expected, examples)
    elif answers is not None:
        source = "the test data beside it"
    right, notes = _expected(examples, pictures, count, known, expected_labels, several=task == "multi-label")
    if isinstance(given, Pictures) and given.note:
        notes.append(given.note)
    from forgo.exporting import _process, _signatures

    request = Request(
        place=place, force=force, pictures=pictures, picture_name=picture_name, rows=rows, labels=known, task=task,
        expected=right, accept_accuracy=accept_accuracy, notes=notes, append=append, thresholds=thresholds, table=table,
        lists=lists, folders=_folders(examples, pictures, known, expected_labels),
        resize=resize, fit=fit, shorter_side=shorter_side, pad_colour=pad_colour, alpha=alpha, normalization=_normalization.read(channels, scale, mean, std),
        prepared=prepared, missing=tables, precision=precision, truth=answers, answers_from=source, tolerance=tolerance, engine=runs.name,
        tags=tags, signature=signature,
        signature_rows={name: _signatures.rows_of(name, given) for name, given in (signature_examples or {}).items()},
        input_operations=inputs, output_operations=outputs, bare=bare,
        trust=trust, slim=slim, onnx_test_data=onnx_test_data,
    )  # fmt: skip

    if adapter is None:
        raise _adapters.refused(model)
    if isinstance(model, str | Path):
        adapter.check(Path(model), trust)
        return _process.export_file(adapter, Path(model), _named(request, Path(model)))
    return _export_model(adapter, model, request, given)


def _named(request: Request, file: Path) -> Request:
    return replace(request, provenance={"model": file.name, **request.provenance})


def _export_model(adapter: Adapter, model: Any, request: Request, examples: Any) -> Result:
    """Take the truth from the model in memory, then export it as it is saved."""
    from forgo.exporting import _pipeline, _process

    trained = adapter.adapt(model, request, examples)
    request = replace(request, notes=[*request.notes, *getattr(trained, "notes", [])])
    if adapter.tables:
        table: Any = trained
        return _pipeline.run(trained, replace(request, rows=table.rows))
    if request.pictures is not None or request.rows is not None:
        preprocess = _pipeline.preprocessor(trained, request)
        read, _ = _pipeline.read_examples(trained, request, preprocess)
        _pipeline.check_prepared(trained, read, request)
        if read:
            request = replace(request, truth=_pipeline.answers(trained, read, request))
    with working_folder(request.place) as folder:
        file = adapter.save(model, folder)
        if file is None:
            return _pipeline.run(trained, request)
        return _process.export_file(adapter, file, request)


def _answers(model: Any, expected: Any, examples: Any) -> tuple[Arrays, str]:
    """The training framework's answers, as arrays or in a file, and what to call them."""
    if not isinstance(model, str | Path):
        raise ExportError(
            f"{argument('expected')} is for models in files: a model in memory answers for itself"
        )
    if examples is None:
        raise ExportError(
            f"{argument('expected')} has the answers to examples: give these with {argument('examples')}"
        )
    if not isinstance(expected, str | Path):
        if not isinstance(expected, dict) or not expected:
            raise ExportError("expected is a dict of arrays by output, or an .npz file of them")
        return {name: np.asarray(a) for name, a in expected.items()}, "expected"
    path = Path(expected)
    if path.suffix != ".npz":
        raise ExportError(f"{path}: expected answers are an .npz file with an array for each output")
    return {n: np.asarray(a) for n, a in read_file(path).items()}, str(path)  # type: ignore[union-attr]


def _is_table(given: Any) -> bool:
    return isinstance(given, dict) and any(isinstance(of, Cells) for of in given.values())


def _split(examples: Any) -> tuple[list[Path] | None, str, Arrays | None]:
    """The pictures, what their input is called, and the rows of other inputs."""
    if examples is None:
        return None, UNNAMED, None
    if _tables.is_frame(examples):
        frame = _tables.as_pandas(examples)
        return None, UNNAMED, _tables.rows(frame, _tables.columns(frame))
    if isinstance(examples, list) and examples and all(isinstance(e, str | Path) for e in examples):
        return [Path(e) for e in examples], UNNAMED, None
    if isinstance(examples, dict) and not examples:
        raise ExportError("examples: there are none in it")
    if not isinstance(examples, dict):
        return None, UNNAMED, {UNNAMED: _array(UNNAMED, examples)}
    pictures = {
        name: list(given)
        for name, given in examples.items()
        if isinstance(given, list) and given and all(isinstance(e, Path) for e in given)
    }
    rows = {name: _array(name, given) for name, given in examples.items() if name not in pictures}
    if len(pictures) > 1:
        raise ExportError(f"examples: {' and '.join(pictures)} are pictures; a model takes one")
    for name, paths in pictures.items():
        return paths, name, rows or None
    return None, UNNAMED, rows


def _folders(
    examples: Any, pictures: list[Path] | None, labels: list[str] | None, given: Any
) -> list[str] | None:
    """The class folders of examples without labels."""
    if labels is not None or given is not None or pictures is None or not isinstance(examples, str | Path):
        return None
    return _accuracy.class_folders(pictures, Path(examples)) or None if Path(examples).is_dir() else None


def _expected(
    examples: Examples | None,
    pictures: list[Path] | None,
    count: int | None,
    labels: list[str] | None,
    given: Any,
    *,
    several: bool,
) -> tuple[list[Any] | None, list[str]]:
    """The right label of each example, as given or by its folder; and what there is to say of them."""
    if given is not None:
        if examples is None:
            raise ExportError("expected labels are those of examples: give some")
        listed = given
        if isinstance(given, str | Path):
            listed = _label_sets.read(Path(given), labels) if several and labels else read_labels(given)
        return _accuracy.check_expected(listed, labels, count, several=several), []
    if pictures is None or not isinstance(examples, str | Path) or not Path(examples).is_dir():
        return None, []
    folders = _accuracy.class_folders(pictures, Path(examples))
    expected = _accuracy.from_folders(pictures, Path(examples), labels)
    if several and expected:
        return None, [
            "NOT MEASURED: the examples lie in class folders, which say one label of each; "
            "give all that each has, as expected labels"
        ]
    if not folders or (expected and all(expected)):
        return expected, []
    assert labels is not None  # without them the folders are called like themselves
    some = ", ".join(folders[:6]) + (", …" if len(folders) > 6 else "")
    strange = [f for f in folders if f not in labels]
    return expected, [
        f"the examples lie in folders ({some}), but {strange[0] if strange else 'not each'} is no label: "
        f"{'the accuracy is not measured' if not expected else 'these count for nothing in the accuracy'}"
    ]


def _array(name: str, given: Any) -> npt.NDArray[Any]:
    what = f"input {name!r}" if name else "the rows"
    try:
        array = np.asarray(given)
    except ValueError as e:
        raise ExportError(f"examples: {what} have rows of different shapes: {e}") from None
    except (RuntimeError, TypeError) as e:  # tensors with gradients, or on another device
        raise ExportError(f"examples: {what} cannot be read as an array: {e}") from None
    if array.dtype.kind == "O" and not all(isinstance(e, str | bytes) for e in array.ravel()):
        raise ExportError(f"examples: {what} are neither numbers nor texts")
    return array


def read_labels(labels: list[str] | str | Path | None) -> list[str] | None:
    """Labels as given, or one a line of a text file."""
    if labels is None or isinstance(labels, list):
        return labels
    try:
        lines = Path(labels).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ExportError(
            f"{labels}: the labels cannot be read: {getattr(e, 'strerror', None) or e}"
        ) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ExportError(f"{labels}: there are no labels in it")
    return found
