"""LightGBM: the adapter for its estimators, boosters and model files, which onnxmltools converts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError
from forgo.exporting import _estimator, _table_examples
from forgo.exporting._adapter import Adapter
from forgo.exporting._estimator import Answers
from forgo.exporting._hist_trees import below
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
    if not objective.startswith(("binary", "multiclass ")):
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
    probable = objective.startswith(("binary", "multiclass "))

    def ask(rows: Any) -> npt.NDArray[Any]:
        if not native:
            got = np.asarray(model.predict_proba(rows) if probable else model.predict(rows))
        else:
            got = np.asarray(booster.predict(rows))
            if objective.startswith("binary"):
                got = np.stack([1 - got, got], axis=1)
        return got.reshape(-1, 1) if got.ndim == 1 else got

    narrow = table.fits_float32()
    answers: Answers = {"probabilities" if probable else "value": (ask, 1 if probable else 0)}
    conversion = _estimator.conversion(
        answers, lambda precision: _convert(model, booster, narrow), ("float32",)
    )
    return _estimator.Estimator(
        f"lightgbm {version('lightgbm')}", table, conversion, request.precision, request.tolerance,
        {"estimator": f"{type(model).__name__}, {objective}", "onnxmltools": version("onnxmltools")},
    )  # fmt: skip


def _convert(model: Any, booster: Any, narrow: bool) -> onnx.ModelProto:
    onnxmltools, floats = _estimator.onnxmltools("LightGBM", _EXTRA)
    if "linear_tree=1" in booster.model_to_string() or "is_linear=1" in booster.model_to_string():
        raise ExportError(
            "its leaves are linear models, which ONNX's trees do not support: train it with linear_tree=False"
        )
    if "\naverage_output\n" in booster.model_to_string():
        model = booster = _summed(booster)
    if narrow:
        model = booster = _narrowed(booster)
    made: onnx.ModelProto = onnxmltools.convert_lightgbm(
        model if _objective(booster) else _with_objective(booster),
        initial_types=[("input", floats([None, booster.num_feature()]))],
        target_opset=15,
        zipmap=False,
    )
    return made


def _summed(booster: Any) -> Any:
    """A random forest, whose answer is the mean of its trees, as trees that add up to it: onnxmltools takes it for those."""
    rounds = booster.num_trees() // booster.num_model_per_iteration()
    text = booster.model_to_string().replace("\naverage_output\n", "\n")
    return _changed(text, "leaf_value", lambda values: values / rounds)


def _narrowed(booster: Any) -> Any:
    """A booster whose thresholds are the largest float32 numbers that are not above its own: it decides rows of float32 alike.

    onnxmltools rounds to the nearest instead, which moves a threshold past a row that lies on it.
    """
    return _changed(booster.model_to_string(), "threshold", below)


def _changed(text: str, key: str, change: Callable[[npt.NDArray[np.float64]], npt.NDArray[Any]]) -> Any:
    """The booster of a model's text with other numbers for one of the keys of its trees."""
    import lightgbm

    def line(found: re.Match[str]) -> str:
        return f"{key}={' '.join(repr(float(v)) for v in change(np.array(found[1].split(), np.float64)))}"

    text = re.sub(r"(?<=\n)tree_sizes=.*\n", "", text)  # the trees' lengths, which change
    return lightgbm.Booster(model_str=re.sub(rf"(?<=\n){key}=(.*)", line, text))


def _with_objective(booster: Any) -> Any:
    """A booster whose objective was the user's own function, and so answers with raw scores, as regression does."""
    import lightgbm

    head, found, rest = booster.model_to_string().partition("\nfeature_names=")
    made = lightgbm.Booster(model_str=f"{head}\nobjective=regression{found}{rest}")
    made.params["objective"] = "regression"
    return made


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
