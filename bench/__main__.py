"""Measures every server turn about and writes the table, the figures and the chart (``make bench``)."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from bench import (
    _engine,
    _engine_report,
    _go,
    _growth,
    _growth_report,
    _latency,
    _latency_report,
    _models,
    _peers,
    _peers_report,
    _report,
    _turns,
)
from bench._cases import CASES, Case, WrongAnswerError, verify, write_requests
from bench._results import LoadError, Result, turn
from bench._servers import HERE, ROOT, MissingError, need, running, say

PAGES = ROOT / "docs" / "benchmarks"
# What writes a page and its charts again, by the name of its figures.
REPORTS = {
    "results": _report.pages,
    "peers": _peers_report.pages,
    "latency": _latency_report.pages,
    "growth": _growth_report.pages,
    "engine": _engine_report.pages,
}


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", metavar="NAME,…", help=f"of {', '.join(c.name for c in [*CASES, *_peers.CASES])}"
    )
    parser.add_argument(
        "--part",
        choices=["web", "peers", "latency", "growth", "engine"],
        help="one of these: older stacks, other model servers, latency at fixed rates, growth with size, or the bare engine",
    )
    parser.add_argument("--model", choices=list(_peers.FORGO), help="of the peers, those on this model")
    parser.add_argument(
        "--seconds", type=int, default=os.environ.get("BENCH_SECONDS", "3"), help="a turn (BENCH_SECONDS)"
    )
    parser.add_argument(
        "--rounds", type=int, default=os.environ.get("BENCH_ROUNDS", "5"), help="of turns (BENCH_ROUNDS)"
    )
    parser.add_argument("--out", type=Path, default=PAGES, metavar="FOLDER")
    parser.add_argument("--no-go", action="store_true", help="leave out the Go benchmarks")
    parser.add_argument(
        "--redraw", action="store_true", help="only write the pages again, from their figures"
    )
    a = parser.parse_args()
    if a.model:
        a.part = a.part or "peers"
    everything = [*CASES, *_peers.CASES]
    names = a.only.split(",") if a.only else [c.name for c in everything]
    if unknown := [name for name in names if name not in {c.name for c in everything}]:
        parser.error(f"there is no {unknown[0]!r}")
    if a.seconds < 1 or a.rounds < 1:
        parser.error("--seconds and --rounds are 1 or more")
    a.cases = [c for c in CASES if c.name in names and a.part in (None, "web")]
    peers = [c for c in _peers.CASES if c.name in names and a.part in (None, "peers")]
    a.peers = {
        model: cases
        for model in _peers.FORGO
        if a.model in (None, model) and (cases := [c for c in peers if c.model == model])
    }
    a.parts = {part for part in ("latency", "growth", "engine") if a.part == part or not (a.part or a.only)}
    return a


def install(cases: list[Case]) -> tuple[list[Case], dict[str, str]]:
    """The cases whose servers are there, and why the others are not."""
    left, missing = [], {}
    for case in cases:
        try:
            say(f"{case.title}: {case.server().versions}")
            left.append(case)
        except MissingError as e:
            say(f"{case.title}: NOT MEASURED: {e}")
            missing[case.title] = str(e)
    return left, missing


def measure(cases: list[Case], missing: dict[str, str], wrk: str, seconds: int, rounds: int) -> list[Result]:
    """All servers run from the start to the end; one at a time is loaded. Those that do not start are missing."""
    with ExitStack() as stack:
        ports: dict[str, int] = {}
        results, files = [], {}
        for case in cases:
            server = case.server()
            try:
                if server.name not in ports:
                    ports[server.name] = stack.enter_context(running(server))
            except MissingError as e:
                say(f"{case.title}: NOT MEASURED: {e}")
                missing[case.title] = str(e)
                continue
            results.append((Result(case, server.versions), ports[server.name]))
            files[case.name] = write_requests(case, HERE / "requests" / case.name)
            verify(case, ports[server.name])
        # The first round is for caches and JIT compilers, and is not counted.
        for number in range(rounds + 1):
            for result, port in results if number % 2 else reversed(results):
                case = result.case
                got = turn(wrk, case, port, seconds, files[case.name])
                verify(case, port)
                say(
                    f"{f'round {number} of {rounds}' if number else 'warm-up':<13} {case.title:<28} {got.rate:>9,.0f} /s"
                )
                if number:
                    result.turns.append(got)
    return [result for result, _ in results]


def wrk_version(wrk: str) -> str:
    """What wrk calls itself, which it says when it is used wrongly."""
    said = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2])


def redraw(out: Path) -> None:
    """Write the pages again from the figures in a folder, and the README's section if they are the documentation's."""
    for name, pages in REPORTS.items():
        if (path := out / f"{name}.json").exists():
            pages(json.loads(path.read_text()), out)
    if out == PAGES:
        _engine_report.write_section(ROOT / "README.md", out)


def main() -> int:
    """Install, measure, write."""
    a = arguments()
    if a.redraw:
        redraw(a.out)
        return 0
    HERE.mkdir(parents=True, exist_ok=True)
    missing: dict[str, str] = {}
    try:
        wrk = need("wrk", "wrk")
        _models.need("digits")
        about = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "seconds": a.seconds,
            "rounds": a.rounds,
            "load": wrk_version(wrk),
        }
        if a.cases:
            cases, gone = install(a.cases)
            results = measure(cases, gone, wrk, a.seconds, a.rounds)
            if not results:
                raise MissingError("there is no server to measure")
            costs = [] if a.no_go else _go.measure(1, a.rounds)
            _report.write(a.out, results, gone, costs, about)
            missing |= gone
        for model, known in a.peers.items():
            try:
                _models.need(model)
            except MissingError as e:
                say(f"{model}: NOT MEASURED: {e}")
                missing[model] = str(e)
                continue
            cases, gone = install(known)
            rounds = a.rounds if model == "digits" else min(3, a.rounds)
            peers = _turns.measure(cases, gone, wrk, a.seconds, rounds)
            if peers:
                _peers_report.write(a.out, peers, gone, about | {"rounds": rounds})
            missing |= {f"{title} ({model})": why for title, why in gone.items()}
        if "latency" in a.parts:
            gone = {}
            lines, load = _latency.measure(wrk, a.seconds, a.rounds, gone)
            _latency_report.write(a.out, lines, gone, about | load)
            missing |= gone
        if "growth" in a.parts:
            _growth_report.write(
                a.out, _growth.measure(wrk, a.seconds, min(2, a.rounds)), about | {"rounds": min(2, a.rounds)}
            )
        if "engine" in a.parts:
            gone = {}
            ratios = _engine.measure(wrk, a.seconds, a.rounds, gone)
            _engine_report.write(a.out, ratios, gone, about)
            missing |= gone
        if a.out == PAGES:
            _engine_report.write_section(ROOT / "README.md", a.out)
    except (MissingError, WrongAnswerError, LoadError) as e:
        say(f"bench: {e}")
        return 1
    say(f"wrote {a.out}")
    if missing:
        say(f"bench: not measured: {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
