"""Build every wheel, the source distribution and their checksums into a folder: ``make dist``.

The binaries are cross-compiled without a C compiler, so they decode JPEG in Go alone. Wheels for musl have a
static binary, which runs graphs in Go alone: ONNX Runtime and TensorFlow are not to be had for musl.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Wheel:
    """What a wheel's binary is built for."""

    system: str
    processor: str
    tag: str
    build_tags: str = ""


WHEELS = [
    Wheel("linux", "amd64", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    Wheel("linux", "arm64", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
    Wheel("linux", "amd64", "musllinux_1_1_x86_64", "static"),
    Wheel("linux", "arm64", "musllinux_1_1_aarch64", "static"),
    Wheel("darwin", "arm64", "macosx_12_0_arm64"),
    Wheel("windows", "amd64", "win_amd64"),
]


def build(out: Path, only: list[str]) -> list[Path]:
    """Write the wheels whose tags have one of the words, all of them without words, and then the rest.

    Args:
        out: the folder, which is made anew.
        only: words of platform tags.

    Returns:
        The files, SHA256SUMS last.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out)]
    for wheel in WHEELS:
        if only and not any(word in wheel.tag for word in only):
            continue
        environment = {
            **os.environ, "GOOS": wheel.system, "GOARCH": wheel.processor, "CGO_ENABLED": "0",
            "FORGO_GO_TAGS": wheel.build_tags, "FORGO_WHEEL_TAG": wheel.tag,
        }  # fmt: skip
        subprocess.run(
            [*command, "--wheel", str(ROOT)], env=environment, check=True, stdout=subprocess.DEVNULL
        )
    subprocess.run([*command, "--sdist", str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    files = sorted(out.iterdir())
    sums = out / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    return [*files, sums]


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="only wheels with one of these words in their tags")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="the folder (default: dist)")
    options = parser.parse_args()
    for file in build(options.output, options.words):
        print(f"{file.stat().st_size / 1e6:6.1f} MB  {file}")


if __name__ == "__main__":
    main()
