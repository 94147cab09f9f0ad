"""Keeps what fuzzing found in an archive: python scripts/corpus.py FOLDER ARCHIVE.zip.

The files of FOLDER, which ``go test -fuzz`` wrote, join those of the archive: up to 200, the smallest
first, none above 4 KiB. The archive's bytes depend on its files alone.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

MOST = 200
LONGEST = 4096


def keep(folder: Path, archive: Path) -> int:
    """Return how many files the archive has afterwards."""
    kept: dict[str, bytes] = {}
    if archive.is_file():
        with zipfile.ZipFile(archive) as z:
            kept = {name: z.read(name) for name in z.namelist()}
    found = sorted(folder.iterdir(), key=lambda p: (p.stat().st_size, p.name)) if folder.is_dir() else []
    for file in found:
        if len(kept) >= MOST or file.stat().st_size > LONGEST:
            break
        kept.setdefault(file.name, file.read_bytes())
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        for name in sorted(kept):
            z.writestr(zipfile.ZipInfo(name), kept[name], zipfile.ZIP_DEFLATED)
    return len(kept)


if __name__ == "__main__":
    print(keep(Path(sys.argv[1]), Path(sys.argv[2])))
