"""go test, through scripts/go.sh: a line a package, all that a failing test said, and every skip with its reason.

A few failing tests run once more, alone: one that then passes is named, and does not fail the run. Data races and
panics do not get a second chance.

python scripts/gotest.py -race ./...
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

GO = Path(__file__).with_name("go.sh")
FEW = 3  # failing tests that run again; more of them have one cause
FINAL = ("DATA RACE", "panic:", "fatal error:")


@dataclass
class Run:
    """What one run of go test came to."""

    code: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)  # packages and their top-level tests
    final: bool = False  # something failed that no second run can mend


def run(arguments: list[str]) -> Run:
    """Run go test with arguments, and print what its failing tests and its packages say."""
    done = Run()
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    failed_packages = set()
    with subprocess.Popen([GO, "test", "-json", *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                print(line, end="", flush=True)
                continue
            action, test, package = event["Action"], event.get("Test", ""), event.get("Package", "")
            if action == "build-output":
                print(event["Output"], end="", flush=True)
            elif action == "output" and test:
                said[package, test].append(event["Output"])
            elif action == "output" and event["Output"] != "PASS\n":
                print(event["Output"], end="", flush=True)
            elif action == "fail" and not test:
                failed_packages.add(package)
            elif action in ("pass", "fail", "skip") and test:
                done.counts[action] += 1
                output = said.pop((package, test), [])
                if action == "fail":
                    done.failed.add((package, test.partition("/")[0]))
                    done.final |= any(mark in said_line for said_line in output for mark in FINAL)
                    print("".join(output), end="", flush=True)
                elif action == "skip":
                    reason = "".join(o for o in output if not o.lstrip().startswith(("===", "---")))
                    done.skipped.append(f"{test}: {' '.join(reason.split())}")
        done.code = process.wait()
    for output in said.values():  # of tests that never came to an end
        done.final = True
        print("".join(output), end="")
    done.final |= failed_packages != {package for package, _ in done.failed}
    return done


def passes_again(done: Run, flags: list[str]) -> bool:
    """Run the tests that failed once more, a package at a time, and say which pass now."""
    if done.final or not 0 < len(done.failed) <= FEW:
        return False
    for package in sorted({package for package, _ in done.failed}):
        tests = sorted(test for in_package, test in done.failed if in_package == package)
        if run([*flags, "-count=1", "-run", f"^({'|'.join(tests)})$", package]).code:
            return False
        for test in tests:
            print(f"FLAKY: {package} {test} failed, and passed when it ran again alone", flush=True)
    return True


def main(arguments: list[str]) -> int:
    """Run the tests; return go test's exit code, or 0 where all that failed passed again."""
    done = run(arguments)
    for skip in done.skipped:
        print(f"skipped: {skip}")
    counts = done.counts
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped", flush=True)
    if done.code and passes_again(done, [a for a in arguments if a.startswith("-")]):
        return 0
    return done.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
