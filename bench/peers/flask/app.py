"""Flask and Keras as they are usually put together: ``/predict`` by model.predict, ``/call`` by model(x)."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from flask import Flask, request

model = keras.saving.load_model(os.environ["MODEL"].removesuffix(".forgo") + ".keras")
app = Flask(__name__)


@app.post("/predict")
def predict():
    rows = np.array(request.get_json()["rows"], np.float32)
    return {"answers": model.predict(rows, verbose=0).tolist()}


@app.post("/call")
def call():
    rows = np.array(request.get_json()["rows"], np.float32)
    return {"answers": np.asarray(model(rows, training=False)).tolist()}
