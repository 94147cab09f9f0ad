"""pytest over all tests in several processes, with the second chance that scripts/gotest.py gives.

python scripts/pytests.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 3  # failing tests that run again, alone; more of them have one cause
FAILED = 1  # pytest's exit code where tests ran and some failed
CACHE = Path(".pytest_cache") / "v" / "cache" / "lastfailed"
PYTEST = [sys.executable, "-m", "pytest"]
# Three for two cores, since tests wait for servers and signals. In order of names: by default the files of few tests
# come last, and the longest are among them.
PROCESSES = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "30"]


def main(arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code, or 0 where all that failed passed again."""
    code = subprocess.run([*PYTEST, *PROCESSES, *arguments], check=False).returncode
    failed = sorted(json.loads(CACHE.read_text())) if code == FAILED else []
    if not 0 < len(failed) <= FEW or subprocess.run([*PYTEST, *failed], check=False).returncode:
        return code
    for test in failed:
        print(f"FLAKY: {test} failed, and passed when it ran again alone", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
