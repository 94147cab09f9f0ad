"""Strings from outside are shown as text: on the terminal, in card.md and in report.html."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from forgo import report
from forgo._printable import Console, printable
from tests.conftest import forgo

HOSTILE = "\r\x1b[2K\u009b2Kparity proven: 16 of 16 cases\n\u202enevorp [red]:smile: <b>|`"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Käse, 猫, नमस्ते, 👩\u200d🔬", "Käse, 猫, नमस्ते, 👩\u200d🔬"),
        ("\r\x1b[2Kparity proven", r"\r\u001b[2Kparity proven"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u009b \u202e \u2028 \x7f", r"\u009b \u202e \u2028 \u007f"),
        ("tag \U000e0041", r"tag \udb40\udc41"),
        ("no-break\u00a0and wide\u3000one", "no-break\u00a0and wide\u3000one"),
        ("no UTF-8 \udcff", r"no UTF-8 \udcff"),
    ],
)
def test_it_is_as_in_go(text: str, shown: str) -> None:
    assert printable(text) == shown


def text_only(text: str) -> None:
    assert [c for c in text if c != "\n" and printable(c) != c] == []
    assert not any(line.startswith("parity proven") for line in text.splitlines())


def test_what_the_commands_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Console().print(f"class {HOSTILE}", style="yellow", soft_wrap=True)
    shown = capsys.readouterr().err
    text_only(shown)
    assert "[red]:smile: <b>" in shown
    commands: list[list[str | Path]] = [
        ["export", tmp_path / f"{HOSTILE}.keras", "-o", tmp_path / "x.forgo", "--examples", tmp_path],
        ["train", tmp_path / HOSTILE, "-o", tmp_path / "x.forgo"],
        ["predict", tmp_path / HOSTILE, "x"],
    ]
    for arguments in commands:
        done = forgo(*arguments)
        assert done.code == 1
        assert done.err
        text_only(done.err)


def test_report_and_card() -> None:
    manifest = {
        "task": "classification" + HOSTILE,
        "labels": ["a" + HOSTILE, "b"],
        "golden": {"cases": [], "none": HOSTILE},
        "inputs": [{"name": HOSTILE, "dtype": "float32", "shape": [None, 4]}],
        "outputs": [{"name": HOSTILE, "dtype": "float32", "shape": [None, 2]}],
        "tolerance": {"model": 1e-4},
        "engine": "onnxruntime",
        "provenance": {
            "created": "now",
            "framework_difference": 0.0,
            "versions": {"framework": HOSTILE, "forgo": "1", "onnxruntime": "1"},
        },
    }
    pages = report.render(Path("iris.forgo"), manifest, None, 0, "ONNX Runtime")
    for page in pages.values():
        text_only(page)
        assert "\\u001b[2K" in page.replace("\\[", "[").replace("\\\\", "\\")
    assert "<b>|`" not in pages["card.md"]
    assert "&lt;b&gt;" in pages["report.html"]


def test_a_program_that_does_not_write_utf8(tmp_path: Path) -> None:
    done = forgo("export", tmp_path / "猫.keras", "-o", tmp_path / "x.forgo", "--examples", tmp_path,
                 env={"PYTHONIOENCODING": "ascii", "PATH": str(Path(sys.executable).parent)})  # fmt: skip
    assert done.code == 1
    assert "Traceback" not in done.err
