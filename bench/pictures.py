"""A photograph decoded and brought to a size: Pillow and NumPy beside forgo's Go library, in turns.

``make bench-pictures`` writes docs/benchmarks/pictures.md. What counts is processor time, all threads and the garbage
collector's included, so that another process disturbs it less; each side's values must be the same to the last bit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, features

from bench._report import machine, machine_line

ROOT = Path(__file__).parent.parent
SIDE = 224
WAYS = {
    "bilinear-pillow": Image.Resampling.BILINEAR,
    "bicubic-pillow": Image.Resampling.BICUBIC,
    "lanczos-pillow": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
PILLOW = "Pillow and NumPy"


def digest(values: npt.NDArray[np.float32]) -> str:
    """The SHA-256 of values, little-endian."""
    return hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()


def pillow(data: bytes, way: Image.Resampling) -> npt.NDArray[np.float32]:
    """What a Python service does with an upload."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), way), np.float32)


@dataclass
class Side:
    """One way to do it, and the time that each picture took in each turn, in nanoseconds."""

    name: str
    turns: list[float] = field(default_factory=list)


class Go:
    """A process of bench/prepare, with or without the instructions of AVX2."""

    def __init__(self, binary: Path, photograph: Path, way: str, avx2: bool) -> None:
        self._process = subprocess.Popen(
            [binary, photograph, way, str(SIDE), str(SIDE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | ({} if avx2 else {"GODEBUG": "cpu.avx2=off"}),
        )  # fmt: skip
        self.decoder = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"bench/prepare ended with {self._process.wait()}")
        return line.strip()

    def turn(self, count: int) -> tuple[float, str]:
        """Nanoseconds of each picture, and the digest of its values."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        took, values = self._line().split()
        return int(took) / count, values

    def end(self) -> None:
        """Have it end, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def builds() -> Iterator[dict[str, Path]]:
    """bench/prepare, as this machine builds it and, if that is something else, without C."""
    script = ROOT / "scripts" / "go.sh"
    tags = subprocess.run(
        [script, "tags"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="forgo-bench-") as folder:
        made: dict[str, Path] = {}
        for name, given in {"forgo": tags, "forgo without C": ""}.items():
            if given != tags or not made:
                made[name] = Path(folder) / name.replace(" ", "-")
                subprocess.run(
                    [script, "build", "-o", made[name], "./bench/prepare"],
                    cwd=ROOT,
                    check=True,
                    env=os.environ | {"FORGO_GO_TAGS": given},
                )
        yield made


def measure(photograph: Path, way: str, binaries: dict[str, Path], rounds: int, count: int) -> list[Side]:
    """Take turns."""
    data = photograph.read_bytes()
    want = digest(pillow(data, WAYS[way]))
    processes = {}
    for avx2 in (True, False):
        for name, binary in binaries.items():
            go = Go(binary, photograph, way, avx2)
            processes[f"{name}{'' if avx2 else ', AVX2 off'}; JPEG by {go.decoder}"] = go
    sides = {name: Side(name) for name in (PILLOW, *processes)}
    for number in range(rounds + 1):
        start = time.process_time_ns()
        for _ in range(count):
            pillow(data, WAYS[way])
        took = {PILLOW: (time.process_time_ns() - start) / count}
        for name, process in processes.items():
            took[name], got = process.turn(count)
            if got != want:
                raise RuntimeError(f"{name} gives other values than Pillow by {way}")
        if number:  # the first one warms up
            for name, nanoseconds in took.items():
                sides[name].turns.append(nanoseconds)
    for process in processes.values():
        process.end()
    return list(sides.values())


def page(photograph: Path, measured: dict[str, list[Side]], rounds: int, count: int) -> str:
    """The results as Markdown."""
    with Image.open(photograph) as image:
        width, height = image.size
    lines = [
        "# Pictures",
        "",
        f"`make bench-pictures` wrote this page. A JPEG of {width} x {height} pixels is decoded and resized to {SIDE} x {SIDE}",
        f"float32 values, by Pillow {PIL.__version__} (libjpeg-turbo {features.version('libjpeg_turbo')}) and NumPy "
        f"{np.__version__}, and by forgo's Go library.",
        "",
        "| filter | by | processor time | of Pillow's | times as fast as Pillow |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for way, (theirs, *ours) in measured.items():
        lines.append(f"| `{way}` | {theirs.name} | {median(theirs.turns) / 1e6:.2f} ms | 1 | 1 |")
        for side in ours:
            share = median(a / b for a, b in zip(side.turns, theirs.turns, strict=True))
            lines.append(
                f"| `{way}` | {side.name} | {median(side.turns) / 1e6:.2f} ms | {share:.2f} | {1 / share:.2f} |"
            )
    lines += [
        "",
        f"The sides take turns of {count} pictures in {rounds} rounds, one side at a time. The times are medians of processor time, the",
        "garbage collector's included; the ratios are medians of the ratios within a round. **Ratios carry over to other machines;",
        "absolute figures do not.** In every turn all sides give the same values, to the last bit. *Without C* is a build without the",
        "tag `turbojpeg`. *AVX2 off* is forgo with `GODEBUG=cpu.avx2=off`, as on a processor without AVX2; libjpeg-turbo and Pillow",
        "still use it. Like `forgo serve`, each Go process has 16 MiB allocated that it never touches.",
        "",
        machine_line(machine()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the page."""
    from sklearn import datasets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--count", type=int, default=25, help="pictures a turn")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "benchmarks" / "pictures.md")
    given = parser.parse_args()
    photograph = Path(datasets.__file__).parent / "images" / "china.jpg"
    with builds() as binaries:
        measured = {way: measure(photograph, way, binaries, given.rounds, given.count) for way in WAYS}
    text = page(photograph, measured, given.rounds, given.count)
    given.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
