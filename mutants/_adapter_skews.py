"""Skews planted in the adapters of tables' models, in a process of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from mutants._plant import export_apart


@dataclass(frozen=True)
class AdapterSkew:
    """One change of an adapter's source."""

    name: str
    model: str
    """Which of mutants._adapters is exported."""
    file: str = ""
    """Of forgo.exporting, whose text is replaced."""
    old: str = ""
    new: str = ""
    stage: str = field(default="model", init=False)


def attack(skew: AdapterSkew, folder: Path) -> tuple[str, str]:
    """Export with the skew, and say where that is refused."""
    return export_apart(sys.executable, "_adapters", [skew.model, skew.file, skew.old, skew.new], folder)


_EXP = 'helper.make_node("Exp", [name]'
_NO_EXP = 'helper.make_node("Identity", [name]'

ADAPTER_SKEWS = [
    AdapterSkew("CatBoost: the exponential of counts lost", "counts", "_catboost", _EXP, _NO_EXP),
    AdapterSkew("CatBoost: a softmax for each label's sigmoid", "labels", "_catboost", 'attribute.s = b"LOGISTIC"', 'attribute.s = b"SOFTMAX"'),
    AdapterSkew("MLflow: the exponential of counts lost", "mlflow", "_catboost", _EXP, _NO_EXP),
    AdapterSkew("MLflow: columns of the example in another order", "mlflow", "_table_graph", "        made.append(at)\n", "        made.insert(0, at)\n"),
    AdapterSkew("XGBoost: categories of the other side", "categories", "_xgboost_trees", "chosen[n], right, left", "chosen[n], left, right"),
    AdapterSkew("XGBoost: categories numbered in another order", "categories", "_table_graph", "float(i) for i in range(len(values))", "float(i) for i in range(len(values))[::-1]"),
    AdapterSkew("LightGBM: a missing number sent the other way", "missing", "_lightgbm_trees", 'node["threshold"], node["default_left"]', 'node["threshold"], not node["default_left"]'),
    AdapterSkew("LightGBM: less for less or equal", "missing", "_lightgbm_trees", '"BRANCH_LEQ", threshold', '"BRANCH_LT", threshold'),
    AdapterSkew("ONNX: labels in another order than ZipMap's", "zipmap", "_zipmap", 'held["classlabels_strings"].strings]', 'held["classlabels_strings"].strings[::-1]]'),
    AdapterSkew("scikit-learn: less for less or equal at thresholds that no example is on", "between", "_hist_trees", 'order[feature],\n                    "BRANCH_LEQ",', 'order[feature],\n                    "BRANCH_LT",'),
]  # fmt: skip
