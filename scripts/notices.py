"""Writes NOTICES: the licences of everything that a Go binary of forgo may contain (``make notices``).

The binary carries the file, and `forgo pack` puts it into each program.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ["linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"]
LICENCE = re.compile(r"(licen[sc]e|notice|copying|copyright|patents)([-.].*)?$", re.IGNORECASE)
# Debian's package, which the build links; a binary without it decodes JPEG in Go.
LIBJPEG_TURBO = Path("/usr/share/doc/libturbojpeg0-dev/copyright")
HEAD = """Third-party notices

forgo's binaries contain the software below, each under its own licence. `forgo doctor` says whether a binary
contains libjpeg-turbo.
"""


def go(*arguments: str, **environment: str) -> str:
    """What a go command prints."""
    return subprocess.run(
        ["go", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    ).stdout


def modules() -> dict[str, Path]:
    """The folders of the command's modules on every target, by module and version."""
    found = {}
    for target in TARGETS:
        system, processor = target.split("/")
        form = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}"
        lines = go("list", "-deps", "-f", form, "./cmd/forgo", CGO_ENABLED="0", GOOS=system, GOARCH=processor)
        for line in filter(None, lines.splitlines()):
            name, folder = line.split("\t")
            found[name] = Path(folder)
    return found


def licence(folder: Path) -> str:
    """The texts of a module's licence and notices, or an error where it has none."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and LICENCE.match(f.name))
    if not files:
        raise SystemExit(f"{folder} has no licence")
    return "\n\n".join(f.read_text().strip() for f in files)


def main() -> None:
    """Write NOTICES: each text once, below the names of all that it is for."""
    parts = defaultdict(list)
    for name, folder in sorted(modules().items()):
        parts[licence(folder)].append(name)
    parts[licence(Path(go("env", "GOROOT").strip()))].append("the Go standard library and runtime")
    parts[LIBJPEG_TURBO.read_text().strip()].append("libjpeg-turbo")
    text = HEAD
    for words, names in sorted(parts.items(), key=lambda part: part[1]):
        text += "\n" + "=" * 80 + "\n" + "\n".join(names) + "\n" + "-" * 80 + f"\n{words}\n"
    (ROOT / "NOTICES").write_text(text)


if __name__ == "__main__":
    main()
