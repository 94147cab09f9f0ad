"""The OpenAPI document against the server that gives it, with requests that nobody thought of."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.clients.servers import running, serving
from tests.conftest import BUNDLES, ROOT, forgo
from tests.environments import environment

HERE = ROOT / "tests" / "openapi"

MODELS = ["shapes", "iris", "halves", "two", "same-string", "regression:total"]


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


def schemathesis(url: str, bundles: list[Path], folder: Path, *options: str) -> None:
    """Every check in every phase, on the document that a server gives."""
    command: list[str | Path] = [environment(HERE).with_name("schemathesis")]
    command += ["--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json"]
    done = subprocess.run(
        [*command, "--checks", "all", "--no-color", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
            "FORGO_TEST_BUNDLES": os.pathsep.join(map(str, bundles)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Pictures, rows, two inputs, text and one number: no 5xx, and nothing that breaks a schema."""
    with serving(MODELS, tmp_path) as servers:
        url = next(iter(servers.values())).url
        schemathesis(url, [s.bundle for s in servers.values()], tmp_path, "--max-examples", "100")


@pytest.mark.slow
def test_schemathesis_finds_no_way_around_keys(tmp_path: Path) -> None:
    made = json.loads(forgo("key", "tester", "--json").out)
    (tmp_path / "keys.txt").write_text(made["line"] + "\n")
    bundles = [BUNDLES / "iris.forgo", BUNDLES / "shapes.forgo"]
    with running(*bundles, "--keys", tmp_path / "keys.txt") as places:
        shown = ["--header", f"X-API-Key: {made['key']}", "--header", f"Authorization: Bearer {made['key']}"]
        schemathesis(f"http://{places['http']}", bundles, tmp_path, "--max-examples", "10", *shown)
