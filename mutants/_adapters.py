"""Exports a model of a table with one skew planted: ``python -m mutants._adapters SKEW FOLDER``.

It prints the stage that refuses the bundle, and the message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import forgo
from forgo._errors import ExportError, ParityError
from forgo.exporting import _pipeline, _process
from forgo.exporting._adapter import Adapter
from forgo.exporting._request import Request, Result
from mutants._plant import plant

_ROWS = np.random.default_rng(3).normal(size=(120, 3)).round(2)
_COUNTS = np.random.default_rng(4).poisson(np.exp(_ROWS[:, 0]))


def _counts(folder: Path) -> dict[str, Any]:
    import catboost

    frame = pd.DataFrame(_ROWS, columns=["age", "income", "spend"])
    model = catboost.CatBoostRegressor(
        loss_function="Poisson", iterations=20, verbose=0, allow_writing_files=False
    )
    return {"model": model.fit(frame, _COUNTS), "examples": frame}


def _labels(folder: Path) -> dict[str, Any]:
    import catboost

    model = catboost.CatBoostClassifier(
        loss_function="MultiLogloss", iterations=20, verbose=0, allow_writing_files=False
    )
    return {"model": model.fit(_ROWS, np.c_[_ROWS[:, 0] > 0, _ROWS[:, 1] > 0]), "examples": _ROWS}


def _mlflow(folder: Path) -> dict[str, Any]:
    """A folder as MLflow writes it."""
    made = _counts(folder)
    path = folder / "mlflow"
    path.mkdir()
    made["model"].save_model(str(path / "model.cb"))
    example = {"columns": list(made["examples"]), "data": _ROWS.tolist()}
    (path / "input_example.json").write_text(json.dumps(example))
    (path / "MLmodel").write_text(
        "flavors: {catboost: {data: model.cb, model_type: CatBoostRegressor, save_format: cbm}}\n"
        "saved_input_example_info: {artifact_path: input_example.json, type: dataframe}\n"
    )
    return {"model": path}


def _categories(folder: Path) -> dict[str, Any]:
    import xgboost

    city = pd.Categorical(np.array(["Bergen", "Lima", "Oslo", "Rome"])[_COUNTS % 4])
    frame = pd.DataFrame({"age": _ROWS[:, 0], "city": city})
    model = xgboost.XGBRegressor(n_estimators=10, enable_categorical=True, max_cat_to_onehot=1)
    return {"model": model.fit(frame, _ROWS[:, 1] + _COUNTS % 4 % 3), "examples": frame}


def _missing(folder: Path) -> dict[str, Any]:
    """Trees of numbers that may be missing; the rows synthesized beside the examples lie on thresholds."""
    import lightgbm

    rows = _ROWS.astype(np.float32)
    rows[::5, 0] = np.nan
    model = lightgbm.LGBMRegressor(n_estimators=10, min_child_samples=2, verbose=-1)
    return {"model": model.fit(rows, np.nan_to_num(_ROWS[:, 0]) + _COUNTS), "examples": rows}


def _between(folder: Path) -> dict[str, Any]:
    """Trees whose thresholds lie between the examples, so that only synthesized rows lie on them."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = _ROWS.astype(np.float32)
    model = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    return {"model": model.fit(rows, rows[:, 0] > 0), "examples": rows}


def _zipmap(folder: Path) -> dict[str, Any]:
    """A file as skl2onnx writes it unless told otherwise: its answers are maps."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rows = _ROWS.astype(np.float32)
    model = LogisticRegression().fit(rows, np.array(["Lima", "Oslo", "Rome"])[_COUNTS % 3])
    path = folder / "zipmap.onnx"
    path.write_bytes(to_onnx(model, rows[:1]).SerializeToString())
    return {"model": path, "examples": rows}


def _here(adapter: Adapter, model: Path, request: Request) -> Result:
    """Export a file in this process, where the skew is planted."""
    return _pipeline.run(*adapter.load(model, request))


MODELS = {
    "counts": _counts, "labels": _labels, "mlflow": _mlflow, "categories": _categories, "between": _between,
    "missing": _missing, "zipmap": _zipmap,
}  # fmt: skip


def main() -> None:
    """Plant, export, and say what came of it."""
    name, file, old, new = json.loads(sys.argv[1])
    folder = Path(sys.argv[2])
    given = MODELS[name](folder)
    if file:
        plant(file, old, new)
    _process.export_file = _here
    stage, message = "accepted", ""
    try:
        forgo.export(given.pop("model"), folder / "m.forgo", **given)
    except ParityError as e:
        stage, message = e.stage, str(e).rpartition("stage ")[2]
    except ExportError as e:
        stage, message = "elsewhere", str(e)
    print(json.dumps([stage, message]))


if __name__ == "__main__":
    main()
