"""What people type: curl, for pictures and rows as they are, and for the Open Inference Protocol."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.servers import Server

Serve = Callable[[str], Server]
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


def curl(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, bytes]:
    """The status and the body."""
    done = subprocess.run(
        ["curl", "-sS", "-w", "%{stderr}%{http_code}", *arguments],
        cwd=cwd,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return int(done.stderr), done.stdout


def answered(*arguments: str | Path, cwd: Path | None = None) -> Any:
    status, body = curl(*arguments, cwd=cwd)
    assert status == 200, body
    return json.loads(body)


@pytest.fixture
def pictures(serve: Serve, tmp_path: Path) -> tuple[Path, list[str]]:
    """Pictures in files 0 to 2 of a folder, and their labels."""
    cases = serve("shapes").pictures()[:3]
    for i, (picture, _) in enumerate(cases):
        (tmp_path / str(i)).write_bytes(picture)
    return tmp_path, [label for _, label in cases]


def test_a_picture_as_it_is(serve: Serve, pictures: tuple[Path, list[str]]) -> None:
    folder, labels = pictures
    url = f"{serve('shapes').url}/models/shapes"
    for i, label in enumerate(labels):
        for way in (
            ["--data-binary", f"@{i}"],
            ["-H", "Content-Type: image/jpeg", "-T", str(i), "-X", "POST"],
        ):
            answer = answered(*way, url, cwd=folder)
            assert answer["classes"][0]["label"] == label
            assert answer["classes"][0]["score"] == max(c["score"] for c in answer["classes"])
        assert len(answered("--data-binary", f"@{i}", f"{url}?top=1", cwd=folder)["classes"]) == 1


def test_a_form_of_pictures(serve: Serve, pictures: tuple[Path, list[str]]) -> None:
    folder, labels = pictures
    answer = answered(
        "-F", "file=@0", "-F", "file=@1", "-F", "file=@2", f"{serve('shapes').url}/models/shapes", cwd=folder
    )
    assert [(a["file"], a["classes"][0]["label"]) for a in answer] == list(zip("012", labels, strict=True))


def test_rows_and_csv(serve: Serve, tmp_path: Path) -> None:
    server = serve("iris")
    url = f"{server.url}/models/iris"
    rows, labels = zip(*server.rows()[:4], strict=True)
    assert answered("--json", json.dumps(rows[0]), url)["classes"][0]["label"] == labels[0]
    got = answered("--json", json.dumps(rows), url)
    assert [a["classes"][0]["label"] for a in got] == list(labels)
    header = ",".join(f"input[{i}]" for i in range(4))
    table = "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"
    (tmp_path / "rows.csv").write_text(table)
    got = answered("-H", "Content-Type: text/csv", "--data-binary", "@rows.csv", url, cwd=tmp_path)
    assert [a["classes"][0]["label"] for a in got] == list(labels)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/iris/ready", {"name": "iris", "ready": True}),
        ("/v2/models/iris/versions/1/ready", {"name": "iris", "ready": True}),
    ],
)
def test_health(serve: Serve, path: str, answer: dict[str, Any]) -> None:
    assert answered(f"{serve('iris').url}{path}") == answer


def test_infer_from_a_file(serve: Serve, tmp_path: Path) -> None:
    body = """{
      "id" : "42",
      "inputs" : [
        { "name" : "a", "shape" : [ 2, 2 ], "datatype" : "FP32", "data" : [ [ 1, 2 ], [ 4, 5 ] ] },
        { "name" : "b", "shape" : [ 2, 2 ], "datatype" : "FP32", "data" : [ 1, 2, 4, 5 ] }
      ],
      "outputs" : [ { "name" : "sum" } ]
    }"""
    (tmp_path / "input.json").write_text(body)
    url = f"{serve('two').url}/v2/models/two/infer"
    output = {"name": "sum", "datatype": "FP32", "shape": [2, 2], "data": [2, 4, 8, 10]}
    for way in (
        ["-d", "@./input.json"],
        ["--json", body],
        ["--compressed", "-X", "POST", "--data-binary", "@input.json"],
    ):
        answer = answered(*way, url, cwd=tmp_path)
        assert answer == {"model_name": "two", "model_version": "1", "id": "42", "outputs": [output]}


def test_infer_from_raw_bytes(serve: Serve, tmp_path: Path) -> None:
    row = struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)
    (tmp_path / "row").write_bytes(row)
    status, body = curl(
        *("-H", "Inference-Header-Content-Length: 0", "-H", "Content-Type: application/octet-stream"),
        *("--data-binary", "@row", f"{serve('iris').url}/v2/models/iris/infer"),
        cwd=tmp_path,
    )
    assert status == 200, body
    end = len(body) - 24
    outputs = json.loads(body[:end])["outputs"]
    assert [(o["name"], o["parameters"]) for o in outputs] == [
        ("probabilities", {"binary_data_size": 12}),
        ("logits", {"binary_data_size": 12}),
    ]
    scores = struct.unpack("<3f", body[end : end + 12])
    assert scores.index(max(scores)) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["/models/other", "-d", "x"], 404, "other"),
        (["/models/shapes", "-d", "no picture"], 400, "picture"),
        (["/models/iris", "--json", "[1,2,3]"], 400, "input"),
        (["/v2/models/iris/infer", "--json", "{"], 400, "JSON"),
        (["/v2/models/iris/infer"], 405, "GET"),
        (["/v2/repository/models/iris/unload", "-X", "POST"], 403, "admin port"),
        (["/nothing"], 404, "/nothing"),
    ],
)
def test_refusals_are_json_that_says_what_is_wrong(
    serve: Serve, arguments: list[str], status: int, words: str
) -> None:
    path, *options = arguments
    got, body = curl(*options, f"{serve('iris').url}{path}")
    assert got == status, body
    assert words in json.loads(body)["error"]
