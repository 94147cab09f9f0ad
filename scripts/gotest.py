"""go test, through scripts/go.sh: a line a package, all that a failing test said, and every skip with its reason.

python scripts/gotest.py -race ./...
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

GO = Path(__file__).with_name("go.sh")


def main(arguments: list[str]) -> int:
    """Run the tests; return go test's exit code."""
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    counts: Counter[str] = Counter()
    skipped = []
    with subprocess.Popen([GO, "test", "-json", *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                print(line, end="", flush=True)
                continue
            action, test = event["Action"], event.get("Test", "")
            key = (event.get("Package", ""), test)
            if action == "build-output":
                print(event["Output"], end="", flush=True)
            elif action == "output" and test:
                said[key].append(event["Output"])
            elif action == "output" and event["Output"] != "PASS\n":
                print(event["Output"], end="", flush=True)
            elif action in ("pass", "fail", "skip") and test:
                counts[action] += 1
                output = said.pop(key, [])
                if action == "fail":
                    print("".join(output), end="", flush=True)
                elif action == "skip":
                    reason = "".join(o for o in output if not o.lstrip().startswith(("===", "---")))
                    skipped.append(f"{test}: {' '.join(reason.split())}")
        code = process.wait()
    for output in said.values():  # of tests that never came to an end
        print("".join(output), end="")
    for skip in skipped:
        print(f"skipped: {skip}")
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
