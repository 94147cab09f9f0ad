"""Run a command where no C compiler is found: with cgo off, and a PATH of links to every other program.

python scripts/without_c.py scripts/go.sh vet ./...
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# gcc, x86_64-linux-gnu-g++-12, clang-19, c99-gcc, zig and the like, whatever their prefix and version.
COMPILER = re.compile(
    r"(.*-)?(gcc|g\+\+|clang(\+\+)?|cc|c\+\+|c89|c99|cpp|tcc|icc|icx|zig)([-.\d].*)?(\.exe)?"
)


def link_programs(folder: Path, path: str) -> None:
    """Link each program on a PATH, by the name that is found first, unless it is a compiler."""
    for directory in (Path(part).absolute() for part in path.split(os.pathsep)):
        for program in directory.iterdir() if directory.is_dir() else ():
            link = folder / program.name
            if COMPILER.fullmatch(program.name) or link.is_symlink():
                continue
            if program.is_file() and os.access(program, os.X_OK):
                link.symlink_to(program)


def main(command: list[str]) -> int:
    """Run the command and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="forgo-without-c-") as name:
        link_programs(Path(name), os.environ["PATH"])
        for compiler in ("cc", "gcc", "g++", "c++", "clang", "clang++"):
            if found := shutil.which(compiler, path=name):
                print(f"{compiler} is still found: {found}", file=sys.stderr)
                return 1
        env = {key: value for key, value in os.environ.items() if key not in ("CC", "CXX")}
        env |= {"PATH": name, "CGO_ENABLED": "0", "FORGO_GO_TAGS": ""}
        return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
