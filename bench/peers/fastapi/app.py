"""FastAPI over ONNX Runtime, written for speed: orjson both ways, one thread of the engine a worker."""

import os

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/model.onnx", options)
name, output = session.get_inputs()[0].name, [session.get_outputs()[0].name]
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    rows = np.array(orjson.loads(await request.body())["rows"], np.float32)
    answers = session.run(output, {name: rows})[0]
    body = orjson.dumps({"answers": answers}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")
