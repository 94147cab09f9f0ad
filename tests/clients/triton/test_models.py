"""What Triton's clients ask about the server and its models, and what only operators may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.clients.triton.conftest import KINDS, Client, Form

Connect = Callable[[Form, str], Client]
every_client = pytest.mark.parametrize("kind", list(KINDS))


def plain(answer: Any) -> Any:
    """An answer without what the clients differ in: gRPC's JSON has integers as text, and leaves zeros out."""
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items() if value not in (0, "", {}, [])}
    if isinstance(answer, list):
        return [plain(value) for value in answer]
    return int(answer) if isinstance(answer, str) and answer.lstrip("-").isdigit() else answer


@every_client
def test_health(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "iris")
    assert client.call("is_server_live") is True
    assert client.call("is_server_ready") is True
    for model, version, ready in (
        ("iris", "", True),
        ("iris", "1", True),
        ("iris", "9", False),
        ("other", "", False),
        ("../iris", "", False),
    ):
        assert client.call("is_model_ready", model, version) is ready, (model, version)


@every_client
def test_metadata(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "iris")
    server = client.ask("get_server_metadata")
    assert server["name"] == "forgo"
    assert server["version"]
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(server["extensions"])
    for version in ("", "1"):
        model = plain(client.ask("get_model_metadata", "iris", version))
        assert (model["name"], model["versions"], model["platform"]) == ("iris", [1], "onnx_onnxv1")
        assert model["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
        assert model["outputs"] == [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
        ]
    pictures = plain(connect(Form(kind), "shapes").ask("get_model_metadata", "shapes"))
    assert pictures["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1, 1]}]


@every_client
def test_metadata_is_enough_to_infer(connect: Connect, kind: str) -> None:
    """As generic clients do: no more is known of a model than what it says of itself."""
    from tritonclient.utils import triton_to_np_dtype

    client = connect(Form(kind), "sensors")
    model = plain(client.ask("get_model_metadata", "sensors"))
    inputs = {}
    for tensor in model["inputs"]:
        shape = [2 if size < 0 else size for size in tensor["shape"]]
        inputs[tensor["name"]] = np.zeros(shape, triton_to_np_dtype(tensor["datatype"]))
    result = client.infer(inputs)
    for tensor in model["outputs"]:
        assert result.as_numpy(tensor["name"]).shape == (2, *tensor["shape"][1:])


@every_client
def test_repository_index(connect: Connect, kind: str) -> None:
    index = plain(connect(Form(kind), "iris").ask("get_model_repository_index"))
    models = index if kind.startswith("http") else index["models"]
    assert {(m["name"], m["version"], m["state"]) for m in models} >= {
        ("iris", 1, "READY"),
        ("shapes", 1, "READY"),
    }


@every_client
def test_statistics_count_what_was_asked(connect: Connect, kind: str) -> None:
    client = connect(Form(kind), "iris")

    def counted() -> dict[str, Any]:
        (answer,) = plain(client.ask("get_inference_statistics", "iris", "1"))["model_stats"]
        assert answer in plain(client.ask("get_inference_statistics"))["model_stats"]
        stats = answer["inference_stats"]
        return {
            "rows": answer.get("inference_count", 0),
            **{key: stats.get(key, {}).get("count", 0) for key in ("success", "fail", "compute_infer")},
        }

    before = counted()
    rows = np.zeros((5, 4), np.float32)
    for _ in range(2):
        client.infer({"input": rows})
    with pytest.raises(InferenceServerException):
        client.infer({"wrong": rows})
    after = counted()
    assert {key: after[key] - before[key] for key in after} == {
        "rows": 10,
        "success": 2,
        "fail": 1,
        "compute_infer": 2,
    }


@every_client
@pytest.mark.parametrize("method", ["load_model", "unload_model"])
def test_models_change_on_the_admin_port_alone(connect: Connect, kind: str, method: str) -> None:
    client = connect(Form(kind), "iris")
    with pytest.raises(InferenceServerException, match="admin port") as refused:
        client.call(method, "iris")
    assert refused.value.status() == ("403" if client.form.is_http else "StatusCode.PERMISSION_DENIED")
    assert client.call("is_model_ready", "iris")


@every_client
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_trace_settings", []),
        ("update_trace_settings", []),
        ("get_log_settings", []),
        ("update_log_settings", [{"log_verbose_level": 1}]),
        ("get_system_shared_memory_status", []),
        ("register_system_shared_memory", ["region", "/key", 64]),
        ("unregister_system_shared_memory", []),
        ("get_cuda_shared_memory_status", []),
    ],
)
def test_what_is_not_spoken_is_refused(
    connect: Connect, kind: str, method: str, arguments: list[Any]
) -> None:
    client = connect(Form(kind), "iris")
    with pytest.raises(InferenceServerException) as refused:
        client.call(method, *arguments)
    assert refused.value.status() == ("404" if client.form.is_http else "StatusCode.UNIMPLEMENTED")
