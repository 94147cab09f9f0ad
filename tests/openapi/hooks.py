"""What schemathesis cannot know of the document's operations: pictures, and sizes that must agree.

JSON Schema can say that data is a list of numbers, not that it has as many as ``shape`` asks for,
nor that a string is a picture. Requests that are meant to be good get that right here, so that
every one of them must be answered. Requests that are meant to be bad are sent as they are.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.adapter import responses
from schemathesis.transport.serialization import Binary

HEADER = "Inference-Header-Content-Length"
# By element type: the inference protocol's name, a value, and its bytes.
ELEMENTS: dict[str, tuple[str, Any, bytes]] = {
    "float32": ("FP32", 0.5, struct.pack("<f", 0.5)),
    "int64": ("INT64", 1, struct.pack("<q", 1)),
    "bool": ("BOOL", True, b"\1"),
    "string": ("BYTES", "text", struct.pack("<I", 4) + b"text"),
}

LINES = ("application/x-ndjson", "application/jsonl")
ARRAYS = {"float32": ("<f4", ELEMENTS["float32"][2]), "int64": ("<i8", ELEMENTS["int64"][2]), "bool": ("|b1", b"\1"),
          "string": ("<U4", "text".encode("utf-32-le"))}  # fmt: skip


class Model:
    """One of the served models, with requests that it takes."""

    def __init__(self, bundle: Path) -> None:
        manifest = json.loads((bundle / "forgo.json").read_text())
        self.inputs = {i["name"]: (i["dtype"], i["shape"][1:]) for i in manifest["inputs"]}
        raw = [
            (bundle / c["input"]).read_bytes() for c in manifest["golden"]["cases"] if "picture" in manifest
        ]
        self.beside = "picture" in manifest and len(self.inputs) > 1
        self.pictures = [base64.b64decode(json.loads(r)["image"]["b64"]) for r in raw] if self.beside else raw
        if self.beside:
            del self.inputs[manifest["picture"]["input"]]

    def row(self) -> dict[str, Any]:
        """One row, by the names of the inputs."""

        def nested(value: Any, shape: list[int]) -> Any:
            return [nested(value, shape[1:]) for _ in range(shape[0])] if shape else value

        row = {name: nested(ELEMENTS[dtype][1], shape) for name, (dtype, shape) in self.inputs.items()}
        if self.beside:
            row["image"] = {"b64": base64.b64encode(self.pictures[0]).decode()}
        return row

    def file(self) -> bytes:
        """What a form's file may hold."""
        return json.dumps(self.row()).encode() if self.beside or not self.pictures else self.pictures[0]

    def table(self) -> str:
        """A CSV of one row."""
        cells = {}
        for name, (dtype, shape) in self.inputs.items():
            n = math.prod(shape)
            for i in range(n):
                cells[name if n == 1 else f"{name}[{i}]"] = str(ELEMENTS[dtype][1])
        return ",".join(cells) + "\n" + ",".join(cells.values())

    def lines(self) -> bytes:
        """Two rows, each a line of JSON."""
        picture = {"b64": base64.b64encode(self.pictures[0]).decode()} if self.pictures else None
        row = self.row() if self.beside or picture is None else {"image": picture}
        return "\n".join([json.dumps(row)] * 2).encode()

    def arrays(self) -> dict[str, bytes]:
        """A file of NumPy for each input, with one row."""
        files = {}
        for name, (dtype, shape) in self.inputs.items():
            kind, data = ARRAYS[dtype]
            sizes = ", ".join(map(str, [1, *shape])) + ","
            head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}\n".encode()
            files[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data * math.prod(shape)
        return files

    def archive(self) -> bytes:
        """The same in one archive."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as z:
            for name, data in self.arrays().items():
                z.writestr(f"{name}.npy", data)
        return packed.getvalue()

    def binary(self) -> tuple[int, bytes]:
        """A request with binary tensors, and the length of its JSON."""
        tensors = {name: (*ELEMENTS[dtype], shape) for name, (dtype, shape) in self.inputs.items()}
        tail = {name: raw * math.prod(shape) for name, (_, _, raw, shape) in tensors.items()}
        if self.pictures:
            tensors = {**(tensors if self.beside else {}), "image": ("BYTES", None, b"", [])}
            tail["image"] = struct.pack("<I", len(self.pictures[0])) + self.pictures[0]
        inputs = [
            {"name": name, "datatype": datatype, "shape": [1, *shape], "parameters": {"binary_data_size": len(tail[name])}}
            for name, (datatype, _, _, shape) in tensors.items()
        ]  # fmt: skip
        head = json.dumps({"inputs": inputs}).encode()
        return len(head), head + b"".join(tail[name] for name in tensors)

    def fitting(self, value: Any) -> Any:
        """Give shapes the sizes of their data, inputs one batch, base64 pictures; no output twice."""
        if isinstance(value, list):
            return [self.fitting(v) for v in value]
        if not isinstance(value, dict):
            return value
        value = {name: self.fitting(v) for name, v in value.items()}
        if "b64" in value:
            value["b64"] = base64.b64encode(self.pictures[0] if self.pictures else self.file()).decode()
        if value.get("outputs"):
            value["outputs"] = list({o["name"]: o for o in value["outputs"]}.values())
        inputs = value.get("inputs")
        if isinstance(inputs, dict):
            if not all(isinstance(column, list) for column in inputs.values()):
                return value  # bare values: one row
            least = min(map(len, inputs.values()))
            value["inputs"] = {name: column[:least] for name, column in inputs.items()}
        elif isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) and "datatype" in inputs[0]:
            inputs = list({i["name"]: i for i in inputs}.values())
            least = min(self.rows(i) for i in inputs)
            value["inputs"] = [self.tensor(i, least) for i in inputs]
        return value

    def rows(self, tensor: dict[str, Any]) -> int:
        """How many rows the data of an input would fill."""
        nested = tensor["data"] and isinstance(tensor["data"][0], list)
        return len(tensor["data"]) // (1 if nested else math.prod(tensor["shape"][1:]))

    def tensor(self, tensor: dict[str, Any], rows: int) -> dict[str, Any]:
        """An input cut to so many rows."""
        data, rest = tensor["data"], tensor["shape"][1:]
        nested = bool(data) and isinstance(data[0], list)
        if self.pictures and tensor["datatype"] == "BYTES":
            picture = base64.b64encode(self.pictures[0]).decode()
            data, rest = [[picture] if nested else picture for _ in data], [1] if nested else []
        return {**tensor, "data": data[: rows if nested else rows * math.prod(rest)], "shape": [rows, *rest]}


MODELS = {path.stem: Model(path) for path in map(Path, os.environ["FORGO_TEST_BUNDLES"].split(os.pathsep))}

for kind, start in {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}.items():
    pictures = [p for model in MODELS.values() for p in model.pictures if p.startswith(start)]
    schemathesis.openapi.media_type(kind, st.sampled_from(pictures))

for kind in ("application/x-npy", "application/x-npz"):
    schemathesis.openapi.media_type(kind, st.binary(max_size=64))


def as_it_is(_: Any, value: Any) -> bytes:
    """A body that is sent as it is; schemathesis cannot write lines of JSON."""
    return value if isinstance(value, bytes) else str(value).encode()


schemathesis.serializer(*LINES)(as_it_is)

# 4.32.5 rewrites prefixItems for drafts before 2020-12, then reads the result as 2020-12.
rewrite = responses.to_json_schema
responses.to_json_schema = lambda *args, **options: rewrite(*args, **options, convert_prefix_items=False)


def read(_: Any, response: Any) -> Any:
    """JSON in which NaN and the infinities, which its schema cannot say, are numbers."""
    return json.loads(response.content, parse_constant=lambda _: 0.0)


def read_binary(_: Any, response: Any) -> Any:
    """The JSON with which an answer with binary tensors begins."""
    return json.loads(response.content[: int(response.headers[HEADER.lower()][0])])


def before_call(_: Any, case: Any, **__: Any) -> None:
    """Make what is meant to be good agree with itself."""
    if case.media_type != "application/octet-stream" and str(case.headers.get(HEADER)).isdigit():
        del case.headers[HEADER]  # it is for binary bodies
    if re.fullmatch(r"\d{1,8}[HMSmun]", str(case.headers.get("Grpc-Timeout"))):
        del case.headers["Grpc-Timeout"]  # nobody waits for nanoseconds
    named = re.search(r"/models/([^/:]+)", case.path)
    if not case.meta.generation.mode.is_positive or named is None or named[1] not in MODELS:
        return
    model = MODELS[named[1]]
    match case.media_type:
        case "application/octet-stream":
            length, case.body = model.binary()
            case.headers[HEADER] = str(length)
        case "multipart/form-data":
            files = case.body["file"]
            case.body = {
                "file": [Binary(model.file()) for _ in (files if isinstance(files, list) else [files])]
            }
        case "text/csv":
            case.body = model.table()
        case kind if kind in LINES:
            case.body = model.lines()
        case "application/x-npy":
            case.body = next(iter(model.arrays().values()))
        case "application/x-npz":
            case.body = model.archive()
        case "application/json":
            case.body = model.fitting(case.body)
    case._record_starting_state()  # as good as it was: of binary bodies schemathesis could not tell


schemathesis.deserializer("application/json")(read)
schemathesis.deserializer("application/octet-stream")(read_binary)
schemathesis.hook(before_call)
