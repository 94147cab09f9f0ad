"""What forgo reaches and writes: no socket but those it serves on, no file but those it documents.

Seen from outside, with strace, in a home of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import BUNDLES, FORGO, ROOT

IRIS = BUNDLES / "iris.forgo"
ROW = IRIS / "golden" / "000.json"
SAVED_MODEL = ROOT / "conformance" / "savedmodels" / "keras"

CALLS = (
    "%network,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
)


@pytest.fixture(scope="module")
def strace() -> str:
    if shutil.which("strace") is None:
        done = subprocess.run([ROOT / "scripts/apt.sh", "strace"], check=False)
        if done.returncode != 0:
            pytest.skip("strace is missing and cannot be installed")
    return "strace"


class Watched:
    """A process under strace: its sockets, and the files that it made or opened to write."""

    def __init__(self, strace: str, folder: Path, *command: str | Path) -> None:
        self.home, self.log = folder / "home", folder / "calls"
        self.temporary = folder / "tmp"
        self.home.mkdir()
        self.temporary.mkdir()
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_", "PYTEST"))}
        del keep["PATH"]
        self.process = subprocess.Popen(
            [strace, "--seccomp-bpf", "-f", "-qq", "-y", "-e", f"trace={CALLS}", "-o", self.log, *command],
            # Python leaves no __pycache__, whose place is the package's, so that a test sees none.
            env={**keep, "PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.temporary),
                 "ORT_DISABLE_TELEMETRY": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self) -> None:
        """End what a failed test has left running; strace takes its child along."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        out, err = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, out + err

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def network(self) -> list[str]:
        names = "socket|socketpair|connect|bind|listen|sendto|sendmsg|sendmmsg|recvfrom"
        return [call for call in self.calls if re.search(rf"^\d+ +({names})\(", call)]

    def written(self, *allowed: Path) -> list[str]:
        """The calls that make something, or open it to write, outside of what is allowed."""
        makes = [
            call
            for call in self.calls
            if re.search(r"^\d+ +(mkdir|rename|link|symlink|creat)|O_CREAT|O_WRONLY|O_RDWR|O_TMPFILE", call)
            and not re.search(r"= -1 |/dev/(null|tty|shm)|/proc/self|/sys/fs", call)
        ]
        places = [str(path) for path in (self.temporary, *allowed)]
        return [call for call in makes if not any(path in call for path in places)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", IRIS],
        ["predict", "--json", IRIS, ROW],
        ["predict", ROOT / "conformance/graphs/same-float32.onnx", "row.json"],
        ["predict", ROOT / "conformance/savedmodels/same-float32", "row.json"],
        ["inspect", IRIS],
        ["doctor"],
        ["inspect", "--check", SAVED_MODEL],
    ],
    ids=lambda a: "-".join(Path(part).name for part in a),
)
def test_verbs_reach_nothing_and_leave_nothing(
    strace: str, tmp_path: Path, arguments: list[str | Path]
) -> None:
    (tmp_path / "row.json").write_text("[1, 2]")
    watched = Watched(strace, tmp_path, FORGO, *arguments)
    watched.end()
    assert watched.network == []
    assert watched.written() == []
    assert list(watched.home.iterdir()) == []
    assert list(watched.temporary.iterdir()) == []


def test_serve_opens_the_ports_it_was_given_and_nothing_else(strace: str, tmp_path: Path) -> None:
    watched = Watched(
        strace, tmp_path, FORGO, "serve", IRIS, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
        "--admin", "127.0.0.1:0",
    )  # fmt: skip
    strace_id = watched.process.pid
    try:
        assert watched.process.stderr is not None
        url = next(
            entry["url"]
            for entry in map(json.loads, watched.process.stderr)
            if entry["msg"] == "serving" and entry.get("url", "").startswith("http")
        )
        request = urllib.request.Request(
            f"{url}/models/iris", data=ROW.read_bytes(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        (tracee,) = Path(f"/proc/{strace_id}/task/{strace_id}/children").read_text().split()
        os.kill(int(tracee), signal.SIGTERM)
        watched.end()
    finally:
        watched.kill()
    assert [call for call in watched.network if "connect(" in call] == []
    bound = [call for call in watched.network if "bind(" in call]
    assert len([call for call in bound if "127.0.0.1" in call]) >= 3
    assert [
        call for call in bound if "127.0.0.1" not in call and "::1" not in call and "::ffff:127" not in call
    ] == []
    assert watched.written() == []
    assert list(watched.home.iterdir()) == []
    assert list(watched.temporary.iterdir()) == []


PREPARE = """
import sys
{first}
import forgo
import numpy as np
from forgo._preprocess import Preprocessor, build
Preprocessor(build(8, 8))(np.zeros((9, 9, 3), np.uint8))
"""


def test_python_reaches_nothing(strace: str, tmp_path: Path) -> None:
    watched = Watched(strace, tmp_path, sys.executable, "-c", PREPARE.format(first=""))
    watched.end()
    assert watched.network == []
    assert watched.written() == []
    assert list(watched.home.iterdir()) == []


@pytest.mark.slow
def test_export_writes_its_bundle_and_nothing_else(strace: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROW.read_text().strip() + "\n")
    watched = Watched(
        strace, tmp_path, FORGO, "export", SAVED_MODEL, "-o", tmp_path / "k.forgo", "--examples", rows
    )
    watched.end()
    # urllib3, which Keras imports, tests for IPv6 by taking a port of ::1; nothing is sent.
    calls = [re.sub(r"^\d+ +(\w+).*", r"\1", call) for call in watched.network]
    assert set(calls) <= {"socket", "bind"}
    assert [call for call in watched.network if "bind(" in call and '"::1"' not in call] == []
    assert watched.written(tmp_path) == []
    left = {str(p.relative_to(watched.home)) for p in watched.home.rglob("*") if p.is_file()}
    assert {re.sub(r"-v[\d.]+json", "", name) for name in left} <= {
        ".keras/keras.json",
        ".cache/matplotlib/fontlist",
    }


LOAD = """
import forgo
with forgo.load({bundle!r}) as model:
    assert model.classify([[5.9, 3.2, 4.8, 1.8]])
"""


def test_a_session_reaches_its_own_socket(strace: str, tmp_path: Path) -> None:
    watched = Watched(strace, tmp_path, sys.executable, "-c", LOAD.format(bundle=str(IRIS)))
    watched.end()
    reached = [call for call in watched.network if re.search(r"\b(bind|connect)\(", call)]
    assert any("connect(" in call for call in reached)
    assert [call for call in reached if "AF_UNIX" not in call or str(watched.temporary) not in call] == []
    assert watched.written() == []
    assert list(watched.home.iterdir()) == []
    assert list(watched.temporary.iterdir()) == []
