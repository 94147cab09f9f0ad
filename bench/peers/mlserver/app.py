"""A runtime of MLServer's over ONNX Runtime, in the server's process, as its guide advises for small models."""

import os
import socket
import sys
from pathlib import Path

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Digits(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/model.onnx", options)
        self.input, self.output = self.session.get_inputs()[0].name, [self.session.get_outputs()[0].name]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        answers = self.session.run(self.output, {self.input: rows})[0]
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", answers)]
        )


def free() -> str:
    with socket.create_server(("127.0.0.1", 0)) as s:
        return str(s.getsockname()[1])


if __name__ == "__main__":  # python app.py PORT
    os.environ |= {
        "MLSERVER_HTTP_PORT": sys.argv[1],
        "MLSERVER_GRPC_PORT": free(),
        "MLSERVER_METRICS_PORT": free(),
    }
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", "."])
