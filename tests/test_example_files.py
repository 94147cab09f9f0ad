"""Examples in files of every form that export takes."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forgo
from forgo.exporting._arguments import is_table, split_examples
from forgo.exporting._examples import from_cells, from_rows
from forgo.exporting._model import TensorInfo
from forgo.exporting._rows import read_examples
from tests.conftest import BUNDLES

PICTURE = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))[0]
INPUTS = [
    TensorInfo("size", "float32", (None, 2)),
    TensorInfo("rooms", "int64", (None,)),
    TensorInfo("kind", "string", (None,)),
]
WANT: dict[str, list[Any]] = {"size": [[1.5, -2], [0, 1e3]], "rooms": [3, 4], "kind": ["flat, old", "007"]}


def rows(path: Path) -> dict[str, Any]:
    """The rows of a file as the model takes them, told by what a golden case's raw input says."""
    read = read_examples(path)
    _, _, given = split_examples(read)
    assert given is not None
    made = from_rows(from_cells(given, INPUTS) if is_table(read) else given, INPUTS)
    return {e.name: [json.loads(x.raw)[e.name] for x in made] for e in INPUTS}


def test_rows_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{name: values[i] for name, values in WANT.items()} for i in range(2)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "r.csv").write_bytes(
        b'\xef\xbb\xbfkind,size[1], rooms ,size[0]\r\n"flat, old",-2,3, 1.5 \r\n007,1e3,4,0\r\n'
    )
    np.savez(tmp_path / "r.npz", **{n: np.array(v) for n, v in WANT.items()})  # type: ignore[arg-type]
    (tmp_path / "each").mkdir()
    for i, line in enumerate(lines):
        (tmp_path / "each" / f"{i}.json").write_text(json.dumps(line))
    for name in ("r.jsonl", "r.csv", "r.npz", "each"):
        assert rows(tmp_path / name) == WANT, name
    assert rows(tmp_path / "each" / "1.json") == {n: v[1:] for n, v in WANT.items()}

    class Stdin:
        buffer = io.BytesIO((tmp_path / "r.jsonl").read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert rows(Path("-")) == WANT


def test_bare_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.eye(3))
    np.savez(tmp_path / "r.npz", np.eye(3))
    for name in ("r.npy", "r.npz"):
        np.testing.assert_array_equal(read_examples(tmp_path / name)[""], np.eye(3))  # type: ignore[call-overload]


def test_pictures_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(PICTURE.read_bytes())
    b64 = base64.b64encode(PICTURE.read_bytes()).decode()
    (tmp_path / "p.jsonl").write_text(f'{{"file": "p.jpg"}}\n{{"b64": "{b64}"}}\n')
    (tmp_path / "q.jsonl").write_text(f'{{"image": {{"b64": "{b64}"}}, "rooms": 3}}')
    for examples, name in (
        (tmp_path / "p.jpg", ""),
        (tmp_path, ""),
        (tmp_path / "p.jsonl", ""),
        (tmp_path / "q.jsonl", "image"),
    ):
        pictures, picture_name, _ = split_examples(read_examples(examples))
        assert pictures
        assert picture_name == name
        assert {p.read_bytes() for p in pictures} == {PICTURE.read_bytes()}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("r.csv", "size[0],size[2],rooms,kind\n1,2,3,a\n", r"column 'size\[1\]' is missing"),
        ("r.csv", "rooms,rooms\n1,2\n", "two columns are called 'rooms'"),
        ("r.csv", "rooms,kind\n1\n", "line 2 has 1 cells, the header 2"),
        ("r.csv", "rooms,kind\n", "no rows"),
        ("r.csv", "size[0],size[1],rooms,kind\n1,x,3,a\n", "row 0 of column 'size': 'x' is not float32"),
        ("r.csv", "size[0],size[1],rooms,kind\n1,2,true,a\n", "'true' is not int64"),
        ("r.csv", "size[0],size[1],rooms,kind\n1,,3,a\n", "'' is not float32"),
        ("r.csv", "size[0],size[1],rooms,kind\n1,2,3.5,a\n", "3.5 does not fit"),
        ("r.csv", "size[0],rooms,kind\n1,3,a\n", "1 columns of 'size'"),
        ("r.npz", "no archive", "cannot read the rows"),
        ("r.json", "{", "it is not JSON"),
        ("r.jsonl", '{"image": {"b64": "?"}}', "not base64"),
        (
            "r.parquet",
            "",
            "must be a folder of pictures, a picture, or rows in a .jsonl, .json, .csv, .npy or .npz",
        ),
        ("r.jsonl", '{"file": "a.jpg"}\n{"rooms": 1}', "line 2: its inputs differ from the first line's"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(forgo.ExportError, match=says):
        rows(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(forgo.ExportError, match="no such file or folder"):
        read_examples(tmp_path / "photos")
