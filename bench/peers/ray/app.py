"""Ray Serve over ONNX Runtime, a replica a core: python app.py PORT CORES."""

import os
import signal
import sys

import numpy as np
import onnxruntime
import ray
from ray import serve


@serve.deployment(num_replicas=int(sys.argv[2]), ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=64)
class Digits:
    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model + "/model.onnx", options)
        self.name, self.output = self.session.get_inputs()[0].name, [self.session.get_outputs()[0].name]

    async def __call__(self, request):
        rows = np.array((await request.json())["rows"], np.float32)
        return {"answers": self.session.run(self.output, {self.name: rows})[0].tolist()}


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Digits.bind(os.environ["MODEL"]), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
