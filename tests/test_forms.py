"""Every form of examples, of what forgo predict reads and of what the server takes: one rule, equal answers.

The table is docs/forms.md's. Each of its lines is tried here with the same rows, through all three.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forgo
from forgo import _binary
from forgo.exporting._arguments import is_table, split_examples
from forgo.exporting._examples import from_cells, from_rows
from forgo.exporting._model import TensorInfo
from forgo.exporting._rows import Bare, read_examples
from mutants._serve_skews import Server, serving
from tests.conftest import BUNDLES

ENDS = [TensorInfo("size", "float32", (None, 2)), TensorInfo("rooms", "int32", (None, 1))]
SIZES, ROOMS = [[1.5, -2.0], [0.25, 1e3], [5.9, 7.0]], [3, -4, 100000]
ROWS = [{"size": s, "rooms": [r]} for s, r in zip(SIZES, ROOMS, strict=True)]
IRIS = [[5.9, 3.2, 4.8, 1.8], [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
ENGINE = ("--engine", "onnx")  # two engines answer alike, but for the last bits
PICTURE = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))[0]


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two inputs, exported from rows in an archive of arrays."""
    import keras

    size, rooms = keras.Input((2,), name="size"), keras.Input((1,), name="rooms", dtype="int32")
    both = keras.layers.Concatenate()([size, keras.ops.cast(rooms, "float32")])
    model = keras.Model([size, rooms], keras.layers.Dense(2, name="price")(both))
    folder = tmp_path_factory.mktemp("prices")
    np.savez(folder / "rows.npz", size=np.array(SIZES), rooms=np.array(ROOMS)[:, None])
    path = folder / "prices.forgo"
    forgo.export(model, path, examples=folder / "rows.npz")
    return path


@pytest.fixture(scope="module")
def servers(prices: Path) -> Iterator[dict[str, Server]]:
    binary = _binary.path()
    with (
        serving(binary, BUNDLES / "iris.forgo", *ENGINE) as iris,
        serving(binary, prices, *ENGINE) as two,
        serving(binary, BUNDLES / "shapes.forgo", *ENGINE) as shapes,
        serving(binary, BUNDLES / "halves.forgo", *ENGINE) as halves,
    ):
        yield {"iris": iris, "prices": two, "shapes": shapes, "halves": halves}


def exported(path: Path, ends: list[TensorInfo], bundle: Path, given: bytes = b"") -> list[Any]:
    """What the bundle answers to the examples that export makes of a file, or of what is on stdin."""

    class Stdin:
        buffer = io.BytesIO(given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", Stdin)
        made = raws(str(path), ends)
    if not ends:
        return [answer for raw in made for answer in asked(bundle, "-", raw)]
    return asked(bundle, "-", b"\n".join(made))


def raws(path: str, ends: list[TensorInfo]) -> list[bytes]:
    """What a golden case of each example would be sent as."""
    read = read_examples(Path(path))
    pictures, _, rows = split_examples(read)
    if pictures is not None and rows is None:
        return [p.read_bytes() for p in pictures]
    assert rows is not None
    if is_table(read):
        rows = from_cells(rows, ends)
    lists = isinstance(read, dict) and isinstance(read.get(""), Bare)
    return [e.raw for e in from_rows(rows, ends, lists=lists)]


def asked(bundle: Path, file: str | Path, given: bytes | None = None) -> list[Any]:
    """What forgo predict answers, without the names of the rows."""
    done = subprocess.run(
        [_binary.path(), "predict", "--json", "--top", "0", *ENGINE, bundle, file],
        input=given, capture_output=True, env=_binary.environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [{k: v for k, v in line.items() if k in ("classes", "outputs")} for line in lines]


def served(server: Server, name: str, body: bytes, kind: str) -> list[Any]:
    request = urllib.request.Request(f"{server.http}/models/{name}", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            got = json.load(answer)
    except urllib.error.HTTPError as e:
        raise AssertionError(e.read().decode()) from None
    return got if isinstance(got, list) else [got]


def saved(**arrays: Any) -> bytes:
    b = io.BytesIO()
    np.savez(b, **arrays)
    return b.getvalue()


def npy(array: Any) -> bytes:
    b = io.BytesIO()
    np.save(b, array)
    return b.getvalue()


def lines(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode() + b"\n"


X = np.array(IRIS)
OCTETS = "application/octet-stream"
IRIS_FORMS: dict[str, tuple[str, bytes, str]] = {
    "lines": (".jsonl", lines(IRIS), "application/x-ndjson"),
    "lines of objects, empty ones between": (".ndjson", b"\n" + lines([{"input": r} for r in IRIS]).replace(b"\n", b"\r\n\r\n"), "application/jsonl"),
    "a list of rows": (".json", json.dumps(IRIS).encode(), "application/json"),
    "a list of objects": (".json", json.dumps([{"input": r} for r in IRIS]).encode(), OCTETS),
    "CSV": (".csv", b"input[3],input[0], input[1],input[2]\n" + b"".join(f"{d},{a},{b},{c}\r\n".encode() for a, b, c, d in IRIS), "text/csv"),
    "CSV without header": (".csv", b"\xef\xbb\xbf" + b"".join(f"{a},{b}, {c},{d}\n".encode() for a, b, c, d in IRIS), "text/csv"),
    "CSV that says it has no header": (".csv", b"".join(f"{a},{b},{c},{d}\n".encode() for a, b, c, d in IRIS), "text/csv; header=absent"),
    "float64": (".npy", npy(X), "application/x-npy"),
    "float32, by its first bytes": (".npy", npy(X.astype("f4")), OCTETS),
    "big-endian": (".npy", npy(X.astype(">f4")), "application/x-npy"),
    "Fortran's order": (".npy", npy(np.asfortranarray(X)), "application/x-npy"),
    "an archive": (".npz", saved(input=X), "application/x-npz"),
    "an archive without names, by its first bytes": (".npz", saved(arr_0=np.asfortranarray(X.astype(">f8"))), OCTETS),
}  # fmt: skip
TWO_FORMS: dict[str, tuple[str, bytes, str]] = {
    "lines": (".jsonl", lines(ROWS), "application/x-ndjson"),
    "a list of objects": (".json", json.dumps(ROWS).encode(), "application/json"),
    "CSV": (".csv", b"rooms,size[1],size[0]\n" + b"".join(f"{r},{b},{a}\n".encode() for (a, b), r in zip(SIZES, ROOMS, strict=True)), "text/csv"),
    "CSV without header": (".csv", b"".join(f"{a},{b},{r}\n".encode() for (a, b), r in zip(SIZES, ROOMS, strict=True)), "text/csv"),
    "an archive": (".npz", saved(size=np.asfortranarray(SIZES), rooms=np.array(ROOMS, ">i8")[:, None]), "application/x-npz"),
    "an archive of whole floats": (".npz", saved(size=np.array(SIZES, "f4"), rooms=np.array(ROOMS, "f8")[:, None]), OCTETS),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "form"), [*(("iris", f) for f in IRIS_FORMS), *(("prices", f) for f in TWO_FORMS)]
)
def test_rows_of_every_form_have_the_same_answers(
    tmp_path: Path, prices: Path, servers: dict[str, Server], model: str, form: str
) -> None:
    bundle = BUNDLES / "iris.forgo" if model == "iris" else prices
    ends = [TensorInfo("input", "float32", (None, 4))] if model == "iris" else ENDS
    want = asked(bundle, "-", lines(IRIS) if model == "iris" else lines(ROWS))
    assert len(want) == 3
    end, content, kind = (IRIS_FORMS if model == "iris" else TWO_FORMS)[form]
    file = tmp_path / f"rows{end}"
    file.write_bytes(content)
    assert asked(bundle, file) == want
    assert served(servers[model], model, content, kind) == want
    assert exported(file, ends, bundle) == want
    assert asked(bundle, "-", content) == want
    assert exported(Path("-"), ends, bundle, content) == want


@pytest.mark.slow
def test_pictures_of_every_form_have_the_same_answers(tmp_path: Path, servers: dict[str, Server]) -> None:
    bundle, raw = BUNDLES / "shapes.forgo", PICTURE.read_bytes()
    want = asked(bundle, PICTURE)
    in_base64 = {"b64": base64.b64encode(raw).decode()}
    (tmp_path / "p.jpg").write_bytes(raw)
    (tmp_path / "no-suffix").write_bytes(raw)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "deep" / "p").write_bytes(raw)
    for name, content in {
        "file.jsonl": lines([{"file": "p.jpg"}]),
        "image.jsonl": lines([{"image": {"file": "p.jpg"}}]),
        "b64.jsonl": lines([in_base64]),
        "image.json": json.dumps({"image": in_base64}).encode(),
        "list.json": json.dumps([in_base64]).encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert asked(bundle, tmp_path / name) == want, name
        assert exported(tmp_path / name, [], bundle) == want, name
        if b"file" not in content:
            kind = "application/x-ndjson" if name.endswith("l") else "application/json"
            assert served(servers["shapes"], "shapes", content, kind) == want, name
    for path in (tmp_path / "p.jpg", tmp_path / "no-suffix", tmp_path / "photos"):
        assert asked(bundle, path) == want
        assert exported(path, [], bundle) == want
    assert served(servers["shapes"], "shapes", raw, OCTETS) == want
    assert asked(bundle, "-", raw) == exported(Path("-"), [], bundle, raw) == want
    with pytest.raises(AssertionError, match="a server does not open files"):
        served(servers["shapes"], "shapes", lines([{"file": "p.jpg"}]), "application/x-ndjson")


@pytest.mark.slow
def test_pictures_beside_numbers(tmp_path: Path, servers: dict[str, Server]) -> None:
    bundle = BUNDLES / "halves.forgo"
    golden = sorted((bundle / "golden").glob("*.json"))
    rows = [json.loads(g.read_text()) for g in golden[:3]]
    want = [answer for g in golden[:3] for answer in asked(bundle, g)]
    (tmp_path / "rows.jsonl").write_bytes(lines(rows))
    named = []
    for i, row in enumerate(rows):
        (tmp_path / f"{i}.jpg").write_bytes(base64.b64decode(row["image"]["b64"]))
        named.append({**row, "image": {"file": f"{i}.jpg"}})
    (tmp_path / "named.jsonl").write_bytes(lines(named))
    assert asked(bundle, tmp_path / "rows.jsonl") == want
    assert asked(bundle, tmp_path / "named.jsonl") == want
    assert served(servers["halves"], "halves", lines(rows), "application/x-ndjson") == want
    for name in ("rows.jsonl", "named.jsonl"):
        pictures, called, given = split_examples(read_examples(tmp_path / name))
        assert pictures is not None
        assert given is not None
        assert called == "image"
        assert [p.read_bytes() for p in pictures] == [base64.b64decode(r["image"]["b64"]) for r in rows]
        np.testing.assert_array_equal(given["ink"], [r["ink"] for r in rows])


REFUSED: dict[str, tuple[str, bytes, str, str]] = {
    "objects": (".npy", b"", "application/x-npy", "Python objects"),
    "one number": (".npy", npy(np.float32(1)), "application/x-npy", "first dimension"),
    "complex": (".npy", npy(X.astype("c8")), "application/x-npy", "c8"),
    "fields": (".npy", npy(np.zeros(3, [("a", "f4")])), "application/x-npy", "fields|V4|void"),
    "terabytes": (".npy", npy(X).replace(b"(3, 4), }" + b" " * 10, b"(99999999999, 4), }"), "application/x-npy", "ends too soon|elements .limit"),
    "cut short": (".npy", npy(X)[:-5], "application/x-npy", "ends too soon"),
    "more than an array": (".npy", npy(X) + b"1", "application/x-npy", "data follows"),
    "beyond the type": (".npy", npy(X * 1e39), "application/x-npy", "does not fit"),
    "another name": (".npz", saved(inptu=X), "application/x-npz", "inptu|no array"),
    "no rows": (".npy", npy(X[:0]), "application/x-npy", "no rows"),
    "names that the model does not have": (".csv", b"sepal,petal\n1,2\n", "text/csv", "sepal"),
    "ragged": (".csv", b"1,2,3,4\n1,2,3\n", "text/csv", "cells"),
    "too few columns": (".csv", b"1,2,3\n", "text/csv", "cells|columns"),
    "two values a line": (".jsonl", b"[1,2,3,4] [1,2,3,4]\n", "application/x-ndjson", "JSON"),
}  # fmt: skip
objects = io.BytesIO()
np.save(objects, np.array([{}]), allow_pickle=True)
REFUSED["objects"] = (".npy", objects.getvalue(), "application/x-npy", "Python objects")


@pytest.mark.slow
@pytest.mark.parametrize("form", REFUSED)
def test_what_one_refuses_all_refuse(tmp_path: Path, servers: dict[str, Server], form: str) -> None:
    end, content, kind, says = REFUSED[form]
    file = tmp_path / f"rows{end}"
    file.write_bytes(content)
    with pytest.raises(AssertionError, match=says):
        asked(BUNDLES / "iris.forgo", file)
    with pytest.raises(AssertionError, match=says):
        served(servers["iris"], "iris", content, kind)
    with pytest.raises(forgo.ExportError, match=says):
        raws(str(file), [TensorInfo("input", "float32", (None, 4))])
