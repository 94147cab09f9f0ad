"""Progress where stderr is no terminal: a long step is not silent, a short one is not noisy."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
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


@pytest.mark.slow
def test_no_phase_of_training_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import forgo

    monkeypatch.setattr(_progress, "_EVERY", 0.0)
    for n, name in enumerate(("dark", "light")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), (60 * n + i, 9 * i, 150 * n)).save(tmp_path / "data" / name / f"{i}.png")
    out = io.StringIO()
    forgo.train(
        tmp_path / "data", tmp_path / "m.forgo", image_size=8, epochs=1, batch_size=4, augment="none",
        valid=0.34, console=Console(file=out, width=200),
    )  # fmt: skip
    for line in (
        "12 of 12 pictures read",
        "epoch 1/1  step 2 of 2",
        "epoch 1/1  held out: step 1",
        "4 of 4 held-out pictures answered",
    ):
        assert line in out.getvalue(), (line, out.getvalue())
