"""The Go benchmarks: what a request costs without the network, and what batching saves."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench._servers import ROOT, run

LINE = re.compile(r"^Benchmark(\S+?)-\d+\s+\d+\s+([\d.]+) ns/op\s+(\d+) B/op\s+(\d+) allocs/op")


@dataclass(frozen=True)
class Cost:
    """The medians of one benchmark."""

    name: str
    nanoseconds: float
    bytes: float
    allocations: float

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def measure(seconds: int, rounds: int) -> list[Cost]:
    """Run them in turns."""
    seen: dict[str, list[tuple[float, ...]]] = {}
    for _ in range(rounds):
        printed = run(
            ROOT / "scripts" / "go.sh", "test", "-run=^$", "-bench=^Benchmark(Request|Run)$", "-benchmem",
            f"-benchtime={seconds}s", "./predict", "./serve",
        )  # fmt: skip
        for line in printed.splitlines():
            if found := LINE.match(line):
                name, *figures = found.groups()
                seen.setdefault(name.replace("_", " "), []).append(tuple(map(float, figures)))
    return [Cost(name, *map(median, zip(*turns, strict=True))) for name, turns in seen.items()]
