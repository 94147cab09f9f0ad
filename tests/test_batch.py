"""forgo batch: the answers of forgo predict in one table."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

import forgo
from forgo import ForgoError, _batch
from tests.conftest import BUNDLES, ROOT
from tests.conftest import forgo as command

IRIS, SHAPES, TWO = (BUNDLES / f"{n}.forgo" for n in ("iris", "shapes", "half_plus_two"))
COLUMNS = [f"input[{n}]" for n in range(4)]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    csv = path.suffix == ".csv"
    return list((pl.read_csv(path) if csv else pl.read_parquet(path, glob=False)).to_dicts())


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A table with a key that the model does not take, and a row that cannot be read."""
    path = tmp_path / "rows.csv"
    path.write_text(f"id,{','.join(COLUMNS)}\na7,5.9,3.2,4.8,1.8\nb8,many,3.5,1.4,0.2\nc9,5.1,3.5,1.4,0.2\n")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows_become_a_table(rows: Path, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"answers{suffix}"
    done = command("batch", IRIS, rows, "-o", out, "--keep", "id", env={**os.environ, "FORGO_ENGINE": "onnx"})
    assert done.code == 0
    assert done.out == ""
    assert f"wrote {out}: 3 rows" in done.err
    assert f"1 rows have an error; the first: {rows}:2: column" in done.err
    first, second, third = read(out)
    assert list(first) == ["file", "row", "id", "label", "score", "error"]
    assert [r["id"] for r in (first, second, third)] == ["a7", "b8", "c9"]
    assert (first["row"], first["label"], first["error"]) == (1, "virginica", None)
    assert (second["row"], second["label"], second["score"]) == (2, None, None)
    assert "many" in second["error"]
    with forgo.load(IRIS, engine="onnx") as model:
        want = model.predict([[5.1, 3.5, 1.4, 0.2]]).max()
    assert np.float32(third["score"]) == want
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"answers{suffix}", "rows.csv"]


def test_kept_columns_keep_their_type(tmp_path: Path) -> None:
    frame = pl.DataFrame({"input": [[5.9, 3.2, 4.8, 1.8]] * 3}).with_columns(
        number=pl.Series([1, None, 3]),
        share=pl.Series([None, 0.5, 1.0]),
        yes=pl.Series([True, False, None]),
        empty=pl.Series([None, None, None], dtype=pl.String),
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    out = tmp_path / "answers.parquet"
    keep = [w for c in ("number", "share", "yes", "empty", "input") for w in ("--keep", c)]
    assert command("batch", IRIS, tmp_path / "rows.parquet", "-o", out, *keep).code == 0
    answers = pl.read_parquet(out, glob=False)
    for name in ("number", "share", "yes", "empty"):
        assert answers[name].to_list() == frame[name].to_list()
        assert answers[name].dtype == frame[name].dtype
    assert answers["input"].to_list() == ["[5.9, 3.2, 4.8, 1.8]"] * 3


def test_a_kept_column_of_mixed_types_becomes_strings(tmp_path: Path) -> None:
    values: list[Any] = ["a", 2, None, 2.5, True, [1]]
    lines = [json.dumps({"input": [5.9, 3.2, 4.8, 1.8], "id": v}) for v in values]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    out = tmp_path / "answers.parquet"
    assert command("batch", IRIS, tmp_path / "rows.jsonl", "-o", out, "--keep", "id").code == 0
    assert pl.read_parquet(out, glob=False)["id"].to_list() == ["a", "2", None, "2.5", "true", "[1]"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_pictures_in_a_folder_with_all_classes(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"answers{suffix}"
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "Ünïcode 猫.jpg").write_bytes(b"")
    done = command("batch", SHAPES, SHAPES / "golden", tmp_path / "more", "-o", out, "--top", "0", "--strict")
    assert done.code == 1  # of --strict
    answers = read(out)
    assert answers[-1]["file"] == str(tmp_path / "more" / "Ünïcode 猫.jpg")
    assert "it is empty" in answers[-1]["error"]
    classes = json.loads(answers[0]["classes"]) if suffix == ".csv" else answers[0]["classes"]
    assert sorted(c["label"] for c in classes) == ["blue", "green", "red"]
    assert sum(c["score"] for c in classes) == pytest.approx(1)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_outputs_are_columns(suffix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[2.0], [6.0], [np.nan]], np.float32))
    out = tmp_path / f"answers{suffix}"
    assert command("batch", TWO, str(tmp_path / "*.npy"), "-o", out).code == 0
    assert [r["y"] for r in read(out)] == [3.0, 5.0, None]


def test_standard_input(rows: Path, tmp_path: Path) -> None:
    done = command("batch", IRIS, "-", "-o", tmp_path / "a.csv", "--keep", "id", input=rows.read_text())
    assert done.code == 0
    assert [r["id"] for r in read(tmp_path / "a.csv")] == ["a7", "b8", "c9"]


def test_the_worker_of_the_docs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    (program,) = re.findall(r"\nimport numpy as np\nimport ray\n(.*?)\nray\.data", page, flags=re.DOTALL)
    houses = pd.DataFrame({"rooms": [1.0, 2.0, 5.0, 3.0], "area": [30.0, 50.0, 90.0, 85.0]})
    model = LinearRegression().fit(houses, [100.0, 160.0, 300.0, 290.0])
    forgo.export(model, tmp_path / "prices.forgo", examples=houses)
    made: dict[str, Any] = {"forgo": forgo, "np": np}
    program = program.replace("/models/prices.forgo", str(tmp_path / "prices.forgo"))
    exec(program, made)
    worker = made["Prices"]()
    answers = worker({"id": np.arange(4), **{c: houses[c].to_numpy() for c in houses}})
    worker.model.close()
    assert answers["id"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(answers["price"], model.predict(houses), rtol=1e-5)


def test_refusals(rows: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("precious")
    for says, arguments in {
        "exists; --force": [IRIS, rows, "-o", there],
        "must end in .parquet, .csv, .jsonl": [IRIS, rows, "-o", tmp_path / "a.xlsx"],
        "there is no folder": [IRIS, rows, "-o", tmp_path / "no" / "a.csv"],
        "not a bundle": [tmp_path, rows, "-o", tmp_path / "a.csv"],
        "nothing was answered, nothing was written": [IRIS, tmp_path / "none.csv", "-o", tmp_path / "a.csv"],
        "no column": [IRIS, rows, "-o", tmp_path / "a.csv", "--keep", "key"],
        "--keep names 'id' twice": [IRIS, rows, "-o", tmp_path / "a.csv", "--keep", "id", "--keep", "id"],
        "'score' is already a column": [IRIS, rows, "-o", tmp_path / "a.csv", "--keep", "score"],
    }.items():
        done = command("batch", *arguments)  # type: ignore[arg-type]
        assert done.code == 1, arguments
        assert says in done.err
        assert done.err.count("\n") == 1, done.err
    assert there.read_text() == "precious"
    assert command("batch", IRIS, rows, "-o", there, "--force", "--keep", "id").code == 0
    assert there.read_text().startswith("file,row,id,label")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.csv", "there.csv"]


def test_errors_name_arguments(rows: Path, tmp_path: Path) -> None:
    there, new = tmp_path / "there.csv", tmp_path / "a.csv"
    there.write_text("precious")
    with pytest.raises(ForgoError, match="exists; force=True replaces it"):
        _batch.run(IRIS, [str(rows)], there)
    with pytest.raises(ForgoError, match=r"^keep names 'id' twice"):
        _batch.run(IRIS, [str(rows)], new, keep=["id", "id"])
    with pytest.raises(ForgoError, match="created meanwhile; force=True replaces it"):
        _batch.run(IRIS, [str(rows)], new, keep=["id"], progress=lambda _: new.touch())


def test_a_bundle_that_go_refuses_leaves_nothing(rows: Path, tmp_path: Path) -> None:
    shutil.copytree(IRIS, tmp_path / "bad.forgo")
    (tmp_path / "bad.forgo" / "model.onnx").write_bytes(b"no graph")
    done = command("batch", tmp_path / "bad.forgo", rows, "-o", tmp_path / "a.csv")
    assert done.code == 1
    assert done.err.startswith("forgo: ")
    assert "model.onnx" in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.forgo", "rows.csv"]
