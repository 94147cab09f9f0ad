"""Writes folders with a real MLflow, and the models' own answers to all rows: python save.py SITE FOLDER [torch].

SITE has MLflow's packages; the frameworks are those of the Python that runs this.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris

IRIS = load_iris(as_frame=True)
FRAME, Y = IRIS.data, IRIS.target.to_numpy()
X = FRAME.to_numpy()
MIXED = FRAME.iloc[:, :2].assign(colour=[("red", "green", "blue")[i % 3] for i in range(150)])
SOME = slice(0, 150, 30)
NO: dict[str, Any] = {"pip_requirements": []}
"""MLflow would otherwise look for packages by loading each model."""


def tables(folder: Path) -> dict[str, Any]:
    import catboost
    import lightgbm
    import mlflow
    import xgboost
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    logistic = LogisticRegression(max_iter=500).fit(X, Y)
    mlflow.sklearn.save_model(logistic, folder / "skops", input_example=X[SOME], **NO)
    encoder = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(MIXED, Y)
    mlflow.sklearn.save_model(
        pipeline, folder / "pickle", input_example=MIXED[SOME], serialization_format="cloudpickle", **NO
    )
    trees = xgboost.XGBClassifier(n_estimators=5).fit(FRAME, Y)
    mlflow.xgboost.save_model(trees, folder / "xgboost", input_example=FRAME[SOME], **NO)
    boosted = lightgbm.train(
        {"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(X, Y), 5
    )
    mlflow.lightgbm.save_model(boosted, folder / "lightgbm", input_example=X[SOME], **NO)
    cat = catboost.CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False).fit(X, Y)
    mlflow.catboost.save_model(cat, folder / "catboost", input_example=X[SOME], **NO)
    mlflow.set_tracking_uri((folder / "store").as_uri())
    with mlflow.start_run():
        mlflow.xgboost.log_model(
            trees, name="m", registered_model_name="iris", input_example=FRAME[SOME], **NO
        )
    return {
        "skops": logistic.predict_proba(X), "pickle": pipeline.predict_proba(MIXED), "xgboost": trees.predict_proba(FRAME),
        "lightgbm": boosted.predict(X), "catboost": cat.predict_proba(X), "keras": keras(folder),
    }  # fmt: skip


def keras(folder: Path) -> Any:
    import keras
    import mlflow

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")]
    )
    (folder / "keras").mkdir()  # its save_model writes the example before it makes the folder
    mlflow.keras.save_model(model, str(folder / "keras"), input_example=X[SOME].astype(np.float32), **NO)
    return model.predict(X, verbose=0)


def torch(folder: Path) -> dict[str, Any]:
    import mlflow
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), torch.nn.Softmax(1)
    ).eval()
    rows = X[SOME].astype(np.float32)
    for name, form in (("pt2", "pt2"), ("pth", "pickle")):
        mlflow.pytorch.save_model(model, folder / name, input_example=rows, serialization_format=form, **NO)
    with torch.no_grad():
        answers = model(torch.tensor(X, dtype=torch.float32)).numpy()
    return {"pt2": answers, "pth": answers}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ |= {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_ALLOW_FILE_STORE": "true"}
    sys.path.append(sys.argv[1])
    path = Path(sys.argv[2])
    made = torch(path) if sys.argv[3:] == ["torch"] else tables(path)
    np.savez(path / ("torch.npz" if sys.argv[3:] else "tables.npz"), **made)
    pd.DataFrame(MIXED).to_csv(path / "mixed.csv", index=False)
