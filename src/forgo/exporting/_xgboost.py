"""XGBoost: the adapter for its estimators, boosters and model files, which onnxmltools converts."""

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
from forgo.exporting import _estimator
from forgo.exporting._adapter import Adapter
from forgo.exporting._estimator import Answers
from forgo.exporting._model import Trained

if TYPE_CHECKING:
    from forgo.exporting._pipeline import Request

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
    return _estimator.from_file(
        path, request, booster.feature_names, lambda given: _estimate(booster, request, given)
    )


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    what = f"a {type(model).__name__} of XGBoost"
    given = _estimator.given(examples, what)
    if not isinstance(model, _module().Booster):
        try:
            model.get_booster()
        except Exception as e:  # its NotFittedError is scikit-learn's, if that is installed
            raise ExportError(
                f"{what} is not fitted: call fit before it is exported ({_estimator.first_line(e)})"
            ) from None
    return _estimate(model, request, given)


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
        return None, "regression" if name.startswith(("reg:", "count:")) else None
    if isinstance(model, _module().Booster) or not hasattr(model, "classes_"):
        return [str(i) for i in range(max(2, int(learner["learner_model_param"]["num_class"])))], None
    return [str(c) for c in model.classes_], None


def _estimate(model: Any, request: Request, given: _estimator.Given) -> Trained:
    import xgboost

    native = isinstance(model, xgboost.Booster)
    booster = model if native else model.get_booster()
    given.check(booster.num_features(), booster.feature_names, "the model")
    learner = _objective(booster)
    objective = learner["objective"]["name"]
    best = None if native else getattr(model, "best_iteration", None) if _stopped_early(model) else None
    probable = objective in ("binary:logistic", "multi:softprob")

    def ask(rows: Any) -> npt.NDArray[Any]:
        if not native:
            return np.asarray(
                model.predict_proba(rows)
                if hasattr(model, "predict_proba") and probable
                else model.predict(rows)
            )
        p = booster.predict(
            xgboost.DMatrix(rows, feature_names=booster.feature_names if hasattr(rows, "shape") else None)
        )
        if objective == "binary:logistic":
            return np.stack([1 - p, p], axis=1)
        return np.asarray(p)

    def shaped(rows: Any) -> npt.NDArray[Any]:
        got = ask(rows)
        return got.reshape(-1, 1) if got.ndim == 1 else got

    answers: Answers = {"probabilities" if probable else "value": (shaped, 1 if probable else 0)}
    if objective in ("binary:hinge", "multi:softmax") and native:
        raise ExportError(
            f"a booster with the objective {objective} gives classes without probabilities: train it with "
            f"{'binary:logistic' if objective == 'binary:hinge' else 'multi:softprob'}"
        )
    conversion = _estimator.conversion(
        answers, lambda precision: _convert(model, booster, best, learner), ("float32",)
    )
    return _estimator.Estimator(
        f"xgboost {_version()}", given, conversion, request.precision, request.tolerance,
        {"estimator": f"{type(model).__name__}, {objective}", "onnxmltools": version("onnxmltools")},
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


def _convert(model: Any, booster: Any, best: int | None, learner: Mapping[str, Any]) -> onnx.ModelProto:
    """Convert a copy with column names that onnxmltools takes, cut at the best iteration."""
    import copy

    import xgboost

    onnxmltools, floats = _estimator.onnxmltools("XGBoost", _EXTRA)
    kinds = booster.feature_types or []
    if "c" in kinds:
        raise ExportError(
            "it splits by categories, which onnxmltools reads as numbers: encode them as numbers, in training too"
        )
    if learner["gradient_booster"]["name"] == "gblinear":
        raise ExportError(
            "its booster is gblinear, a linear model, which onnxmltools cannot convert: train it with gbtree, or a linear "
            "model of scikit-learn's"
        )
    ranks = learner["objective"]["name"].startswith("rank:")
    plain = xgboost.Booster()
    plain.load_model(_of_trees(booster, ranks))
    if best is not None:
        plain = plain[: best + 1]
    plain.feature_names = plain.feature_types = None
    count = booster.num_features()
    given: Any = plain
    if not isinstance(model, xgboost.Booster) and not ranks:
        given = copy.copy(model)
        given._Booster = plain
    made: onnx.ModelProto = onnxmltools.convert_xgboost(
        given, initial_types=[("input", floats([None, count]))], target_opset=15
    )
    return made


def _of_trees(booster: Any, ranks: bool) -> bytearray:
    """A booster's bytes, as one that onnxmltools converts: DART's trees with their weights in their leaves, and of a
    ranker, whose answers are the sums of its trees, a regression's objective.
    """
    whole = json.loads(booster.save_raw("json"))
    learner = whole["learner"]
    dart = learner["gradient_booster"]
    if dart["name"] == "dart":
        for tree, weight in zip(dart["gbtree"]["model"]["trees"], dart["weight_drop"], strict=True):
            for node, child in enumerate(tree["left_children"]):
                if child == -1:  # a leaf's value is where inner nodes have their threshold
                    tree["split_conditions"][node] *= weight
        learner["gradient_booster"] = dart["gbtree"]
    if ranks:
        learner["objective"] = {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
    return bytearray(json.dumps(whole).encode())


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
