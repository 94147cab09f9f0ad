"""Where the processor time of a JSON prediction goes, by Go's profiler: ``python -m bench.profile``.

Writes docs/benchmarks/profile.md. The server is loaded as ``make bench`` loads it.
"""

from __future__ import annotations

import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from bench import _cases
from bench._cases import Case, verify, write_requests
from bench._report import machine, machine_line, table
from bench._results import turn
from bench._servers import HERE, ROOT, forgo, run, running

SECONDS = 10
# Functions with what they call. Those with a dash are parts of the handler.
PARTS = {
    "net/http.(*conn).readRequest": "reading a request's head: net/http, the kernel",
    "net/http.(*response).finishRequest": "sending the answer: net/http, the kernel",
    "runtime.schedule": "waiting for sockets and switching goroutines: Go's scheduler, the kernel",
    "runtime.gcBgMarkWorker": "collecting garbage",
    "net/http.serverHandler.ServeHTTP": "forgo's handler",
    "github.com/forgo-ml/forgo/serve/oip.readCall": "– reading the body and parsing JSON",
    "github.com/forgo-ml/forgo/predict/pure.(*session).Run": "– the network",
    "github.com/forgo-ml/forgo/serve/oip.writeAnswer": "– writing the answer",
}


def profile(seconds: int) -> bytes:
    """The profile of a loaded server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    server = forgo()
    command = [admin if before == "--admin" else word for before, word in zip(["", *server.command], server.command, strict=False)]  # fmt: skip
    server = replace(server, command=command)
    case = Case("profile", "forgo, JSON", "prediction", lambda: server, _cases.forgo_json)
    files = write_requests(case, HERE / "requests" / case.name)
    with running(server) as port, ThreadPoolExecutor() as pool:
        verify(case, port)
        turn("wrk", case, port, 2, files)
        loaded = pool.submit(turn, "wrk", case, port, seconds + 2, files)
        with urlopen(f"http://{admin}/debug/pprof/profile?seconds={seconds}", timeout=seconds + 30) as answer:
            got: bytes = answer.read()
        loaded.result()
        verify(case, port)
    return got


def shares(data: bytes) -> dict[str, float]:
    """Each function's share of the time, what it calls included, by its name."""
    path = HERE / "cpu.pprof"
    path.write_bytes(data)
    top = run("go", "tool", "pprof", "-top", "-cum", "-nodecount=5000", "-nodefraction=0", path)
    rows = re.findall(r"^ *\S+ +\S+% +\S+% +\S+ +(\S+)% +(.+)$", top, re.MULTILINE)
    return {name.removesuffix(" (inline)"): float(share) for share, name in rows}


def page(found: dict[str, float]) -> str:
    """The page of a run."""
    rows = [[what, f"`{name}`", f"{found.get(name, 0):.0f} %"] for name, what in PARTS.items()]
    return f"""# Profile

`python -m bench.profile` wrote this page on {datetime.now(UTC):%Y-%m-%d}: a CPU profile of `forgo serve` while it
answers JSON predictions of the digits network on 32 connections for {SECONDS} s. Each row includes the functions that it calls.

{table(["work", "function", "processor time"], rows, right=2)}

{machine_line(machine())}
"""


if __name__ == "__main__":
    found = shares(profile(SECONDS))
    if sys.argv[1:] == ["--top"]:
        for name, share in list(found.items())[:80]:
            print(f"{share:6.2f} {name}")
    else:
        Path(ROOT / "docs" / "benchmarks" / "profile.md").write_text(page(found))
