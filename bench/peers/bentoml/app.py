"""BentoML over ONNX Runtime, a worker a core."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers="cpu_count", logging={"access": {"enabled": False}})
class Model:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/model.onnx", options)
        self.name, self.output = self.session.get_inputs()[0].name, [self.session.get_outputs()[0].name]

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(self.output, {self.name: rows.astype(np.float32)})[0]
