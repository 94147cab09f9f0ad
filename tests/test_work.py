"""Working folders: what a killed process leaves behind is gone, or put back, at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forgo import _work

HOLD = """
import os, sys, time
from pathlib import Path
from forgo import _work
place = Path(sys.argv[1])
with _work.working_folder(place) as work:
    (work / "big").write_bytes(b"x")
    if len(sys.argv) > 2:
        place.rename(work / "old")
    print("ready", flush=True)
    time.sleep(60)
"""


def hold(path: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as out:
        assert out.readline() == "ready\n"
    return process


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_working_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with _work.working_folder(tmp_path / "m.forgo") as work:
        assert work.is_dir()
    assert hidden(tmp_path) == []
    with pytest.raises(ValueError, match="x"), _work.working_folder(tmp_path / "m.forgo"):
        raise ValueError("x")
    assert hidden(tmp_path) == []


def test_a_killed_process_is_cleaned_up_after_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m[1].forgo"
    killed, living = hold(path), hold(path)
    try:
        killed.kill()
        killed.wait()
        assert len(hidden(tmp_path)) == 2
        with _work.working_folder(path):
            pass
        assert len(hidden(tmp_path)) == 1
    finally:
        living.kill()
        living.wait()
    with _work.working_folder(path):
        pass
    assert hidden(tmp_path) == []


def test_a_bundle_that_was_being_replaced_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "m.forgo"
    path.mkdir()
    (path / "forgo.json").write_text("old")
    killed = hold(path, "replace")
    assert not path.exists()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    with _work.working_folder(path):
        assert (path / "forgo.json").read_text() == "old"
    assert hidden(tmp_path) == []
