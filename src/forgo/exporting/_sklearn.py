"""scikit-learn: the adapter for estimators and pipelines, which sklearn-onnx converts."""

from __future__ import annotations

import copy
import re
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError
from forgo.exporting import (
    _estimator,
    _hist_trees,
    _neighbours,
    _sklearn_categories,
    _sklearn_nodes,
    _sklearn_outputs,
    _sklearn_targets,
    _table_examples,
    _tables,
    _texts,
    _trees,
    _xgboost,
)
from forgo.exporting._adapter import Adapter
from forgo.exporting._model import Trained
from forgo.exporting._table_examples import TableExamples

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_LACKING = ("Solve",)
"""Operators of sklearn-onnx's that ONNX Runtime lacks."""
_INSTEAD = {
    "HashingVectorizer": "fit a CountVectorizer or a TfidfVectorizer in its place",
    "RegressorChain": "fit a MultiOutputRegressor in its place",
    "ClassifierChain": "fit a OneVsRestClassifier in its place",
    "DummyClassifier": "fit another model in its place",
}
_EXTRA = "pip install '.[sklearn]' in forgo's clone"


def _is_model(model: Any) -> bool:
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(model, base.BaseEstimator) and not isinstance(model, type)


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    """Take a fitted estimator, and prove its conversion on all rows of the examples."""
    what = f"a {type(model).__name__}"
    _check_fitted(model, what)
    table = _named(model, _table_examples.read(examples, what))
    _check_columns(model, table)
    inner, back = _sklearn_targets.split(model)
    table = _coded(inner, _sklearn_categories.closed(inner, table))
    try:
        import skl2onnx  # noqa: F401
    except ImportError:
        raise ExportError(f"{what}: converting it needs skl2onnx, which is not installed: {_EXTRA}") from None
    with _estimator.answering():
        answers, notes = _answers(model, table.whole)

    def convert(precision: str) -> onnx.ModelProto:
        made = _convert(inner, table, precision, notes, scores="scores" in answers)
        _sklearn_targets.append(made, back)
        if "probabilities" in answers and _sklearn_outputs.labels(model):
            _sklearn_outputs.join(made)
        return made

    conversion = _estimator.Conversion(
        answers={name: of for name, (of, _) in answers.items()},
        outputs={name: place for name, (_, place) in answers.items()},
        convert=convert,
        explain=lambda rows: _neighbours.ties(model, rows),
    )
    made = _estimator.Estimator(
        f"scikit-learn {version('scikit-learn')}", table, conversion, request.precision, request.tolerance,
        {"estimator": re.sub(r"\s+", " ", str(model))[:500], "skl2onnx": version("skl2onnx")},
    )  # fmt: skip
    made.notes = [*notes, *made.notes]
    return made


def _coded(model: Any, table: TableExamples) -> TableExamples:
    """Number the strings of a HistGradientBoosting model's own categories."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if not isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return table
    known = _hist_trees.categories(model)
    return table.coded(
        {
            c.name: known[i]
            for i, c in enumerate(table.columns)
            if i in known and c.type not in _tables.NUMERIC
        }
    )


def _check_fitted(model: Any, what: str) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise ExportError(f"{what} is not fitted: call fit before it is exported") from None
    except TypeError as e:
        raise ExportError(f"{what} cannot be exported: {e}") from None


def _named(model: Any, table: TableExamples) -> TableExamples:
    """A matrix of numbers as the DataFrame that the model was fitted on, its columns in order."""
    names, array = getattr(model, "feature_names_in_", None), table.array
    if names is None or array is None or array.dtype.kind not in "iuf" or array.shape[1:] != (len(names),):
        return table
    import pandas as pd

    return _table_examples.read(pd.DataFrame(array, columns=list(names)), f"a {type(model).__name__}")


def _check_columns(model: Any, table: TableExamples) -> None:
    """Refuse examples with other columns than the model was fitted on."""
    want = getattr(model, "n_features_in_", None)
    names = getattr(model, "feature_names_in_", None)
    if table.frame is None:
        assert table.array is not None
        have = table.array.shape[1] if table.array.ndim == 2 else 1
        if want is not None and have != want:
            raise ExportError(f"examples: the model was fitted on {want} columns, the examples have {have}")
        if names is not None and table.array.ndim == 2:
            raise ExportError(
                f"examples: the model was fitted on a DataFrame with the columns {', '.join(map(str, names[:6]))}"
                f"{', …' if len(names) > 6 else ''}: give a DataFrame with these columns"
            )
        return
    have_names = [str(n) for n in table.frame.columns]
    if names is not None and list(names) != have_names:
        missing = [n for n in names if n not in have_names]
        more = [n for n in have_names if n not in set(names)]
        raise ExportError(
            "examples: the model was fitted on different columns: "
            + (
                f"{missing[0]!r} is missing"
                if missing
                else f"{more[0]!r} is new"
                if more
                else "the order differs"
            )
            + f"; give examples[{list(map(str, names[:6]))!r}]".replace(
                "]]", ", …]]" if len(names) > 6 else "]]"
            )
        )
    if names is None and want is not None and len(have_names) != want:
        raise ExportError(
            f"examples: the model was fitted on {want} columns, the examples have {len(have_names)}"
        )


Answers = dict[str, tuple[_estimator.Answer, int]]


def _answers(model: Any, rows: Any) -> tuple[Answers, list[str]]:
    """A model's answers by output, each with its index among sklearn-onnx's outputs."""
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    def column(of: Any) -> _estimator.Answer:
        return lambda x: _column(of(x))

    if is_classifier(model):
        return _classifier(model, rows)
    if is_outlier_detector(model):
        if not hasattr(model, "predict"):
            raise ExportError(f"a {type(model).__name__} cannot answer new rows: build it with novelty=True")
        return {"label": (column(model.predict), 0), "scores": (column(model.decision_function), 1)}, []
    if is_regressor(model):
        return {"value": (column(model.predict), 0)}, []
    if hasattr(model, "predict") and hasattr(model, "transform"):
        return {"label": (column(model.predict), 0), "distances": (model.transform, 1)}, []
    if hasattr(model, "predict"):
        return {"label": (column(model.predict), 0)}, []
    if hasattr(model, "transform"):
        return {"output": (lambda x: _dense(model.transform(x)), 0)}, []
    raise ExportError(
        f"a {type(model).__name__} neither predicts nor transforms, so there is nothing to export"
    )


def _classifier(model: Any, rows: Any) -> tuple[Answers, list[str]]:
    if not hasattr(model, "predict_proba"):
        if not hasattr(model, "decision_function"):
            last = _sklearn_outputs.last(model)
            raise ExportError(
                "a VotingClassifier with voting='hard' has no probabilities: build it with voting='soft'"
                if getattr(last, "voting", None) == "hard"
                else f"a {type(last).__name__} has neither probabilities nor scores to export"
            )
        note = (
            f"a {type(model).__name__} has no probabilities: the bundle gives its label and scores, as tensors; "
            "CalibratedClassifierCV adds them"
        )
        answers: Answers = {
            "label": (lambda x: _column(model.predict(x)), 0),
            "scores": (lambda x: _column(model.decision_function(x)), 1),
        }
        return answers, [note]
    probabilities = model.predict_proba(rows)
    if isinstance(probabilities, list):
        if _sklearn_outputs.labels(model) is None:
            raise _sklearn_outputs.refused(_sklearn_outputs.last(model))
        return {"probabilities": (lambda x: _sklearn_outputs.positive(model.predict_proba(x)), 1)}, []
    if _multilabel(model):
        return {"probabilities": (model.predict_proba, 1)}, []
    said = np.asarray(model.classes_)[probabilities.argmax(axis=1)]
    other = int((np.asarray(model.predict(rows)) != said).sum())
    notes = []
    if other:
        notes = [
            f"predict of {type(model).__name__} is not the class of the largest probability on {other} of {len(said)} rows; "
            "the bundle answers by probability"
        ]
    return {"probabilities": (model.predict_proba, 1)}, notes


def _means(model: Any) -> tuple[list[str] | None, str | None]:
    """The labels and the task of a fitted estimator."""
    from sklearn.base import is_classifier, is_regressor

    if is_classifier(model):
        classes = getattr(model, "classes_", None)
        if several := _sklearn_outputs.labels(model):
            return several, "multi-label"
        if not hasattr(model, "predict_proba") or classes is None or isinstance(classes, list):
            return None, None
        labels = _labels_of_xgboost(model) or [str(c) for c in classes]
        return labels, "multi-label" if _multilabel(model) else None
    if is_regressor(model):
        return None, "regression"
    return None, None if hasattr(model, "predict") or not hasattr(model, "transform") else "embedding"


def _multilabel(model: Any) -> bool:
    last = _sklearn_outputs.last(model)
    several = getattr(last, "out_activation_", None) == "logistic" and getattr(last, "n_outputs_", 1) > 1
    return bool(getattr(last, "multilabel_", False)) or several or _labels_of_xgboost(model) is not None


def _labels_of_xgboost(model: Any) -> list[str] | None:
    """The labels of a classifier of XGBoost's at the end of a pipeline, if they do not exclude each other: no classes_."""
    last = _sklearn_outputs.last(model)
    labels, task = _xgboost.ADAPTER.means(last) if _xgboost.ADAPTER.is_model(last) else (None, None)
    return labels if task == "multi-label" else None


def _column(values: Any) -> npt.NDArray[Any]:
    array = np.asarray(values)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _dense(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values.todense() if hasattr(values, "todense") else values)


def _by_column(model: Any) -> bool:
    """Whether the model's first step chooses columns by name."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    while isinstance(model, Pipeline):
        model = model.steps[0][1]
    return isinstance(model, ColumnTransformer)


def _convert(
    model: Any, table: TableExamples, precision: str, notes: list[str], *, scores: bool
) -> onnx.ModelProto:
    import skl2onnx
    from skl2onnx.common import data_types
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    from sklearn.base import is_classifier

    number = data_types.DoubleTensorType if precision == "float64" else data_types.FloatTensorType

    def typed(text: bool, width: int) -> Any:
        return (data_types.StringTensorType if text else number)([None, width])

    if table.frame is None:
        assert table.array is not None
        text = table.array.dtype.kind in "OSU"
        types = [("input", typed(text, table.array.shape[1] if table.array.ndim == 2 else 1))]
    else:
        strings = [c.type not in _tables.NUMERIC for c in table.columns]
        if _by_column(model):
            types = [(c.name, typed(text, 1)) for c, text in zip(table.columns, strings, strict=True)]
        elif all(c.codes is not None for c, text in zip(table.columns, strings, strict=True) if text):
            types = [("input", typed(False, len(strings)))]
        elif len(set(strings)) == 1:
            types = [("input", typed(strings[0], len(strings)))]
        else:
            raise ExportError(
                f"a {type(model).__name__} takes columns of numbers and of strings together, which no ONNX tensor holds: put a "
                "ColumnTransformer first"
            )
    wanted: list[dict[str, Any]] = [{}]
    if is_classifier(model):  # not every converter has both options
        wanted = [{"zipmap": False}]
        if scores:
            wanted = [{"zipmap": False, "raw_scores": True}, {"raw_scores": True}, *wanted]
    coded = {i for i, c in enumerate(table.columns) if c.codes is not None}
    _sklearn_nodes.register(narrow=table.fits_float32(), coded=coded)
    if getattr(model, "flatten_transform", False):  # which has no say in what a VotingClassifier predicts
        model = copy.copy(model)
        model.flatten_transform = False
    with _sklearn_nodes.plain_attributes():
        try:
            made = _first(skl2onnx.convert_sklearn, model, types, wanted)
        except (MissingConverter, MissingShapeCalculator) as e:
            found = re.search(r"type '<class '([^']+)'>'", str(e)) or re.search(r"<class '([^']+)'>", str(e))
            kind = found[1] if found else type(model).__name__
            way = _INSTEAD.get(
                kind.rpartition(".")[2],
                "register one with skl2onnx.update_registered_converter, or do its work before the model",
            )
            raise ExportError(f"sklearn-onnx has no converter for {kind}: {way}") from None
        except RuntimeError as e:
            if not str(e).startswith("FunctionTransformer"):
                raise
            raise ExportError(
                "sklearn-onnx has no converter for a FunctionTransformer with a function: do its work before the model"
            ) from None
        except NameError:  # an option of the model's, given on to one inside that lacks it
            if not _calibrates_pipeline(model):
                raise
            raise ExportError(
                "sklearn-onnx cannot convert a CalibratedClassifierCV over a Pipeline: calibrate the last step alone, as in "
                "make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC()))"
            ) from None
    if lacking := sorted({n.op_type for n in made.graph.node if n.op_type in _LACKING}):
        raise ExportError(
            f"sklearn-onnx converts a {type(model).__name__} with the operator {lacking[0]}, which ONNX Runtime does not have: "
            "train another model in its place"
        )
    notes += [note for note in _texts.mend(made) if note not in notes]
    return made


def _calibrates_pipeline(model: Any) -> bool:
    inner = getattr(_sklearn_outputs.last(model), "calibrated_classifiers_", None) or [None]
    return hasattr(getattr(inner[0], "estimator", None), "steps")


def _first(convert: Any, model: Any, types: Any, wanted: list[dict[str, Any]]) -> onnx.ModelProto:
    """Convert with the first of several options that the model's converter supports."""
    for i, options in enumerate(wanted):
        try:
            made: onnx.ModelProto = convert(
                model,
                initial_types=types,
                options={id(model): options} if options else None,
                target_opset=_trees.OPSET,
            )
            return made
        except NameError:  # sklearn-onnx raises it for an option that it lacks
            if i == len(wanted) - 1:
                raise
    raise AssertionError


ADAPTER = Adapter(
    module=__name__,
    models="a fitted estimator or pipeline of scikit-learn",
    engines=("onnxruntime",),
    is_model=_is_model,
    adapt=_adapt,
    tables=True,
    means=_means,
)
