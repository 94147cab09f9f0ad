"""XGBoost: the adapter for its estimators, boosters and model files, whose trees become ONNX as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError
from forgo.exporting import _estimator, _table_examples, _trees, _xgboost_trees
from forgo.exporting._adapter import Adapter
from forgo.exporting._estimator import Answers
from forgo.exporting._model import Trained
from forgo.exporting._table_examples import TableExamples

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_EXTRA = "pip install '.[xgboost]' in forgo's clone"
_CLASSES = ("binary:logistic", "multi:softprob", "multi:softmax", "binary:logitraw", "binary:hinge")


def _module() -> Any:
    return sys.modules.get("xgboost")


def _is_model(model: Any) -> bool:
    xgboost = _module()
    return xgboost is not None and isinstance(model, xgboost.Booster | getattr(xgboost, "XGBModel", ()))


def _is_file(path: Path) -> bool:
    if path.suffix == ".ubj":
        return path.is_file()
    return path.suffix == ".json" and b'"learner"' in _estimator.head(path)


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    try:
        import xgboost
    except ImportError:
        raise ExportError(f"{path}: reading it needs XGBoost: {_EXTRA}") from None
    booster = xgboost.Booster()
    try:
        booster.load_model(str(path))
    except Exception as e:
        raise ExportError(f"{path}: XGBoost cannot load it: {_estimator.first_line(e)}") from None
    return _table_examples.from_file(
        path, request, booster.feature_names, lambda table: _estimate(booster, request, table)
    )


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    what = f"a {type(model).__name__} of XGBoost"
    table = _table_examples.read(examples, what)
    if not isinstance(model, _module().Booster):
        try:
            model.get_booster()
        except Exception as e:  # its NotFittedError is scikit-learn's, if that is installed
            raise ExportError(
                f"{what} is not fitted: call fit before it is exported ({_estimator.first_line(e)})"
            ) from None
    return _estimate(model, request, table)


def _objective(booster: Any) -> Mapping[str, Any]:
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return learner


def _means(model: Any) -> tuple[list[str] | None, str | None]:
    """The labels and the task of a fitted model; neither for one that is not fitted."""
    try:
        booster = model if isinstance(model, _module().Booster) else model.get_booster()
    except Exception:
        return None, None
    learner = _objective(booster)
    name = learner["objective"]["name"]
    if name not in ("binary:logistic", "multi:softprob"):
        return None, {"reg": "regression", "count": "regression", "rank": "ranking"}.get(name.split(":")[0])
    if (several := _xgboost_trees.targets(learner)) > 1:
        return [str(i) for i in range(several)], "multi-label"
    if isinstance(model, _module().Booster) or not hasattr(model, "classes_"):
        return [str(i) for i in range(max(2, int(learner["learner_model_param"]["num_class"])))], None
    return [str(c) for c in model.classes_], None


def _estimate(model: Any, request: Request, table: TableExamples) -> Trained:
    import xgboost

    native = isinstance(model, xgboost.Booster)
    booster = model if native else model.get_booster()
    table.check(booster.num_features(), booster.feature_names, "the model")
    at = {c.name: i for i, c in enumerate(table.columns)}
    known = table.categories().items()
    table = table.coded({name: _xgboost_trees.codes(booster, at[name], values) for name, values in known})
    learner = _objective(booster)
    objective = learner["objective"]["name"]
    probable = objective in ("binary:logistic", "multi:softprob")

    def ask(rows: Any) -> npt.NDArray[Any]:
        if not native:
            return np.asarray(
                model.predict_proba(rows)
                if hasattr(model, "predict_proba") and probable
                else model.predict(rows)
            )
        types = None if table.frame is not None else booster.feature_types
        p = booster.predict(
            xgboost.DMatrix(
                rows,
                feature_names=booster.feature_names if hasattr(rows, "shape") else None,
                feature_types=types,
                enable_categorical=True,
            )
        )
        if objective == "binary:logistic" and p.ndim == 1:
            return np.stack([1 - p, p], axis=1)
        return np.asarray(p)

    def shaped(rows: Any) -> npt.NDArray[Any]:
        got = ask(rows)
        return got.reshape(-1, 1) if got.ndim == 1 else got

    answers: Answers = {"probabilities" if probable else "value": (shaped, 0)}
    classes = (
        ("binary:hinge", "multi:softmax") if native else ("binary:hinge", "multi:softmax", "binary:logitraw")
    )
    if objective in classes:
        raise ExportError(
            f"{'a booster' if native else f'an {type(model).__name__}'} with the objective {objective} gives classes without probabilities: "
            f"train it with {'multi:softprob' if objective == 'multi:softmax' else 'binary:logistic'}"
        )
    conversion = _estimator.conversion(answers, lambda precision: _convert(model), ("float32",))
    return _estimator.Estimator(
        f"xgboost {_version()}", table, conversion, request.precision, request.tolerance,
        {"estimator": f"{type(model).__name__}, {objective}"},
    )  # fmt: skip


def _stopped_early(model: Any) -> bool:
    try:
        return model.best_iteration is not None
    except AttributeError:
        return False


def _version() -> str:
    for name in ("xgboost", "xgboost-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "?"


def booster_of(model: Any) -> Any:
    """The booster of a model, cut at its best iteration.

    Raises:
        ExportError: it is no sum of trees, or takes another value than NaN for a missing one.
    """
    native = isinstance(model, _module().Booster)
    booster = model if native else model.get_booster()
    if _objective(booster)["gradient_booster"]["name"] == "gblinear":
        raise ExportError(
            "its booster is gblinear, a linear model: train it with gbtree, or a linear model of scikit-learn's"
        )
    missing = getattr(model, "missing", np.nan)
    if not native and missing is not None and not np.isnan(missing):
        raise ExportError(f"it takes {missing} for a missing value: train it with missing=NaN, and give NaN")
    best = getattr(model, "best_iteration", None) if not native and _stopped_early(model) else None
    return booster if best is None else booster[: best + 1]


def _convert(model: Any) -> onnx.ModelProto:
    booster = booster_of(model)
    return _trees.model(_xgboost_trees.nodes(booster, "input", "answers"), booster.num_features())


ADAPTER = Adapter(
    module=__name__,
    models="a fitted model of XGBoost",
    files="an XGBoost .json or .ubj file",
    engines=("onnxruntime",),
    tables=True,
    is_file=_is_file,
    load=_load,
    is_model=_is_model,
    adapt=_adapt,
    means=_means,
)
