"""FastAPI over the training framework itself: orjson both ways, one thread a worker.

MODEL is what the framework saved: a .joblib of scikit-learn or a .ubj of XGBoost.
"""

import os
from pathlib import Path

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response

path = Path(os.environ["MODEL"])
if path.suffix == ".ubj":
    import xgboost

    booster = xgboost.Booster(model_file=path)
    booster.set_param({"nthread": 1})

    def probabilities(rows: np.ndarray) -> np.ndarray:
        second = booster.inplace_predict(rows)
        return np.stack([1 - second, second], axis=1)

else:
    import joblib

    probabilities = joblib.load(path).predict_proba
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    rows = np.array(orjson.loads(await request.body())["rows"], np.float32)
    body = orjson.dumps({"answers": probabilities(rows)}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")
