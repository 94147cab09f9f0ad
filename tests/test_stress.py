"""A short soak, and what it must find; what overload judges by."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stress import overload, soak


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
    assert figures["requests"] > 1000
    assert figures["versions"] >= 12
    assert figures["of_them_broken"] == 1
    assert figures["versions_that_answered"] >= figures["versions"] - 2


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


def test_memory_that_grows_is_seen() -> None:
    flat = [(t / 5, 80 << 20) for t in range(3000)]
    rising = [(t / 5, (80 << 20) + t * 6000) for t in range(3000)]
    assert soak.growth(flat, 600)["memory_grown"] == 0
    grown = soak.growth(rising, 600)
    assert grown["memory_grown"] == pytest.approx(2700 * 6000 / 2**20, rel=0.01)
    assert grown["memory_at_the_end"] > 1.1 * grown["memory_after_a_minute"]


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
