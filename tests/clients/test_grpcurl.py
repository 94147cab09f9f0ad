"""grpcurl: the protocol over gRPC as people type it, with and without its .proto file."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.servers import Server
from tests.conftest import ROOT

Serve = Callable[[str], Server]
pytestmark = pytest.mark.slow  # grpcurl is built where it is not yet
SERVICE = "inference.GRPCInferenceService"


@dataclass(frozen=True)
class Said:
    code: int  # 64 and the gRPC code where the call failed
    out: str
    err: str


@pytest.fixture(scope="session")
def grpcurl() -> Callable[..., Said]:
    """Run grpcurl, of the version in go.tool.mod."""
    found = subprocess.run(
        ["go", "tool", "-modfile=go.tool.mod", "-n", "grpcurl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    def run(*arguments: str, **message: Any) -> Said:
        done = subprocess.run(
            [
                found.stdout.strip(),
                "-plaintext",
                *(["-d", json.dumps(message)] if message else []),
                *arguments,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def test_reflection_lists_and_describes(serve: Serve, grpcurl: Callable[..., Said]) -> None:
    at = serve("iris").grpc
    services = grpcurl(at, "list").out.split()
    assert {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(services)
    methods = grpcurl(at, "list", SERVICE).out.split()
    assert {
        f"{SERVICE}.{name}" for name in ("ServerLive", "ModelReady", "ModelMetadata", "ModelInfer")
    } <= set(methods)
    described = grpcurl(at, "describe", f"{SERVICE}.ModelInfer").out
    assert "( .inference.ModelInferRequest ) returns ( .inference.ModelInferResponse )" in described
    assert (
        "repeated bytes raw_input_contents = 7;"
        in grpcurl(at, "describe", ".inference.ModelInferRequest").out
    )


@pytest.mark.parametrize(
    ("method", "message", "answer"),
    [
        ("grpc.health.v1.Health/Check", {}, {"status": "SERVING"}),
        ("grpc.health.v1.Health/Check", {"service": SERVICE}, {"status": "SERVING"}),
        (f"{SERVICE}/ServerLive", {}, {"live": True}),
        (f"{SERVICE}/ServerReady", {}, {"ready": True}),
        (f"{SERVICE}/ModelReady", {"name": "iris"}, {"ready": True}),
        (f"{SERVICE}/ModelReady", {"name": "other"}, {}),
        (
            f"{SERVICE}/ModelMetadata",
            {"name": "iris", "version": "1"},
            {
                "name": "iris",
                "versions": ["1"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "input", "datatype": "FP32", "shape": ["-1", "4"]}],
                "outputs": [
                    {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "3"]},
                    {"name": "logits", "datatype": "FP32", "shape": ["-1", "3"]},
                ],
            },
        ),
    ],
)
def test_calls(
    serve: Serve, grpcurl: Callable[..., Said], method: str, message: dict[str, Any], answer: dict[str, Any]
) -> None:
    ways: list[list[str]] = [[]]
    if method.startswith(SERVICE):
        ways.append(["-import-path", "spec/proto", "-proto", "open_inference_grpc.proto"])
    for proto in ways:
        said = grpcurl(*proto, serve("iris").grpc, method, **message)
        assert (said.code, json.loads(said.out)) == (0, answer), said.err


TYPED = {"binary_data_output": {"bool_param": False}}
A, B = [1.5, -2.0], [10.0, 0.25]
SUM = [a + b for a, b in zip(A, B, strict=True)]


def raw(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def test_infer_with_contents_and_raw(serve: Serve, grpcurl: Callable[..., Said]) -> None:
    at = serve("two").grpc
    tensor = {"datatype": "FP32", "shape": [1, 2]}
    common: dict[str, Any] = {"model_name": "two", "id": "42", "outputs": [{"name": "sum"}]}
    head = {"modelName": "two", "modelVersion": "1", "id": "42"}
    output = {"name": "sum", "datatype": "FP32", "shape": ["1", "2"]}
    said = grpcurl(
        at,
        f"{SERVICE}/ModelInfer",
        **common,
        inputs=[
            {"name": "a", **tensor, "contents": {"fp32_contents": A}},
            {"name": "b", **tensor, "contents": {"fp32_contents": B}},
        ],
    )
    assert json.loads(said.out) == {**head, "outputs": [output], "rawOutputContents": [raw(SUM)]}
    said = grpcurl(
        at,
        f"{SERVICE}/ModelInfer",
        **common,
        inputs=[{"name": "a", **tensor}, {"name": "b", **tensor}],
        raw_input_contents=[raw(A), raw(B)],
        parameters=TYPED,
    )
    assert json.loads(said.out) == {**head, "outputs": [{**output, "contents": {"fp32Contents": SUM}}]}


def test_encoded_pictures(serve: Serve, grpcurl: Callable[..., Said]) -> None:
    server = serve("shapes")
    pictures = server.pictures()[:3]
    contents = {"bytes_contents": [base64.b64encode(picture).decode() for picture, _ in pictures]}
    said = grpcurl(
        server.grpc,
        f"{SERVICE}/ModelInfer",
        model_name="shapes",
        inputs=[{"name": "image", "datatype": "BYTES", "shape": [len(pictures)], "contents": contents}],
        outputs=[{"name": "probabilities"}],
        parameters=TYPED,
    )
    scores = json.loads(said.out)["outputs"][0]["contents"]["fp32Contents"]
    labels = server.manifest["labels"]
    rows = [scores[i : i + len(labels)] for i in range(0, len(scores), len(labels))]
    assert [labels[row.index(max(row))] for row in rows] == [label for _, label in pictures]


@pytest.mark.parametrize(
    ("method", "message", "code", "words"),
    [
        (f"{SERVICE}/ModelMetadata", {"name": "other"}, "NotFound", '"other"'),
        (f"{SERVICE}/ModelInfer", {"model_name": "iris"}, "InvalidArgument", '"input" FP32[-1 4]'),
        (f"{SERVICE}/RepositoryModelUnload", {"model_name": "iris"}, "PermissionDenied", "admin port"),
        ("grpc.health.v1.Health/Check", {"service": "other"}, "NotFound", "unknown service"),
    ],
)
def test_refusals(
    serve: Serve, grpcurl: Callable[..., Said], method: str, message: dict[str, Any], code: str, words: str
) -> None:
    said = grpcurl(serve("iris").grpc, method, **message)
    assert said.code > 64
    assert f"Code: {code}" in said.err
    assert words in said.err


def test_operators_ask_on_the_admin_port(serve: Serve, grpcurl: Callable[..., Said]) -> None:
    said = grpcurl(serve("iris").admin, f"{SERVICE}/RepositoryIndex")
    assert "iris" in {model["name"] for model in json.loads(said.out)["models"]}
