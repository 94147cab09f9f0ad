"""scripts/gotest.py and scripts/pytests.py: a test that fails by chance runs once more, alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each fails when it runs first, and leaves a file that tells the next run.
ONCE = """
func Test{0}(t *testing.T) {{
	t.Run("part", func(t *testing.T) {{
		if _, err := os.Stat("{0}.seen"); err != nil {{
			_ = os.WriteFile("{0}.seen", nil, 0o600)
			{1}
		}}
	}})
}}
"""


@pytest.mark.parametrize(
    ("tests", "code", "said"),
    [
        ({"A": 't.Fatal("by chance")'}, 0, ["FLAKY: flaky TestA failed, and passed when it ran again alone"]),
        ({"A": "t.FailNow()", "B": "t.FailNow()"}, 0, ["FLAKY: flaky TestA", "FLAKY: flaky TestB"]),
        ({"A": 'panic("once")'}, 1, ["panic: once"]),
        ({"A": 't.Fatal("WARNING: DATA RACE")'}, 1, ["1 passed, 2 failed"]),
        (dict.fromkeys("ABCD", "t.FailNow()"), 1, ["1 passed, 8 failed"]),
        ({"A": '_ = os.Remove("A.seen"); t.Fatal("always")'}, 1, ["1 passed, 2 failed"]),
    ],
)
def test_second_chance(tests: dict[str, str], code: int, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module flaky\n\ngo 1.24\n")
    (tmp_path / "flaky_test.go").write_text(
        'package flaky\n\nimport (\n\t"os"\n\t"testing"\n)\n\nfunc TestFine(*testing.T) {}\n'
        + "".join(ONCE.format(name, body) for name, body in tests.items())
    )
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "gotest.py", "-count=1", "./..."],
        cwd=tmp_path,
        env={**os.environ, "FORGO_GO_TAGS": "", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    for words in said:
        assert words in done.stdout
    assert ("FLAKY" in done.stdout) == (code == 0)


@pytest.mark.parametrize(("failing", "code"), [(1, 0), (3, 0), (4, 1)])
def test_second_chance_of_pytest(failing: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "test_flaky.py").write_text(
        "import pathlib, pytest\n\n"
        f"@pytest.mark.parametrize('n', range({failing}))\n"
        "def test_once(n):\n"
        "    seen = pathlib.Path(f'{n}.seen')\n"
        "    first = not seen.exists()\n"
        "    seen.touch()\n"
        "    assert not first\n\n"
        "def test_fine():\n    pass\n"
    )
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "pytests.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.count("FLAKY") == (failing if code == 0 else 0)
