"""The OpenAPI document against the server that gives it, with requests that nobody thought of."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.clients.servers import serving
from tests.conftest import ROOT
from tests.environments import environment

HERE = ROOT / "tests" / "openapi"

MODELS = ["shapes", "iris", "two", "same-string", "regression:total"]


def test_the_pages_commands_work(tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    with serving(MODELS, tmp_path) as servers:
        shutil.copy(servers["shapes"].bundle / "golden" / "000.jpg", tmp_path / "picture.jpg")
        with urlopen(f"{servers['shapes'].url}/docs") as page:
            commands = re.findall(
                r'<pre class="sample"[^>]*><code>(.*?)</code>', page.read().decode(), re.DOTALL
            )
        assert len(commands) > 50
        for command in map(html.unescape, commands):
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env={**os.environ, "CURL_HOME": str(tmp_path)},
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Pictures, rows, two inputs, text and one number: no 5xx, and nothing that breaks a schema."""
    with serving(MODELS, tmp_path) as servers:
        url = next(iter(servers.values())).url
        command: list[str | Path] = [environment(HERE).with_name("schemathesis")]
        command += ["--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json"]
        done = subprocess.run(
            [*command, "--checks", "all", "--max-examples", "100", "--no-color"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
                "FORGO_TEST_BUNDLES": os.pathsep.join(str(s.bundle) for s in servers.values()),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
