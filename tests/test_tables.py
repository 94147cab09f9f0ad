"""Tables: rows by the data frame's own column names, whatever they are, on every protocol and in every form."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import forgo
from forgo import _binary
from tests.clients.servers import running
from tests.conftest import FORGO

pytestmark = pytest.mark.slow

NUMBERS = ["age (years)", "inc,ome", "probabilities", "7", " spaced ", "x[0]"]
"""Names of every kind: with a comma, an output's, a number, with spaces at its ends, that of an element."""
CITY, SIZE = 'ci"ty.name', "größe\n€"


def odd() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age (years)": rng.integers(18, 80, 200)})
    for name in NUMBERS[1:]:
        frame[name] = rng.normal(size=200).round(3)
    frame[CITY] = rng.choice(["Oslo", "Rome", "Lima"], 200)
    frame[SIZE] = rng.choice(["S", "M"], 200)
    frame["member"] = rng.random(200) > 0.5
    frame.loc[::7, "inc,ome"] = np.nan
    return frame


@dataclass(frozen=True)
class Served:
    """A bundle of a table, its rows and scikit-learn's answers, and a server that serves it."""

    bundle: Path
    frame: pd.DataFrame
    expected: npt.NDArray[Any]
    ports: dict[str, str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.frame.to_json(orient="records"))
        return rows

    def ask(self, path: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        request = urllib.request.Request(f"http://{self.ports['http']}{path}", data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)["error"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    frame, path = odd(), tmp_path_factory.mktemp("tables") / "odd.forgo"
    chosen = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(), [CITY, SIZE]), ("passthrough", ["member"]),
    )  # fmt: skip
    model = make_pipeline(chosen, LogisticRegression()).fit(
        frame, np.where(frame["age (years)"] > 40, "old", "young")
    )
    forgo.export(model, path, examples=frame)
    with running(path) as ports:
        yield Served(path, frame, model.predict_proba(frame), ports)


def scores(answers: list[dict[str, Any]]) -> npt.NDArray[Any]:
    by_label = [{c["label"]: c["score"] for c in a["classes"]} for a in answers]
    return np.array([[s["old"], s["young"]] for s in by_label])


def test_a_row_comes_back_labelled_in_every_form(served: Served) -> None:
    rows, reverse = served.rows, served.frame.iloc[:, ::-1]
    lists = [list(r.values()) for r in rows]
    for body, kind in (
        (rows, "application/json"),
        (lists, "application/json"),
        ("\n".join(map(json.dumps, rows)), "application/jsonl"),
        ("\n".join(map(json.dumps, lists)), "application/jsonl"),
        (served.frame.to_csv(index=False), "text/csv"),  # with empty cells for missing numbers
        (reverse.to_csv(index=False), "text/csv"),
        (served.frame.to_csv(index=False, header=False), "text/csv; header=absent"),
    ):
        code, answers = served.ask("/models/odd", body, kind)
        assert code == 200, answers
        np.testing.assert_allclose(scores(answers), served.expected, atol=1e-5)
    for one in (rows[0], lists[0]):
        code, answer = served.ask("/models/odd", one)
        assert code == 200, answer
        np.testing.assert_allclose(scores([answer]), served.expected[:1], atol=1e-5)


def test_the_inference_protocols_take_columns_by_the_same_names(served: Served) -> None:
    rows, columns = served.rows, list(served.frame)
    lists = [list(r.values()) for r in rows]
    for body in (
        {"instances": rows},
        {"instances": lists},
        {"inputs": {n: [r[n] for r in rows] for n in columns}},
    ):
        code, answer = served.ask("/v1/models/odd:predict", body)
        assert code == 200, answer
        np.testing.assert_allclose(next(iter(answer.values())), served.expected, atol=1e-5)
    kinds = {"i": "INT64", "f": "FP32", "b": "BOOL"}
    inputs = [
        {
            "name": n, "datatype": kinds.get(served.frame[n].dtype.kind, "BYTES"), "shape": [len(rows)],
            "data": [r[n] for r in rows],
        }
        for n in columns[::-1]
    ]  # fmt: skip
    code, answer = served.ask("/v2/models/odd/infer", {"inputs": inputs})
    assert code == 200, answer
    np.testing.assert_allclose(
        np.array(answer["outputs"][0]["data"]).reshape(-1, 2), served.expected, atol=1e-5
    )
    with urllib.request.urlopen(f"http://{served.ports['http']}/v2/models/odd") as metadata:
        assert [i["name"] for i in json.load(metadata)["inputs"]] == columns
    with urllib.request.urlopen(f"http://{served.ports['http']}/openapi.json") as document:
        assert json.dumps(CITY)[1:-1] in json.dumps(json.load(document), ensure_ascii=False)


def test_verify_sends_every_form_of_every_protocol(served: Served) -> None:
    """Both of REST and gRPC, which is the one check that needs no client of another project."""
    urls = ["--url", f"http://{served.ports['http']}", "--url", f"grpc://{served.ports['grpc']}"]
    done = subprocess.run(
        [FORGO, "verify", *urls, "--json", served.bundle], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    forms = {p["protocol"]: p["forms"] for p in json.loads(done.stdout)["protocols"]}
    assert forms.keys() == {"native", "oip", "oip-grpc", "tensorflow", "tensorflow-grpc"}
    assert {"lists", "csv"} <= set(forms["native"])
    assert "lists" in forms["tensorflow"]


def test_the_python_client_takes_frames_dicts_and_lists(served: Served) -> None:
    frame = served.frame
    lists = [[None if v != v else v for v in row] for row in frame.astype(object).to_numpy().tolist()]
    with forgo.Client(f"http://{served.ports['http']}") as client:
        for rows in (
            frame, frame.iloc[:, ::-1], {n: frame[n].to_numpy() for n in frame}, served.rows, lists,
            frame.astype(object).to_numpy(),
        ):  # fmt: skip
            np.testing.assert_allclose(client.predict(rows), served.expected, atol=1e-5)
        assert [a["classes"][0]["label"] for a in client.classify(lists)] == [
            ("old", "young")[i] for i in served.expected.argmax(1)
        ]
        with pytest.raises(forgo.ForgoError, match="row 1 is not a list of 9 values"):
            client.predict([lists[0], lists[1][:-1]])


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("age (years)", "x", '"x" is not'),
        ("age (years)", None, "null"),
        ("member", 3, "true or false"),
        (CITY, "Paris", 'unknown category "Paris": send one of Lima, Oslo, Rome'),
        (CITY, 1, "is not a string"),
        ("7", None, "the number is missing, and training saw none missing"),
    ],
)
def test_a_wrong_value_is_refused_by_row_and_column(
    served: Served, column: str, value: Any, says: str
) -> None:
    rows = served.rows[:3]
    rows[1] = {**rows[1], column: value}
    lists = [list(r.values()) for r in rows]
    named = json.dumps(column, ensure_ascii=False)
    for path, body, row in (
        ("/models/odd", rows, "row 1"),
        ("/models/odd", lists, "row 1"),
        ("/v1/models/odd:predict", {"instances": rows}, ""),
        ("/v1/models/odd:predict", {"instances": lists}, ""),
        ("/v1/models/odd:predict", {"inputs": {n: [r[n] for r in rows] for n in rows[0]}}, "row 1"),
    ):
        code, said = served.ask(path, body)
        assert code == 400, said
        assert row in said or "instance 1" in said, said
        assert named in said, said
        assert says in said, said


def test_a_wrong_column_is_refused_by_name(served: Served) -> None:
    rows = served.rows[:3]
    more, less = ([dict(r) for r in rows] for _ in range(2))
    more[1]["town"] = "Paris"
    del less[1]["7"]
    for body, name in ((more, '"town"'), (less, '"7"')):
        for path, sent in (("/models/odd", body), ("/v1/models/odd:predict", {"instances": body})):
            code, said = served.ask(path, sent)
            assert code == 400, said
            assert name in said, said
            assert "row 1" in said or "instance 1" in said, said
    table = served.frame[:3]
    for frame, says in (
        (table.assign(town=1), 'no column "town"'),
        (table.drop(columns="7"), 'column "7" is missing'),
    ):
        code, said = served.ask("/models/odd", frame.to_csv(index=False), "text/csv")
        assert code == 400, said
        assert says in said, said
    code, said = served.ask("/models/odd", [1, 2])
    assert code == 400, said
    assert "the list has 2 values, the model takes 9" in said, said


def test_the_command_answers_tables_with_missing_cells(served: Served, tmp_path: Path) -> None:
    served.frame.to_csv(tmp_path / "rows.csv", index=False)
    served.frame.iloc[:, ::-1].to_csv(tmp_path / "reverse.csv", index=False)
    served.frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    (tmp_path / "rows.json").write_text(json.dumps([list(r.values()) for r in served.rows]))
    for file in sorted(tmp_path.iterdir()):
        done = subprocess.run(
            [FORGO, "predict", "--json", "--top", "0", served.bundle, file],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        np.testing.assert_allclose(scores(answers), served.expected, atol=1e-5)
        assert [(a["file"], a["row"]) for a in answers] == [
            (str(file), i + 1) for i in range(len(served.frame))
        ]


def test_a_polars_frame_is_taken_for_what_it_holds(tmp_path: Path) -> None:
    frame = polars.DataFrame(
        {
            "n": [1.5, None, 2.0, 0.5] * 10, "whole": [1, 2, 3, 4] * 10, "is": [True, False] * 20, "text": ["a", "b"] * 20,
            "kind": polars.Series(["x", "y", "y", "x"] * 10, dtype=polars.Categorical),
            "fixed": polars.Series(["u", "v", "v", "u"] * 10, dtype=polars.Enum(["u", "v", "w"])),
        }
    )  # fmt: skip
    chosen = make_column_transformer(
        (SimpleImputer(), ["n", "whole"]),
        (OneHotEncoder(), ["text", "kind", "fixed"]),
        remainder="passthrough",
    )
    rows = frame.to_dicts()
    made = pd.DataFrame(rows)
    model = make_pipeline(chosen, LogisticRegression()).fit(made, [r["kind"] for r in rows])
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    told = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["columns"]
    assert [(c["name"], c["type"], c["missing"]) for c in told] == [
        ("n", "number", True), ("whole", "integer", False), ("is", "bool", False), ("text", "category", False),
        ("kind", "category", False), ("fixed", "category", False),
    ]  # fmt: skip
    assert told[5]["values"] == ["u", "v"]  # the encoder refuses "w", which training had not
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(frame), model.predict_proba(made), atol=1e-5)


def test_a_column_may_have_the_name_of_an_output(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 2))
    frame = pd.DataFrame(rows, columns=["value", "column_0"])
    model = Ridge().fit(frame, rows.sum(1))
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    with forgo.load(tmp_path / "m.forgo") as loaded:
        np.testing.assert_allclose(loaded.predict(frame)[:, 0], model.predict(frame), atol=1e-5)


def test_a_table_of_one_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"the only one": np.random.default_rng(0).normal(size=40)})
    model = Ridge().fit(frame, frame["the only one"] * 2)
    forgo.export(model, tmp_path / "m.forgo", examples=frame)
    with running(tmp_path / "m.forgo") as ports:
        one = Served(tmp_path / "m.forgo", frame, model.predict(frame), ports)
        for body, several in (
            ({"the only one": 1.5}, False), (1.5, False), ([1.5], True), ([[1.5]], True), ([{"the only one": 1.5}], True),
        ):  # fmt: skip
            code, answer = one.ask("/models/m", body)
            assert code == 200, answer
            assert isinstance(answer, list) == several
            value = (answer[0] if several else answer)["outputs"]["value"][0]
            assert value == pytest.approx(model.predict(pd.DataFrame({"the only one": [1.5]}))[0], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "says"), [("", "has 0 bytes"), ("é" * 513, "has 1026 bytes"), ("\ud800", "not Unicode")]
)
def test_a_name_that_no_client_could_send_is_refused(name: str, says: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 1)), columns=[name])
    model = Ridge().fit(frame.to_numpy(), range(20))
    with pytest.raises(forgo.ExportError, match=says):
        forgo.export(model, tmp_path / "m.forgo", examples=frame)
    assert list(tmp_path.iterdir()) == []


def test_the_command_answers_parquet(served: Served, tmp_path: Path) -> None:
    """Python reads the file; the binary alone says who does."""
    polars.DataFrame(served.rows).write_parquet(tmp_path / "rows.parquet")
    command = list(
        map(str, [FORGO, "predict", "--json", "--top", "0", served.bundle, tmp_path / "rows.parquet"])
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    np.testing.assert_allclose(scores(answers), served.expected, atol=1e-5)
    assert answers[1]["file"] == str(tmp_path / "rows.parquet")
    assert answers[1]["row"] == 2
    alone = {k: v for k, v in os.environ.items() if k != "FORGO_PARQUET"}
    done = subprocess.run(
        [str(_binary.path()), *command[1:]], env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "use the forgo command of the Python package" in done.stderr


def test_what_is_no_parquet_or_holds_no_rows_is_said(served: Served, tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    dates = polars.DataFrame({"when": [datetime.date(2026, 1, 1)]})
    dates.write_parquet(tmp_path / "dates.parquet")
    polars.DataFrame(served.rows).head(0).write_parquet(tmp_path / "empty.parquet")
    for name, says in (
        ("torn", "it cannot be read"), ("dates", "a cell is a date"), ("empty", "the file has no rows"), ("missing", "no such file"),
    ):  # fmt: skip
        done = subprocess.run(
            [FORGO, "predict", served.bundle, tmp_path / f"{name}.parquet"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert says in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


def test_a_matrix_is_a_table_of_numbers_in_order(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 2)).round(3)
    frame = pd.DataFrame(rows, columns=["a", "b"]).assign(n=range(40))
    model = Ridge().fit(frame, rows.sum(1))
    np.save(tmp_path / "rows.npy", frame.to_numpy())
    np.save(tmp_path / "narrow.npy", rows)
    forgo.export(model, tmp_path / "m.forgo", examples=tmp_path / "rows.npy")
    told = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["columns"]
    assert [c["name"] for c in told] == ["a", "b", "n"]
    done = subprocess.run(
        [FORGO, "predict", "--json", tmp_path / "m.forgo", tmp_path / "rows.npy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    got = [json.loads(line)["outputs"]["value"][0] for line in done.stdout.splitlines()]
    np.testing.assert_allclose(got, model.predict(frame), atol=1e-5)
    refused = subprocess.run(
        [FORGO, "predict", tmp_path / "m.forgo", tmp_path / "narrow.npy"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "the model takes numbers [rows, 3], the columns in order" in refused.stderr
    with running(tmp_path / "m.forgo") as ports:
        body = (tmp_path / "rows.npy").read_bytes()
        request = urllib.request.Request(
            f"http://{ports['http']}/models/m", body, {"Content-Type": "application/x-npy"}
        )
        with urllib.request.urlopen(request) as answer:
            got = [a["outputs"]["value"][0] for a in json.load(answer)]
    np.testing.assert_allclose(got, model.predict(frame), atol=1e-5)
