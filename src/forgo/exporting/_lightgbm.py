"""LightGBM: the adapter for its estimators, boosters and model files, whose trees become ONNX as they are."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError
from forgo.exporting import _estimator, _lightgbm_trees, _table_examples, _trees
from forgo.exporting._adapter import Adapter
from forgo.exporting._estimator import Answers
from forgo.exporting._model import Trained
from forgo.exporting._table_examples import TableExamples

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_EXTRA = "pip install '.[lightgbm]' in forgo's clone"


def _module() -> Any:
    return sys.modules.get("lightgbm")


def _is_model(model: Any) -> bool:
    lightgbm = _module()
    return lightgbm is not None and isinstance(model, lightgbm.Booster | getattr(lightgbm, "LGBMModel", ()))


def _is_file(path: Path) -> bool:
    return path.suffix == ".txt" and _estimator.head(path).startswith(b"tree\n")


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    try:
        import lightgbm
    except ImportError:
        raise ExportError(f"{path}: reading it needs LightGBM: {_EXTRA}") from None
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except Exception as e:
        raise ExportError(f"{path}: LightGBM cannot load it: {_estimator.first_line(e)}") from None
    names = booster.feature_name()  # LightGBM numbers those of an array
    if names == [f"Column_{i}" for i in range(len(names))]:
        names = None
    return _table_examples.from_file(
        path, request, names, lambda table: _estimate(booster, request, table), spaces="_"
    )


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    what = f"a {type(model).__name__} of LightGBM"
    table = _table_examples.read(examples, what)
    if not isinstance(model, _module().Booster) and getattr(model, "_Booster", None) is None:
        raise ExportError(f"{what} is not fitted: call fit before it is exported")
    return _estimate(model, request, table)


def _objective(booster: Any) -> str:
    line = next(
        (x for x in booster.model_to_string(num_iteration=1).splitlines() if x.startswith("objective=")), ""
    )
    return str(line.removeprefix("objective="))


def _means(model: Any) -> tuple[list[str] | None, str | None]:
    native = isinstance(model, _module().Booster)
    booster = model if native else getattr(model, "_Booster", None)
    if booster is None:
        return None, None
    objective = _objective(booster)
    if not objective.startswith(("binary", "multiclass")):
        return None, "ranking" if objective.startswith(("lambdarank", "rank")) else "regression"
    if native:
        return [str(i) for i in range(max(2, booster.num_model_per_iteration()))], None
    return [str(c) for c in model.classes_], None


def _estimate(model: Any, request: Request, table: TableExamples) -> Trained:
    import lightgbm

    native = isinstance(model, lightgbm.Booster)
    booster = model if native else model.booster_
    table.check(
        booster.num_feature(),
        booster.feature_name() if table.frame is not None else None,
        "the model",
        spaces="_",
    )
    if (categories := table.categories()) and len(categories) == len(booster.pandas_categorical or []):
        table = table.coded(dict(zip(categories, booster.pandas_categorical, strict=True)))
    objective = _objective(booster)
    probable = objective.startswith(("binary", "multiclass"))

    def ask(rows: Any) -> npt.NDArray[Any]:
        if not native:
            got = np.asarray(model.predict_proba(rows) if probable else model.predict(rows))
        else:
            got = np.asarray(booster.predict(rows))
            if objective.startswith("binary"):
                got = np.stack([1 - got, got], axis=1)
        return got.reshape(-1, 1) if got.ndim == 1 else got

    narrow = table.fits_float32()
    answers: Answers = {"probabilities" if probable else "value": (ask, 0)}

    def convert(precision: str) -> onnx.ModelProto:
        nodes = _lightgbm_trees.nodes(booster, "input", "answers", precision, narrow=narrow)
        return _trees.model(nodes, booster.num_feature(), precision)

    conversion = _estimator.conversion(answers, convert)
    return _estimator.Estimator(
        f"lightgbm {version('lightgbm')}", table, conversion, request.precision, request.tolerance,
        {"estimator": f"{type(model).__name__}, {objective}"},
    )  # fmt: skip


ADAPTER = Adapter(
    module=__name__,
    models="a fitted model of LightGBM",
    files="a LightGBM .txt file",
    engines=("onnxruntime",),
    tables=True,
    is_file=_is_file,
    load=_load,
    is_model=_is_model,
    adapt=_adapt,
    means=_means,
)
