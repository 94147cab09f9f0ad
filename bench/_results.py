"""Turns of wrk, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench._cases import Case
from bench._servers import run

LONGEST = 30  # seconds that an answer may take, and that a turn may grow to until there is one
SCRIPT = Path(__file__).with_name("load.lua")


class LoadError(Exception):
    """Requests of a turn were not answered."""


@dataclass(frozen=True)
class Turn:
    """One turn of one case."""

    rate: float  # requests a second
    p50: float  # milliseconds
    p99: float


def turn(
    wrk: str, case: Case, port: int, seconds: int, files: Sequence[Path], connections: int | None = None
) -> Turn:
    """Load a server for some seconds from one thread, over the case's connections unless told otherwise."""
    connections = connections or case.connections
    printed = run(
        wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{LONGEST}s", "-s", SCRIPT, f"http://127.0.0.1:{port}", "--", *files
    )  # fmt: skip
    got = json.loads(printed.splitlines()[-1])
    if not got["requests"] and not got["errors"] and seconds < LONGEST:
        # Keras on a busy machine takes seconds to answer as many clients for the first time.
        return turn(wrk, case, port, min(4 * seconds, LONGEST), files, connections)
    if got["errors"] or not got["requests"]:
        raise LoadError(f"{case.name}: {got['errors']} of {got['requests']} requests failed")
    return Turn(got["requests"] / got["seconds"], got["p50_ms"], got["p99_ms"])


@dataclass
class Result:
    """The turns of one case."""

    case: Case
    versions: str
    turns: list[Turn] = field(default_factory=list)

    def middle(self, figure: Callable[[Turn], float]) -> float:
        """The median of a figure."""
        return median(map(figure, self.turns))

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.middle(lambda t: t.rate)

    def times(self, other: Result | None) -> float | None:
        """How often the other's rate, by turns of the same round."""
        if other is None:
            return None
        return median(a.rate / b.rate for a, b in zip(self.turns, other.turns, strict=True))

    def figures(self, **more: float | None) -> dict[str, Any]:
        """For the results file, with more figures of three digits after the rates."""
        rates = [t.rate for t in self.turns]
        return {
            "name": self.case.name,
            "title": self.case.title,
            "kind": self.case.kind,
            "versions": self.versions,
            "requests_a_second": round(self.rate),
            "lowest": round(min(rates)),
            "highest": round(max(rates)),
            **{name: rounded(figure) for name, figure in more.items()},
            "p50_ms": self.middle(lambda t: t.p50),
            "p99_ms": self.middle(lambda t: t.p99),
            "rounds": [round(rate) for rate in rates],
        }

    def as_json(self, flask: Result | None, chi: Result | None) -> dict[str, Any]:
        """The figures beside those of older stacks."""
        figures = self.figures(times_flask=self.times(flask), of_chi=self.times(chi))
        return {**figures, "requests_in_30_s": round(30 * self.rate)}


def rounded(x: float | None) -> float | None:
    """Three significant digits."""
    return None if x is None else float(f"{x:.3g}")
