"""Latency at fixed rates: requests are sent when they are due, whether or not earlier ones were answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import _peers
from bench._cases import Case, verify, write_requests
from bench._results import rounded, turn
from bench._servers import HERE, MissingError, run, say
from bench._turns import PATIENCE, answering

# Of the rate that the faster of FastAPI's configurations reaches when 32 clients wait for their answers. The load
# generator runs on the same cores, so that FastAPI holds about half.
SHARES = (0.125, 0.25, 0.5, 1.0)
FASTAPI = ("fastapi-1", "fastapi-2")
FORGO = _peers.FORGO["digits"]
TIMEOUT = 5  # seconds for an answer after the first


@dataclass
class Open:
    """One server at one rate, in rounds of one run."""

    case: Case
    versions: str
    share: float
    asked: int  # requests a second
    rounds: list[dict[str, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the results file: medians."""
        figures = {key: rounded(median(r[key] for r in self.rounds)) for key in self.rounds[0]}
        return {
            "name": self.case.name, "title": self.case.title, "kind": self.case.kind, "versions": self.versions,
            "share": self.share, "asked_a_second": self.asked, **figures,
        }  # fmt: skip


def generator() -> tuple[Path, str]:
    """Vegeta, built from the version that the tools pin, and that version."""
    program, module = HERE / "vegeta", "github.com/tsenart/vegeta/v12"
    run("go", "build", "-modfile=go.tool.mod", "-o", program, module)
    version = run("go", "list", "-modfile=go.tool.mod", "-m", "-f", "{{.Version}}", module)
    return program, f"vegeta {version.removeprefix('v')}"


def targets(case: Case, port: int) -> Path:
    """A file of a case's requests, for vegeta."""
    lines = [
        json.dumps({
            "method": r.method, "url": f"http://127.0.0.1:{port}{r.path}", "body": base64.b64encode(r.body).decode(),
            "header": {name: [value] for name, value in r.headers},
        })
        for r in case.requests()
    ]  # fmt: skip
    path = HERE / "requests" / f"{case.name}.targets"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def quantile(plot: str, least: float) -> float:
    """The value, in milliseconds, of the first line of an HdrHistogram plot at a quantile or above."""
    for line in plot.splitlines()[1:]:
        value, at, *_ = line.split()
        if float(at) >= least:
            return float(value)
    raise ValueError(f"the plot has no quantile {least}")


def attack(vegeta: Path, file: Path, rate: int, seconds: int) -> dict[str, float]:
    """Send requests at a rate for some seconds."""
    results = HERE / "latency.bin"
    run(vegeta, "attack", "-format=json", f"-targets={file}", f"-rate={rate}/1s", f"-duration={seconds}s",
        f"-timeout={TIMEOUT}s", "-max-body=0", f"-output={results}")  # fmt: skip
    report = json.loads(run(vegeta, "report", "-type=json", results))
    plot = run(vegeta, "report", "-type=hdrplot", results)
    return {
        "sent_a_second": report["rate"],
        "answered": report["success"],
        "p50_ms": quantile(plot, 0.5),
        "p99_ms": quantile(plot, 0.99),
        "p999_ms": quantile(plot, 0.999),
    }


def best(cases: Sequence[Case], wrk: str, seconds: int) -> tuple[Case, float]:
    """The case with the highest rate when clients wait for their answers, and the rate."""
    found = []
    for case in cases:
        with answering(case, case.server(), PATIENCE) as (port, _):
            files = write_requests(case, HERE / "requests" / case.name)
            turn(wrk, case, port, seconds, files)
            found.append((turn(wrk, case, port, seconds, files).rate, case))
            say(f"{case.title}: {found[-1][0]:,.0f} /s when clients wait")
    rate, case = max(found, key=lambda pair: pair[0])
    return case, rate


def measure(
    wrk: str, seconds: int, rounds: int, missing: dict[str, str]
) -> tuple[list[Open], dict[str, Any]]:
    """FastAPI's best configuration and forgo, turn about, at each rate; and how they were loaded."""
    cases = {case.name: case for case in _peers.CASES}
    vegeta, version = generator()
    try:
        peer, rate = best([cases[name] for name in FASTAPI], wrk, seconds)
        both = [peer, cases[FORGO]]
    except MissingError as e:
        say(f"FastAPI: NOT MEASURED: {e}")
        missing["FastAPI"] = str(e)
        return [], {"load": version}
    rates = [max(100, round(share * rate, -2)) for share in SHARES]
    lines = {
        case.name: [Open(case, case.server().versions, *pair) for pair in zip(SHARES, map(int, rates), strict=True)]
        for case in both
    }  # fmt: skip
    for number in range(rounds):
        for case in both if number % 2 else reversed(both):
            with answering(case, case.server(), PATIENCE) as (port, _):
                verify(case, port)
                turn(wrk, case, port, seconds, write_requests(case, HERE / "requests" / case.name))
                file = targets(case, port)
                for line in lines[case.name]:
                    got = attack(vegeta, file, line.asked, seconds)
                    line.rounds.append(got)
                    say(f"round {number + 1} of {rounds}  {case.title:<34} {line.asked:>7,} /s  p99 {got['p99_ms']:.3g} ms")  # fmt: skip
                verify(case, port)
    found = [line for pair in zip(*lines.values(), strict=True) for line in pair]
    return found, {"load": version, "peer_a_second": round(rate)}
