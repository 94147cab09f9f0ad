"""Sessions of ONNX Runtime: the one module that imports it."""

from __future__ import annotations

import onnxruntime

# A caller who imported onnxruntime before forgo loaded it with its telemetry on (see forgo/__init__.py).
onnxruntime.disable_telemetry_events()

VERSION: str = onnxruntime.__version__


def session(graph: bytes, threads: int = 0, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU.

    Args:
        graph: a serialized ONNX model.
        threads: how many one run may use; 0 leaves it to ONNX Runtime.
        optimize: whether ONNX Runtime may put other nodes in the place of the graph's.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised, and said by their callers
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
