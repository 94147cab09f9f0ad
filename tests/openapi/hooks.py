"""What schemathesis cannot know of the document's operations: pictures, and sizes that must agree.

JSON Schema can say that data is a list of numbers, not that it has as many as ``shape`` asks for,
nor that a string is a picture. Requests that are meant to be good get that right here, so that
every one of them must be answered. Requests that are meant to be bad are sent as they are.
"""

from __future__ import annotations

import base64
import json
import os
import struct
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.adapter import responses
from schemathesis.transport.serialization import Binary

BUNDLE = Path(os.environ["FORGO_TEST_BUNDLE"])
MANIFEST = json.loads((BUNDLE / "forgo.json").read_text())
CASES = [
    (case["content_type"], (BUNDLE / case["input"]).read_bytes()) for case in MANIFEST["golden"]["cases"]
]
ANY = CASES[0][1]
HEADER = "Inference-Header-Content-Length"

for kind in {kind for kind, _ in CASES if kind.startswith("image/")}:
    pictures = [raw for other, raw in CASES if other == kind]
    schemathesis.openapi.media_type(kind, st.sampled_from(pictures))

# 4.32.5 rewrites prefixItems for drafts before 2020-12, then reads the result as 2020-12.
rewrite = responses.to_json_schema
responses.to_json_schema = lambda *args, **options: rewrite(*args, **options, convert_prefix_items=False)


@schemathesis.deserializer("application/json")
def read(_: Any, response: Any) -> Any:
    """JSON in which NaN and the infinities, which its schema cannot say, are numbers."""
    return json.loads(response.content, parse_constant=lambda _: 0.0)


@schemathesis.deserializer("application/octet-stream")
def read_binary(_: Any, response: Any) -> Any:
    """The JSON with which an answer with binary tensors begins."""
    return json.loads(response.content[: int(response.headers[HEADER.lower()][0])])


@schemathesis.hook
def before_call(_: Any, case: Any, **__: Any) -> None:
    """Make what is meant to be good agree with itself."""
    if case.media_type != "application/octet-stream" and str(case.headers.get(HEADER)).isdigit():
        del case.headers[HEADER]  # it is for binary bodies
    if not case.meta.generation.mode.is_positive:
        return
    if case.media_type == "application/octet-stream":
        case.headers[HEADER] = "0"
        case.body = ANY if "picture" in MANIFEST else struct.pack("<4f", *json.loads(ANY))
    if case.media_type == "multipart/form-data":
        case.body = {name: [Binary(ANY) for _ in files] for name, files in case.body.items()}
    elif case.media_type == "text/csv":
        case.body = table(json.loads(ANY))
    elif case.media_type == "application/json" and isinstance(case.body, dict):
        case.body = fitting(case.body)
    case._record_starting_state()  # as good as it was: of binary bodies schemathesis could not tell


def table(row: list[float]) -> str:
    """A CSV of one row."""
    header = ",".join(f"{MANIFEST['inputs'][0]['name']}[{i}]" for i in range(len(row)))
    return header + "\n" + ",".join(map(str, row))


def fitting(value: Any) -> Any:
    """Pictures for base64; shapes that are those of the data; no output twice."""
    if isinstance(value, list):
        return [fitting(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() >= {"name", "datatype", "shape", "data"}:
        return tensor(value)
    value = {name: fitting(v) for name, v in value.items()}
    if "b64" in value:
        value["b64"] = base64.b64encode(ANY).decode()
    if value.get("outputs"):
        value["outputs"] = list({o["name"]: o for o in value["outputs"]}.values())
    return value


def tensor(value: dict[str, Any]) -> dict[str, Any]:
    """An input of the Open Inference Protocol."""
    data, rest = value["data"], value["shape"][1:]
    nested = bool(data) and isinstance(data[0], list)
    if value["datatype"] == "BYTES":
        picture = base64.b64encode(ANY).decode()
        data = [[picture] if nested else picture for _ in data]
        return {**value, "data": data, "shape": [len(data), 1] if nested else [len(data)]}
    size = 1
    for n in rest:
        size *= n
    if not nested:
        data = data[: len(data) // size * size]
    return {**value, "data": data, "shape": [len(data) if nested else len(data) // size, *rest]}
