"""FastAPI, Pillow and ONNX Runtime: a JPEG in, the five best classes out, one thread of the engine a worker.

MODEL is the bundle, whose graph normalizes pixels. FILTER is Pillow's filter; SHORTER, where it is set, is the side that
the shorter one is brought to before the middle is cut out.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response
from PIL import Image

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/model.onnx", options)
name, output = session.get_inputs()[0].name, [session.get_outputs()[0].name]
first = session.get_inputs()[0].shape[1] == 3  # channels
height, width = session.get_inputs()[0].shape[2:] if first else session.get_inputs()[0].shape[1:3]
labels = json.loads(Path(os.environ["MODEL"], "forgo.json").read_text())["labels"]
way = Image.Resampling[os.environ["FILTER"]]
shorter = int(os.environ.get("SHORTER", 0))
app = FastAPI()


def prepared(image: Image.Image) -> np.ndarray:
    image = image.convert("RGB")
    if shorter:
        short = min(image.size)
        # torchvision's Resize and CenterCrop
        size = [shorter if side == short else int(shorter * side / short) for side in image.size]
        image = image.resize(size, way)
        left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    else:
        image = image.resize((width, height), way)
    pixels = np.asarray(image, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) if first else pixels)[None]


@app.post("/classify")
async def classify(request: Request) -> Response:
    with Image.open(io.BytesIO(await request.body())) as image:
        scores = session.run(output, {name: prepared(image)})[0][0]
    best = np.argsort(-scores)[:5].tolist()
    body = orjson.dumps({"classes": [{"label": labels[i], "score": float(scores[i])} for i in best]})
    return Response(body, media_type="application/json")
