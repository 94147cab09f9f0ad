"""Ten times more uploads of photographs than ResNet50 can answer (``make overload``).

First the most that it answers is measured, by clients that wait for each answer; then requests
come at ten times that rate whether or not they are answered; and so in turns. The server is told
to let nobody wait for longer than ``--max-wait``.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from stress import _page
from stress._server import HERE, ROOT, Server, on, serving

BUNDLE = HERE / "resnet50.forgo"
VEGETA = ["go", "tool", "-modfile=go.tool.mod", "vegeta"]
TIMES = 10
TEXT = """
The client uploads JPEG photographs of 640 × 427 pixels to a ResNet50 (float32). It has a core of its own, so that it takes
no time from the server, which has {} of this machine's {}. First, clients that wait for each answer find the
best rate of answers. Then requests arrive at ten times that rate, whether or not earlier ones were answered. There are three
turns of both, {} s of overload in all; the rates are medians over the turns, and their ratio is the median of the ratios.
The server runs with `--max-wait {:g}s {}`. `make overload` measures this.
"""
SETTINGS = "--max-batch-rows 4"
CORES = sorted(os.sched_getaffinity(0))  # the first is the client's
CLIENTS = (4, 8)  # that wait for their answers, 20 s each
TURNS = 3  # of both parts, so that a machine that changes its pace changes both


class Request(NamedTuple):
    """One request: when it was sent (in seconds since 1970), its status (0: no answer), seconds to its answer."""

    sent: float
    status: int
    took: float


@dataclass(frozen=True)
class Figures:
    """What was measured, times in seconds and memory in MiB."""

    max_wait: float
    best_a_second: float
    offered_a_second: float
    requests: int
    answered: int
    answered_a_second: float
    share_of_best: float
    answered_p50: float
    answered_p99: float
    answered_worst: float
    refused: int
    refused_p50: float
    refused_p99: float
    failed: int
    memory_before: float
    memory_first_half: float
    memory_second_half: float

    def rows(self) -> dict[str, str]:
        """The figures in words."""
        return {
            "best rate of answers": f"{self.best_a_second:.1f} a second",
            "requests sent": f"{self.offered_a_second:.0f} a second, {self.requests:,} in all",
            "answered": f"{self.answered_a_second:.1f} a second, {self.share_of_best:.0%} of the best",
            "latency of an answer": f"{self.answered_p50:.2f} s at the median, {self.answered_p99:.2f} s at the 99th percentile, {self.answered_worst:.2f} s at most",
            "latency of a refusal (429)": f"{1000 * self.refused_p50:.1f} ms at the median, {1000 * self.refused_p99:.1f} ms at the 99th percentile",
            "neither answered nor refused": f"{self.failed}",
            "memory": f"{self.memory_first_half:.0f} MiB at most in the first half, {self.memory_second_half:.0f} MiB in the second",
        }

    def faults(self) -> list[str]:
        """What is not as it should be."""
        bars = {
            f"{self.failed} requests were neither answered nor refused": self.failed == 0,
            f"answers took {self.answered_p99:.2f} s at the 99th percentile, twice --max-wait or more": self.answered_p99
            < 2 * self.max_wait,
            f"refusals took {1000 * self.refused_p50:.1f} ms at the median, 10 or more": self.refused_p50
            < 0.010,
            f"{self.share_of_best:.1%} of the best rate of answers is less than 90%": self.share_of_best
            >= 0.9,
            "memory grew until the end": self.memory_second_half < 1.1 * self.memory_first_half,
        }
        return [fault for fault, right in bars.items() if not right]


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m stress.overload", description=__doc__)
    seconds = os.environ.get("OVERLOAD_SECONDS", "60")
    parser.add_argument("--seconds", type=int, default=seconds, help="of overload (OVERLOAD_SECONDS)")
    parser.add_argument("--max-wait", type=float, default=1, metavar="SECONDS", help="for the server")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", metavar="FOLDER")
    return parser.parse_args()


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def train() -> list[Path]:
    """Make the bundle where it is not there; returns the photographs."""
    photos = HERE / "photographs"
    subprocess.run([sys.executable, "-m", "stress._photos", photos], check=True, cwd=ROOT)
    if not BUNDLE.exists():
        say("training ResNet50 for one epoch, from weights at random")
        command: list[str | Path] = [Path(sys.executable).with_name("forgo"), "train", photos, "-o", BUNDLE]
        options = ["--backbone", "resnet50", "--weights", "none", "--epochs", "1", "--batch-size", "8"]
        subprocess.run([*command, *options], check=True)
    return sorted(photos.glob("*/*.jpg"))


def attack(server: Server, photographs: list[Path], seconds: int, *how: str) -> list[Request]:
    """Load the server; returns what became of each request."""
    targets = HERE / "targets"
    targets.write_text("".join(f"POST {server.http}/models/resnet50\n@{path}\n\n" for path in photographs))
    # The rate is kept whatever happens; a client gives up long after the server should have.
    options = [f"-duration={seconds}s", "-timeout=60s", "-max-body=0", f"-targets={targets}", *how]
    results = HERE / "results.bin"
    subprocess.run([*on({CORES[0]}), *VEGETA, "attack", *options, f"-output={results}"], check=True, cwd=ROOT)
    rows = subprocess.run(
        [*VEGETA, "encode", "-to=csv", results], check=True, cwd=ROOT, capture_output=True, text=True
    )
    return [
        Request(int(row[0]) / 1e9, int(row[1]), int(row[2]) / 1e9)
        for row in csv.reader(rows.stdout.splitlines())
    ]


def answers_a_second(requests: list[Request]) -> float:
    """The rate at which answers came while requests were sent, the first two seconds left out."""
    begun = min(r.sent for r in requests) + 2
    ended = max(r.sent for r in requests)
    return sum(r.status == 200 and begun < r.sent + r.took <= ended for r in requests) / (ended - begun)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(photographs: list[Path], seconds: int, max_wait: float) -> Figures:
    """Both parts in turn, against one server."""
    options = ["--max-wait", f"{max_wait}s", *SETTINGS.split()]
    best: list[float] = []
    answered_a_second: list[float] = []
    offered: list[int] = []
    requests: list[Request] = []
    with serving(BUNDLE, *options, log=HERE / "overload.log", cores=set(CORES[1:])) as server:
        for _ in range(TURNS):
            rates = []
            for clients in CLIENTS:
                rates.append(
                    answers_a_second(attack(server, photographs, 20, "-rate=0", f"-max-workers={clients}"))
                )
                say(f"{clients} clients that wait for their answers: {rates[-1]:.1f} a second")
            best.append(max(rates))
            if not offered:
                before, samples = server.resident(), len(server.memory)
            offered.append(round(TIMES * best[-1]))
            turn = attack(server, photographs, seconds // TURNS, f"-rate={offered[-1]}", "-max-workers=10000")
            answered_a_second.append(answers_a_second(turn))
            say(f"{offered[-1]} requests a second: {answered_a_second[-1]:.1f} answers a second")
            requests += turn
        memory = [size for _, size in server.memory[samples:]]
    answered = [r.took for r in requests if r.status == 200]
    refused = [r.took for r in requests if r.status == 429]
    return Figures(
        max_wait=max_wait,
        best_a_second=statistics.median(best),
        offered_a_second=statistics.median(offered),
        requests=len(requests),
        answered=len(answered),
        answered_a_second=statistics.median(answered_a_second),
        share_of_best=statistics.median(a / b for a, b in zip(answered_a_second, best, strict=True)),
        answered_p50=statistics.median(answered),
        answered_p99=percentile(answered, 0.99),
        answered_worst=max(answered),
        refused=len(refused),
        refused_p50=statistics.median(refused),
        refused_p99=percentile(refused, 0.99),
        failed=len(requests) - len(answered) - len(refused),
        memory_before=before / 2**20,
        memory_first_half=max(memory[: len(memory) // 2]) / 2**20,
        memory_second_half=max(memory[len(memory) // 2 :]) / 2**20,
    )


def main() -> int:
    """Measure, say, and judge."""
    a = arguments()
    if len(CORES) < 2:
        say("overload: one core is the client's and the server needs another: this machine has one")
        return 1
    HERE.mkdir(parents=True, exist_ok=True)
    figures = measure(train(), a.seconds, a.max_wait)
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(figures).items()}
    faults = figures.faults()
    _page.write(
        a.out / "overload",
        "Overload",
        TEXT.format(len(CORES) - 1, len(CORES), a.seconds, a.max_wait, SETTINGS),
        rounded,
        figures.rows(),
        faults,
    )
    print((a.out / "overload.md").read_text())
    for fault in faults:
        say(f"overload: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
