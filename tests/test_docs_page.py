"""/docs in a real browser: its script runs under its policy, and everyone can use it on any screen."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from bench._servers import need, run
from tests.clients.servers import serving
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
HERE = ROOT / "build" / "axe"
# Everything is opened, so that all of it is looked at.
LOOK = """
for (const d of document.querySelectorAll("details")) d.open = true;
axe.run().then((found) => parent.postMessage({
  passes: found.passes.length,
  violations: found.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" ")),
  wide: document.documentElement.scrollWidth - innerWidth,
}));
"""
FRAME = """<!doctype html><body style="margin:0"><iframe style="border:0;height:900px;width:{width}px"
srcdoc="{page}"></iframe><pre></pre><script>
addEventListener("message", (e) => document.querySelector("pre").textContent = JSON.stringify(e.data));
</script>"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(
        ["shapes", "iris", "halves", "two", "same-string"], tmp_path_factory.mktemp("models")
    ) as servers:
        yield servers["iris"].url


def rendered(address: str, *options: str) -> str:
    """What a browser makes of a page."""
    command = [need("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=60000", *options, address],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_its_script_runs_under_its_policy(url: str) -> None:
    page = rendered(f"{url}/docs")
    assert page.count('aria-label="Copy: ') == page.count('class="sample"') > 40


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_too_wide(url: str, width: int, scheme: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "openapi", HERE, dirs_exist_ok=True)
    run(need("npm", "npm"), "ci", "--no-audit", "--no-fund", folder=HERE)
    axe = (HERE / "node_modules" / "axe-core" / "axe.min.js").read_text()
    with urlopen(f"{url}/docs") as answer:
        page = answer.read().decode()
    page = page.replace("</body>", f"<script>{axe}</script><script>{LOOK}</script></body>")
    framed = tmp_path / "framed.html"
    framed.write_text(FRAME.format(width=width, page=html.escape(page)))
    options = ["--force-dark-mode"] if scheme == "dark" else []
    (said,) = re.findall(
        r"<pre>(\{.*\})</pre>", rendered(framed.as_uri(), "--window-size=1400,1000", *options)
    )
    found: dict[str, Any] = json.loads(html.unescape(said))
    assert found["violations"] == []
    assert found["wide"] <= 0
    assert found["passes"] > 20
