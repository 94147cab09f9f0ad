"""A short soak, and what it must find; what overload judges by."""

from __future__ import annotations

import json
import shutil
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stress import _rude, overload, soak
from stress._server import Server, serving


@pytest.fixture(scope="module")
def networks() -> None:
    soak.train()


@pytest.fixture
def soaked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(soak, "MODELS", tmp_path / "models")
    monkeypatch.setattr(sys, "argv", ["soak", "--seconds", "12", "--out", str(tmp_path)])
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("networks")
def test_a_short_soak(soaked: Path) -> None:
    assert soak.main() == 0, (soaked / "soak.md").read_text()
    figures = json.loads((soaked / "soak.json").read_text())
    assert figures["requests"] >= 0.95 * 12 * soak.RATE
    assert min(figures["requests_by_protocol"].values()) > 0.2 * figures["requests"]
    assert "not judged" in (soaked / "soak.md").read_text()
    assert figures["versions"] >= 12
    assert figures["of_them_broken"] == 1
    assert figures["versions_that_answered"] >= figures["versions"] - 2
    assert set(figures["misbehaved"]) == {*_rude.WAYS, _rude.HANDSHAKE}
    assert set(figures["misbehaved_by_port"]) == {"HTTP", "HTTP with TLS", "gRPC", "gRPC with TLS"}
    assert sum(figures["misbehaved"].values()) > 50


@pytest.mark.slow
@pytest.mark.usefixtures("networks")
def test_an_answer_of_another_version_is_found(
    soaked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = soaked / "mixed"
    shutil.copytree(soak.NETWORKS, mixed)
    said = json.loads((mixed / "answers.json").read_text())
    said["answers"].append(said["answers"].pop(0))  # each network has the next one's
    (mixed / "answers.json").write_text(json.dumps(said))
    monkeypatch.setattr(soak, "NETWORKS", mixed)
    assert soak.main() == 1
    assert "version 1 answers" in capsys.readouterr().err


class Cut(socketserver.BaseRequestHandler):
    """Takes a request and hangs up."""

    def handle(self) -> None:
        self.request.recv(1 << 16)


@contextmanager
def cutting(*arguments: str | Path, log: Path, grpc: bool) -> Iterator[Server]:
    """A server whose operators reach it and whose clients do not."""
    with (
        serving(*arguments, log=log, grpc=grpc) as server,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cut) as cut,
    ):
        threading.Thread(target=cut.serve_forever).start()
        try:
            yield replace(server, http=f"http://127.0.0.1:{cut.server_address[1]}")
        finally:
            cut.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("networks")
def test_cut_connections_are_found(
    soaked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "serving", cutting)
    # Otherwise the rude clients' own check ends the soak, at times before a good one is cut.
    monkeypatch.setattr(_rude, "answers", lambda _: True)
    assert soak.main() == 1
    said = capsys.readouterr().err
    assert "soak: client " in said
    assert "SSLEOFError" in said or "ConnectionReset" in said


def test_answers_without_a_version_are_held_to_those_that_may_answer() -> None:
    rows = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    state = soak.State(rows=[[0.0]], answers=[[row] for row in rows], broken={4})

    def judge(got: list[float], version: int | None = None) -> str | None:
        return soak.judge_answer(state, version, got, [0], before=2, put=4)

    assert judge(rows[2]) is None  # version 2
    assert judge(rows[0]) is None  # version 3
    assert "version 2 to 4 answers" in (judge(rows[1]) or "")  # version 4 is broken
    assert judge(rows[0], version=3) is None
    assert "version 2 answers [1.0" in (judge(rows[0], version=2) or "")
    for version in (1, 4, 5):
        assert f"version {version} answers after 2 did" in (judge(rows[version % 3], version) or "")


def test_memory_that_grows_is_seen() -> None:
    flat = [(t / 5, 80 << 20) for t in range(3000)]
    rising = [(t / 5, (80 << 20) + t * 6000) for t in range(3000)]
    settling = [(t / 5, (80 << 20) + min(t, 1400) * 2000) for t in range(3000)]
    assert soak.growth(flat, 600)["memory_grown"] == 0
    assert soak.growth(settling, 600)["memory_grown"] == 0
    grown = soak.growth(rising, 600)
    assert grown["memory_grown"] == pytest.approx(1500 * 6000 / 2**20, rel=0.01)
    assert grown["memory_at_the_end"] > 1.1 * grown["memory_after_a_minute"]


def test_soak_names_what_is_wrong() -> None:
    right = soak.Figures(
        seconds=600, requests=114000, requests_by_protocol={}, versions=601, of_them_broken=60,
        versions_that_answered=541, misbehaved={}, misbehaved_by_port={}, memory_after_a_minute=100, memory_at_the_end=101, memory_most=109,
        memory_least=91, memory_grown=0.9,
    )  # fmt: skip
    assert right.faults() == []
    for fault, wrong in {
        "113999 requests were answered of 120000": replace(right, requests=113999),
        "91.0 to 110.1 MiB, not within 10%": replace(right, memory_most=110.1),
        "89.9 to 109.0 MiB, not within 10%": replace(right, memory_least=89.9),
        "memory grows: by 1.1 MiB": replace(right, memory_grown=1.1),
    }.items():
        assert [fault in said for said in wrong.faults()] == [True]
    assert replace(right, seconds=299, memory_most=200, memory_grown=9).faults() == []


def test_overload_names_what_is_wrong() -> None:
    right = overload.Figures(
        max_wait=1, best_a_second=20, offered_a_second=200, requests=12000, answered=1140,
        answered_a_second=19, share_of_best=0.95, answered_p50=0.9, answered_p99=1.2, answered_worst=1.3, refused=10860,
        refused_p50=0.001, refused_p99=0.01, failed=0, memory_before=500, memory_first_half=600,
        memory_second_half=610,
    )  # fmt: skip
    assert right.faults() == []
    for fault, wrong in {
        "neither answered nor refused": replace(right, failed=1),
        "99th percentile": replace(right, answered_p99=2.1),
        "refusals took": replace(right, refused_p50=0.02),
        "less than 90%": replace(right, share_of_best=0.89),
        "memory grew": replace(right, memory_second_half=700),
    }.items():
        assert [fault in said for said in wrong.faults()] == [True]
