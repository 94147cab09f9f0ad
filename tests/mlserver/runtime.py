"""ONNX Runtime as a custom runtime of MLServer, and the skews that people plant in such code.

It runs in MLServer's own environment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class OnnxRuntime(MLModel):  # type: ignore[misc]
    """A model's graph, with the skew that its settings name."""

    async def load(self) -> bool:
        self.session = onnxruntime.InferenceSession(await get_model_uri(self.settings))
        self.skew = self.settings.parameters.extra["skew"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs: dict[str, Any] = {i.name: NumpyCodec.decode_input(i) for i in payload.inputs}
        for name, x in inputs.items():
            if self.skew == "transposed":
                inputs[name] = np.ascontiguousarray(x.swapaxes(1, 2))
            elif self.skew == "mean shifted":
                inputs[name] = x - np.float32(0.05)
        names = [output.name for output in self.session.get_outputs()]
        outputs = self.session.run(names, inputs)
        if self.skew == "outputs swapped":
            outputs.reverse()
        elif self.skew == "rows mixed up":
            outputs = [np.roll(x, 1, axis=0) for x in outputs]
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            id=payload.id,
            outputs=[NumpyCodec.encode_output(name, x) for name, x in zip(names, outputs, strict=True)],
        )
