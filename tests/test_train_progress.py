"""Progress where stderr is no terminal: a long step is not silent, a short one is not noisy."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from forgo.training import _progress


def test_a_long_step_prints_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("forgo.training._progress.time.monotonic", lambda: now)
    out = io.StringIO()
    ticker = _progress.Ticker(Console(file=out))
    for step in range(1, 61):
        now += 0.5
        ticker.reading(step, 60)
    assert out.getvalue().splitlines() == [
        "  20 of 60 pictures read",
        "  40 of 60 pictures read",
        "  60 of 60 pictures read",
    ]
