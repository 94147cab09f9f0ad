"""LitServe over ONNX Runtime, a worker a core: python app.py PORT CORES."""

import os
import sys

import litserve
import numpy as np
import onnxruntime


class Model(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/model.onnx", options)
        self.name, self.output = self.session.get_inputs()[0].name, [self.session.get_outputs()[0].name]

    def decode_request(self, request):
        return np.array(request["rows"], np.float32)

    def predict(self, x):
        return self.session.run(self.output, {self.name: x})[0]

    def encode_response(self, output):
        return {"answers": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
