"""Writes folders with a real MLflow, and the models' own answers to all rows: python save.py SITE FOLDER [torch|tensors].

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


def tensors(folder: Path) -> dict[str, Any]:
    """Models of tensors, with all rows and the models' own answers."""
    import mlflow
    import onnx
    import onnxruntime
    import tensorflow as tf
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 4, 3)).astype(np.float32)
    counts = rng.integers(-3, 9, 40)
    kernel = rng.normal(size=(12, 40)).astype(np.float32)

    class Scores(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(kernel[:, :5])

        @tf.function(input_signature=[tf.TensorSpec((None, 4, 3), tf.float32, name="steps")])  # type: ignore[untyped-decorator]
        def __call__(self, steps: Any) -> Any:
            return {"scores": tf.nn.softmax(tf.reshape(steps, (-1, 12)) @ self.kernel)}

    module = Scores()
    mlflow.tensorflow.save_model(module, folder / "tensorflow", input_example=rows[:8], **NO)

    values = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["steps"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["product"]),
            helper.make_node("Cast", ["count"], ["factor"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["product", "factor"], ["scores"]),
        ],
        "steps",
        [values("steps", TensorProto.FLOAT, ["n", 4, 3]), values("count", TensorProto.INT64, ["n", 1])],
        [values("scores", TensorProto.FLOAT, ["n", 40])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()
    answers = onnxruntime.InferenceSession(data).run(None, {"steps": rows, "count": counts[:, None]})[0]
    example = {"steps": rows[:8], "count": counts[:8, None]}
    # MLflow moves the weights that it is given to another file.
    mlflow.onnx.save_model(onnx.ModelProto.FromString(data), folder / "onnx", input_example=example, **NO)
    mlflow.set_tracking_uri((folder / "store").as_uri())
    with mlflow.start_run() as run:
        model = onnx.ModelProto.FromString(data)
        mlflow.onnx.log_model(model, name="m", input_example=(example, {"unused": 1}), **NO)
    return {
        "steps": rows, "count": counts[:, None], "run": run.info.run_id, "onnx": answers,
        "tensorflow": module(rows)["scores"].numpy(),
    }  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ |= {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_ALLOW_FILE_STORE": "true"}
    sys.path.append(sys.argv[1])
    path = Path(sys.argv[2])
    kind = sys.argv[3] if sys.argv[3:] else "tables"
    made = {"torch": torch, "tensors": tensors, "tables": tables}[kind](path)
    np.savez(path / f"{kind}.npz", **made)
    pd.DataFrame(MIXED).to_csv(path / "mixed.csv", index=False)
