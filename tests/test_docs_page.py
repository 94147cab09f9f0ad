"""The pages in a real browser: their scripts run under their policy, and everyone can use them on any screen."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bench._servers import need, run
from tests.clients.servers import running, serving
from tests.conftest import BUNDLES, ROOT

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
@pytest.mark.parametrize(("path", "checks"), [("/docs", 20), ("/", 10)])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    url: str, width: int, scheme: str, path: str, checks: int, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "tests" / "openapi", HERE, dirs_exist_ok=True)
    run(need("npm", "npm"), "ci", "--no-audit", "--no-fund", folder=HERE)
    axe = (HERE / "node_modules" / "axe-core" / "axe.min.js").read_text()
    with urlopen(f"{url}{path}") as answer:
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
    assert found["passes"] > checks


def test_a_browser_gets_in_with_a_key(url: str, tmp_path: Path) -> None:
    """The page that asks for a key, given one as a tab that has it, becomes the page that was asked for."""
    forgo = shutil.which("forgo", path=str(ROOT / ".venv" / "bin")) or "forgo"
    made = subprocess.run([forgo, "key", "people", "--json"], capture_output=True, text=True, check=True)
    key = json.loads(made.stdout)
    keys = tmp_path / "keys"
    keys.write_text(key["line"] + "\n")
    keys.chmod(0o600)
    with running(BUNDLES / "iris.forgo", "--keys", keys) as places:
        asked = urllib.request.Request(f"http://{places['http']}/docs", headers={"Accept": "text/html"})
        with pytest.raises(HTTPError) as refused:
            urlopen(asked)
        with refused.value:
            page = refused.value.read().decode()
        assert refused.value.code == 401
        # The script, as if the field had been filled in and the button pressed.
        policy = refused.value.headers["Content-Security-Policy"]
        assert "'unsafe" not in policy
        script = page.split("<script>")[1].split("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        press = f"show({json.dumps(key['key'])});"
        served = _proxy(places["http"], page.replace("</script>", press + "</script>"))
        with served as address:
            shown = rendered(f"{address}/docs")
    assert "setosa" in shown
    assert shown.count('aria-label="Copy: ') > 10


@contextlib.contextmanager
def _proxy(server: str, page: str) -> Iterator[str]:
    """The server behind an address of its own, whose answer to a request for /docs without a key is page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.headers.get("X-API-Key")
            body = page.encode()
            if key:
                with urlopen(
                    urllib.request.Request(f"http://{server}{self.path}", headers={"X-API-Key": key})
                ) as answer:
                    body = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}"
        finally:
            proxy.shutdown()
            thread.join()
