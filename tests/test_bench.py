"""The benchmark, with the servers that are cheap to install and turns of a second."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from http.client import HTTPMessage as Message
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import numpy as np
import pytest

import bench.__main__ as main
from bench import (
    _cases,
    _engine,
    _engine_report,
    _latency,
    _models,
    _peers,
    _peers_report,
    _report,
    _results,
    _servers,
    _turns,
)
from bench._cases import Case
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
CASES = {case.name: case for case in _cases.CASES}


@pytest.fixture(scope="module")
def wrk() -> str:
    _servers.HERE.mkdir(parents=True, exist_ok=True)
    try:
        return _servers.need("wrk", "wrk")
    except _servers.MissingError as e:
        pytest.skip(str(e))


def test_a_run_writes_page_figures_and_chart(wrk: str, tmp_path: Path) -> None:
    names = ["chi", "echo", "forgo-json", "forgo-binary"]
    command = [sys.executable, "-m", "bench", "--only", ",".join(names), "--seconds", "1", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--out", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "results.json").read_text())
    servers = {row["name"]: row for row in figures["servers"]}
    assert list(servers) == names
    for row in servers.values():
        assert row["requests_a_second"] > 0
        assert row["of_chi"] > 0
        assert row["times_flask"] is None
    assert servers["chi"]["of_chi"] == 1
    page = (tmp_path / "README.md").read_text()
    for row in servers.values():
        assert f"{row['title']}**" in page or f"| {row['title']} |" in page
    assert "of its time" in page.partition("a request of one of 32 callers")[2]
    assert {cost["name"].partition("/")[0] for cost in figures["go"]} == {"Run", "Request"}
    assert ElementTree.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")


@pytest.mark.timeout(900)  # the first run installs the servers' packages
@pytest.mark.parametrize("model", ["digits", "iris"])
def test_peers_are_started_checked_and_measured(wrk: str, tmp_path: Path, model: str) -> None:
    own = {
        "digits": ["fastapi-1", "gohand", "peers-json", "peers-binary"],
        "iris": ["iris-framework", "iris-mlserver", "iris-gohand", "iris-json"],
    }
    names = own[model]
    command = [sys.executable, "-m", "bench", "--only", ",".join(names), "--seconds", "1", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--out", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (measured,) = (figures := json.loads((tmp_path / "peers.json").read_text())).values()
    assert list(figures) == [model]
    servers = {row["name"]: row for row in measured["servers"]}
    assert list(servers) == names
    for row in servers.values():
        for figure in ("requests_a_second", "forgo_times", "first_answer_s", "memory_mib", "disk_mib"):
            assert row[figure] > 0, figure
        assert row["difference"] <= _cases.TOLERANCE
    forgo = servers[_peers.FORGO[model]]
    assert forgo["forgo_times"] == 1
    binary = (ROOT / "src/forgo/bin/forgo").stat().st_size / 2**20
    assert forgo["disk_mib"] == pytest.approx(binary, abs=0.1)  # without ONNX Runtime, which it doesn't need
    by_hand = next(row for name, row in servers.items() if name.endswith("gohand"))
    assert by_hand["disk_mib"] > 25  # its library included
    assert "| **forgo, JSON** |" in (tmp_path / "peers.md").read_text()
    assert ElementTree.parse(tmp_path / _peers_report.chart(model)).getroot().tag.endswith("svg")
    assert not (tmp_path / "README.md").exists()


def test_a_models_run_keeps_the_other_models_figures(tmp_path: Path) -> None:
    case = next(c for c in _peers.CASES if c.name == "trees-json")
    result = _turns.PeerResult(case, "1", [_results.Turn(9, 1, 2)], [0.1], [10])
    about = {"date": "today", "seconds": 1, "rounds": 1, "load": "wrk"}
    pages = ROOT / "docs" / "benchmarks"
    before = json.loads((pages / "peers.json").read_text())
    (tmp_path / "peers.json").write_text(json.dumps(before))
    _peers_report.write(tmp_path, [result], {}, about)
    after = json.loads((tmp_path / "peers.json").read_text())
    assert after["trees"]["date"] == "today"
    assert {**after, "trees": None} == {**before, "trees": None}
    page = (tmp_path / "peers.md").read_text()
    assert page.index("## Digits") < page.index("## Trees")


def test_photographs_are_held_to_the_frameworks_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ["a", "b", "c", "d", "e", "f"]
    scores = [0.1, 0.3, 0.05, 0.2, 0.3, 0.05]
    (tmp_path / "six.forgo").mkdir()
    (tmp_path / "six.forgo" / "forgo.json").write_text(json.dumps({"labels": labels}))
    np.savez(tmp_path / "six.npz", answers=[scores])
    (tmp_path / "photograph.jpg").write_bytes(b"JPEG")
    monkeypatch.setattr(_cases, "HERE", tmp_path)
    monkeypatch.setattr(_models, "photographs", lambda: [tmp_path / "photograph.jpg"])
    (request,) = _cases.uploads("six", "/")
    assert request.body == b"JPEG"
    right = [{"label": label, "score": scores[labels.index(label)]} for label in "bedac"]

    def check(classes: list[dict[str, Any]]) -> float | None:
        return request.check(json.dumps({"classes": classes}).encode(), Message())

    assert check(right) == 0
    assert check([right[1], right[0], *right[2:4], {"label": "f", "score": 0.05}]) == 0  # as good
    for wrong in (
        [{**right[0], "score": 0.3002}, *right[1:]],
        [*right[:2], {**right[2], "label": "a"}, {**right[3], "label": "d"}, right[4]],
        [*right[:3], right[4], right[3]],
        right[:4],
    ):
        with pytest.raises(ValueError, match=r"not the five|from what the training framework"):
            check(wrong)


@pytest.mark.parametrize("name", main.REPORTS)
def test_the_committed_pages_and_charts_are_those_of_the_figures(name: str, tmp_path: Path) -> None:
    here = ROOT / "docs" / "benchmarks"
    main.REPORTS[name](json.loads((here / f"{name}.json").read_text()), tmp_path)
    written = list(tmp_path.iterdir())
    assert {p.suffix for p in written} == {".md", ".svg"}
    for path in written:
        assert (here / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("predictions", "chi", "says"),
    [
        (60.0, 100.0, "**This run reached it: 0.600.**"),
        (59.9, 100.0, "**This run did not reach it: 0.599.**"),
        (60.0, None, "was not measured"),
        (None, 100.0, "was not measured"),
    ],
)
def test_the_page_says_whether_the_requirement_is_met(
    tmp_path: Path, predictions: float | None, chi: float | None, says: str
) -> None:
    rates = {"forgo-json": predictions, "chi": chi, "echo": 90.0}
    results = [
        _results.Result(CASES[name], "1", [_results.Turn(rate, 1, 2)]) for name, rate in rates.items() if rate
    ]
    _report.write(tmp_path, results, {}, [], {"date": "", "seconds": 1, "rounds": 1, "load": "wrk"})
    assert says in (tmp_path / "README.md").read_text()


def test_what_cannot_be_measured_is_said_and_fails(
    wrk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> NoReturn:
        raise _servers.MissingError("it is nowhere")

    dies = partial(_servers.Server, "dies", ["false"], "1")
    cases = [
        CASES["chi"],
        Case("gone", "Gone", "hello", nowhere, _cases.hello),
        Case("dies", "Dies", "hello", dies, _cases.hello),
    ]
    monkeypatch.setattr(main, "CASES", cases)
    monkeypatch.setattr(
        sys,
        "argv",
        ["bench", "--part", "web", "--seconds", "1", "--rounds", "1", "--no-go", "--out", str(tmp_path)],
    )
    assert main.main() == 1
    assert "bench: not measured: Gone, Dies" in capsys.readouterr().err
    page = (tmp_path / "README.md").read_text()
    assert "- Gone: not measured: it is nowhere" in page
    assert "- Dies: not measured: dies did not start" in page
    assert "| Go + chi |" in page


def test_wrong_answers_are_found() -> None:
    right = _cases.hello()[0]
    with _servers.running(_servers.chi()) as port:
        _cases.verify(CASES["chi"], port)
        for request, says in [
            (replace(right, path="/nowhere"), "GET /nowhere: status 404"),
            (replace(right, method="POST", body=b"{}"), "POST /: another text"),
        ]:
            case = Case("chi", "", "hello", _servers.chi, partial(list, [request]))
            with pytest.raises(_cases.WrongAnswerError, match=says):
                _cases.verify(case, port)


def test_probabilities_are_held_to_those_of_the_framework() -> None:
    want = np.full(10, 0.1)
    _cases.same([0.1] * 10, want)
    for wrong in ([0.1002] + [0.1] * 9, [0.1] * 20, [float("nan")] * 10):
        with pytest.raises(ValueError, match="not what the training framework answers"):
            _cases.same(wrong, want)


def test_failed_requests_end_the_run(wrk: str, tmp_path: Path) -> None:
    nowhere = replace(_cases.hello()[0], path="/nowhere")
    case = Case("chi", "", "hello", _servers.chi, partial(list, [nowhere]))
    with _servers.running(_servers.chi()) as port, pytest.raises(_results.LoadError, match="requests failed"):
        _results.turn(wrk, case, port, 1, _cases.write_requests(case, tmp_path))


def test_a_turn_without_an_answer_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def run(*command: object) -> str:
        lengths.append(int(str(command[3])[2:-1]))
        done = {"requests": 0 if len(lengths) < 3 else 8, "seconds": 4, "errors": 0, "p50_ms": 1, "p99_ms": 2}
        return json.dumps(done)

    monkeypatch.setattr(_results, "run", run)
    assert _results.turn("wrk", CASES["chi"], 80, 1, []).rate == 2
    assert lengths == [1, 4, 16]
    lengths.clear()
    monkeypatch.setattr(_results, "LONGEST", 4)
    with pytest.raises(_results.LoadError, match="0 of 0"):
        _results.turn("wrk", CASES["chi"], 80, 1, [])


def test_ratios_say_what_was_reached() -> None:
    more = _engine.Ratio("a", "more is better", 0.7, 0.85)
    less = _engine.Ratio("b", "less is better", 60, 30, "ms")
    for ratio, got, says in [
        (more, 0.69, "**not met**"), (more, 0.7, "requirement met"), (more, 0.85, "aim met"),
        (less, 61, "**not met**"), (less, 60, "requirement met"), (less, 30, "aim met"),
    ]:  # fmt: skip
        ratio.rounds.clear()
        ratio.add(got, side_us=12)
        assert _engine_report.ratio_row(ratio.as_json())[-1] == says
    beside = _engine.Ratio("c", "nothing is asked of it")
    beside.add(2)
    assert _engine_report.ratio_row(beside.as_json())[-3:] == ["–", "–", ""]
    page = _engine_report.page(
        {"date": "", "rounds": 5, "machine": _report.machine(), "ratios": [less.as_json()], "not_measured": {"x": "y"}}
    )  # fmt: skip
    assert "| less is better | 30 ms | 30 – 30 | 60 ms | 30 ms | aim met |" in page
    assert "- less is better: side 12 µs" in page
    assert "- x: not measured: y" in page


def test_grpc_calls_are_checked(tmp_path: Path) -> None:
    program = tmp_path / "grpc"
    _servers.run("go", "build", "-o", program, "./bench/grpc")
    server = _servers.Server("grpc-hello", [str(program), "serve", "127.0.0.1:{port}"], "")
    request = _engine.field_of(1, "world")
    with _servers.running(server) as port:

        def load(answer: Mapping[str, object]) -> str:
            calls = _engine.calls(tmp_path / "calls.json", iter([(request, dict(answer))]))
            return _servers.run(
                program, "load", f"127.0.0.1:{port}", "/helloworld.Greeter/SayHello", calls, "0.1", "2"
            )

        right = b64encode(_engine.field_of(1, "Hello world")).decode()
        assert json.loads(load({"answer": right}))["requests"] > 0
        for wrong in ({"answer": b64encode(b"x").decode()}, {"floats": [1.0]}, {"floats": [0.0] * 9}):
            with pytest.raises(_servers.MissingError, match="answered"):
                load(wrong)


def test_the_readme_has_the_committed_figures() -> None:
    readme = (ROOT / "README.md").read_text()
    _, _, rest = readme.partition(_engine_report.MARKS[0])
    assert rest.partition(_engine_report.MARKS[1])[0] == _engine_report.section(ROOT / "docs" / "benchmarks")


def test_requests_are_sent_when_they_are_due(tmp_path: Path) -> None:
    vegeta, version = _latency.generator()
    assert version.startswith("vegeta 12.")
    with _servers.running(_servers.chi()) as port:
        got = _latency.attack(vegeta, _latency.targets(CASES["chi"], port), 200, 1)
        gone = replace(_cases.hello()[0], path="/nowhere")
        refused = _latency.attack(
            vegeta, _latency.targets(replace(CASES["chi"], requests=lambda: [gone]), port), 200, 1
        )
    assert got["answered"] == 1
    assert got["p50_ms"] <= got["p99_ms"] <= got["p999_ms"]
    assert refused["answered"] == 0


def test_quantiles_are_those_of_the_plot() -> None:
    plot = "Value(ms)  Percentile  TotalCount  1/(1-Percentile)\n1.5  0.000000  1  1.0\n2.5  0.990000  9  100\n7.0  0.999000  9  1000\n"
    assert [_latency.quantile(plot, q) for q in (0.5, 0.99, 0.999)] == [2.5, 2.5, 7.0]
    with pytest.raises(ValueError, match="no quantile"):
        _latency.quantile(plot, 0.9999)
