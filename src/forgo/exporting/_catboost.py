"""CatBoost: the adapter for its models, in memory and in .cbm files, which CatBoost itself writes as ONNX."""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from forgo._errors import ExportError
from forgo.exporting import _estimator, _table_examples
from forgo.exporting._adapter import Adapter
from forgo.exporting._estimator import Answers
from forgo.exporting._model import Trained
from forgo.exporting._table_examples import TableExamples

if TYPE_CHECKING:
    from forgo.exporting._request import Request

SUFFIX = ".cbm"
_EXTRA = "pip install '.[catboost]' in forgo's clone"
_SEVERAL = ("MultiLogloss", "MultiCrossEntropy")
"""Losses of models whose labels do not exclude each other."""
_RANKS = (
    "QueryRMSE",
    "PairLogit",
    "PairLogitPairwise",
    "YetiRank",
    "YetiRankPairwise",
    "StochasticRank",
    "LambdaMart",
    "QuerySoftMax",
    "QueryCrossEntropy",
    "GroupQuantile",
)
_APART = ("MultiClassOneVsAll", *_SEVERAL)
"""Losses of models with a sigmoid for each class, where CatBoost writes a softmax."""
_EXPONENTS = ("Poisson", "Tweedie")
"""Losses of regressors that answer with the exponential of what CatBoost's graph gives."""
_NUMBERS = ("MultiRMSE", "MultiRMSEWithMissingValues", "MultiQuantile", "RMSEWithUncertainty")
"""Losses of models whose answers CatBoost's graph does not have."""
_SYMMETRIC = "SymmetricTree"
_IR = 8
"""The version of ONNX's format from which constants need not be inputs; CatBoost writes an older one."""


def _module() -> Any:
    return sys.modules.get("catboost")


def _is_model(model: Any) -> bool:
    catboost = _module()
    return catboost is not None and isinstance(model, catboost.CatBoost)


def _is_file(path: Path) -> bool:
    return path.suffix == SUFFIX and not path.is_dir()


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    try:
        import catboost
    except ImportError:
        raise ExportError(f"{path}: reading it needs CatBoost: {_EXTRA}") from None
    if not _estimator.head(path).startswith(b"CBM1"):
        raise ExportError(f"{path}: CatBoost cannot load it: it is not a model in CatBoost's own format")
    model = catboost.CatBoost()
    try:
        model.load_model(str(path), format="cbm")
    except Exception as e:  # CatBoostError, and others for damaged files
        raise ExportError(f"{path}: CatBoost cannot load it: {_estimator.first_line(e)}") from None
    return _table_examples.from_file(
        path, request, _names(model), lambda table: _estimate(model, request, table)
    )


def _adapt(model: Any, request: Request, examples: Any) -> Trained:
    what = f"a {type(model).__name__} of CatBoost"
    if not model.is_fitted():
        raise ExportError(f"{what} is not fitted: call fit before it is exported")
    _check(model)  # before the examples, whose columns of strings need no other remark
    return _estimate(model, request, _table_examples.read(examples, what))


def _names(model: Any) -> list[str] | None:
    """The names of the columns that the model was fitted on; CatBoost numbers those of an array."""
    names = list(model.feature_names_)
    return None if names == [str(i) for i in range(len(names))] else names


def _loss(model: Any) -> str:
    """The name of the loss, without its parameters."""
    return str(model.get_all_params().get("loss_function", "")).split(":")[0]


def _means(model: Any) -> tuple[list[str] | None, str | None]:
    """The labels and the task of a fitted model; neither for one that is not fitted."""
    if not model.is_fitted():
        return None, None
    loss = _loss(model)
    if loss in _SEVERAL:
        return [str(c) for c in model.classes_], "multi-label"
    if len(model.classes_):
        return [str(c) for c in model.classes_], None
    return None, "ranking" if loss in _RANKS else "regression"


def _check(model: Any) -> None:
    """Refuse what CatBoost's graphs do not have.

    Raises:
        ExportError: the model has it; the error says what would work.
    """
    names = list(model.feature_names_)
    for kind, indices, way in (
        ("categorical features", model.get_cat_feature_indices(), "encode them as numbers"),
        ("text features", model.get_text_feature_indices(), "turn them into numbers with a vectorizer"),
        ("embedding features", model.get_embedding_feature_indices(), "give each of their numbers a column"),
    ):
        if indices:
            shown = ", ".join(repr(names[i]) for i in indices[:3]) + (", …" if len(indices) > 3 else "")
            raise ExportError(
                f"it was fitted on {kind} ({shown}), which CatBoost cannot write as ONNX: {way}, in training too"
            )
    policy = model.get_all_params().get("grow_policy", _SYMMETRIC)
    if policy != _SYMMETRIC:
        raise ExportError(
            f"its trees are not symmetric (grow_policy {policy}), which CatBoost cannot write as ONNX: train it with "
            f"grow_policy={_SYMMETRIC!r}"
        )
    if (loss := _loss(model)) in _NUMBERS:
        raise ExportError(
            f"its loss is {loss}, whose answers CatBoost's ONNX lacks: train a model for each number, with a loss such as RMSE "
            "or Quantile"
        )


def _estimate(model: Any, request: Request, table: TableExamples) -> Trained:
    _check(model)
    table.check(len(model.feature_names_), _names(model) if table.frame is not None else None, "the model")
    loss = _loss(model)
    probable = len(model.classes_) > 0

    kind = "Probability" if probable else "Exponent" if loss in _EXPONENTS else None
    how = {"prediction_type": kind} if kind else {}

    def ask(rows: Any) -> npt.NDArray[Any]:  # a model from a file would answer with raw scores
        got = np.asarray(model.predict(rows, **how))
        return got.reshape(-1, 1) if got.ndim == 1 else got

    answers: Answers = {"probabilities" if probable else "value": (ask, 0)}
    conversion = _estimator.conversion(answers, lambda precision: _convert(model, loss), ("float32",))
    return _estimator.Estimator(
        f"catboost {version('catboost')}", table, conversion, request.precision, request.tolerance,
        {"estimator": f"{type(model).__name__}, {loss}"},
    )  # fmt: skip


def _convert(model: Any, loss: str) -> onnx.ModelProto:
    """CatBoost's own graph with one output, in which the loss's last step is right."""
    with tempfile.TemporaryDirectory(prefix="forgo-catboost-") as folder:
        file = Path(folder) / "model.onnx"
        model.save_model(str(file), format="onnx")
        made = onnx.load(file)
    made.ir_version = _IR
    graph = made.graph
    name = graph.output[-1].name
    for node in [n for n in graph.node if n.op_type == "ZipMap"]:
        name = node.input[0]
        graph.node.remove(node)
    if loss in _APART:
        for attribute in (a for n in graph.node for a in n.attribute if a.name == "post_transform"):
            attribute.s = b"LOGISTIC"
    if loss in _EXPONENTS:
        graph.node.append(helper.make_node("Exp", [name], ["forgo_exponential"], name="forgo_exponential"))
        name = "forgo_exponential"
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", None]))
    return made


ADAPTER = Adapter(
    module=__name__,
    models="a fitted model of CatBoost",
    files="a CatBoost .cbm file",
    engines=("onnxruntime",),
    tables=True,
    is_file=_is_file,
    load=_load,
    is_model=_is_model,
    adapt=_adapt,
    means=_means,
)
