"""Whether a test notices a mutant of scripts/mutation.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from scripts.mutation_mutants import PYTHON_TESTS, ROOT, Mutant, go_tests, read

LONGEST = 300  # seconds that tests may take: a mutant that makes one hang is noticed too


def tried(
    command: list[str], environment: dict[str, str], longest: int = 2 * LONGEST, where: Path = ROOT
) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    try:
        run = subprocess.run(
            command, cwd=where, env={**os.environ, **environment}, capture_output=True, text=True,
            errors="replace", check=False, timeout=longest,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, "TIMEOUT"
    return run.returncode, run.stdout + run.stderr


GO_TEST = ["scripts/go.sh", "test", "-short", "-failfast", "-vet=off", "-ldflags=-w", f"-timeout={LONGEST}s"]
GO_ENVIRONMENT = {
    "VIRTUAL_ENV": str(ROOT / ".venv"),
    "FORGO_GO_TAGS": "",
}  # linking cgo takes as long as the tests
PYTEST = [
    str(ROOT / ".venv/bin/python"),
    *["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m"],
    "not slow",
]


@cache
def sound(*command: str) -> None:
    """Fail where tests fail without any mutant: every mutant would seem to be noticed."""
    code, said = tried(list(command), GO_ENVIRONMENT)
    if code != 0:
        raise SystemExit(f"mutation: the tests fail without any mutant:\n{said[-3000:]}")


def noticed(mutant: Mutant, work: Path) -> str | None:
    """The test that fails with the mutant, "" where none does, and None where it does not compile."""
    if mutant.file.endswith(".py"):
        return noticed_in_python(mutant, work)
    changed, overlay = work / "mutant.go", work / "overlay.json"
    changed.write_text(mutant.planted())
    overlay.write_text(json.dumps({"Replace": {str(ROOT / mutant.file): str(changed)}}))
    for package in go_tests(str(Path(mutant.file).parent)):
        sound(*GO_TEST, package)
        code, said = tried([*GO_TEST, "-count=1", f"-overlay={overlay}", package], GO_ENVIRONMENT)
        if "[build failed]" in said or "[setup failed]" in said:
            return None
        if code != 0:
            failed = re.search(r"--- FAIL: (\S+)", said)
            return failed[1] if failed else package
    return ""


def noticed_in_python(mutant: Mutant, work: Path) -> str | None:
    """The same in Python."""
    try:
        compile(mutant.planted(), mutant.file, "exec")
    except SyntaxError:
        return None
    copy = work / "src"
    if not copy.exists():
        shutil.copytree(ROOT / "src", copy)
    path = copy / Path(mutant.file).relative_to("src")
    path.write_text(mutant.planted())
    tests = PYTHON_TESTS[Path(mutant.file).stem]
    sound(*PYTEST, *tests)
    code, said = tried([*PYTEST, *tests], {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"})
    path.write_text(read(mutant.file))
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.M)
    return (failed[1] if failed else tests[0]) if code != 0 else ""


class Package:
    """A Go package with all its mutants in it, which is compiled once: scripts/mutate says how."""

    def __init__(self, folder: str, work: Path) -> None:
        self.folder, self.out = folder, work / folder.replace("/", "_")
        self.out.mkdir(exist_ok=True)
        self.overlay = f"-overlay={self.out / 'overlay.json'}"
        self.tests: dict[str, tuple[list[str], set[int], float]] = {}
        self.numbers: dict[tuple[str, int, str, str], int] = {}
        """Of the mutants that compile, by file, place, old text and new."""
        dropped: set[int] = set()
        while True:
            drop = ",".join(map(str, sorted(dropped)))
            mutate = ["go", "run", "./scripts/mutate", "-o", str(self.out), "-drop", drop, folder]
            code, said = tried(mutate, {**GO_ENVIRONMENT, "CGO_ENABLED": "0"})
            if code != 0:
                raise SystemExit(f"mutation: {said}")
            made = json.loads(said)
            build = ["scripts/go.sh", "build", "-gcflags=-e", self.overlay, f"./{folder}"]
            code, said = tried(build, GO_ENVIRONMENT)
            if code == 0:
                break
            wrong = {(Path(f).name, int(n)) for f, n in re.findall(r"([\w./]+\.go):(\d+)", said)}
            more = {
                m["ID"]
                for m in made
                if any(f == Path(m["File"]).name and m["First"] <= n <= m["Last"] for f, n in wrong)
            }
            if not more - dropped and "missing return" in said:
                # A break ends an endless loop, so the compiler misses the return after it.
                more = {
                    m["ID"]
                    for m in made
                    if m["Old"] == "continue" and Path(m["File"]).name in {f for f, _ in wrong}
                }
            if not more - dropped:
                raise SystemExit(f"mutation: {folder} does not compile with its mutants:\n{said}")
            dropped |= more
        for m in made:
            self.numbers[str(Path(m["File"]).relative_to(ROOT)), m["At"], m["Old"], m["New"]] = m["ID"]

    def test(self, package: str) -> tuple[list[str], set[int], float]:
        """How a package's tests are run, the mutants that they reach, and the seconds that they may take."""
        if package in self.tests:
            return self.tests[package]
        binary, reached = self.out / f"{Path(package).name}.test", self.out / f"{Path(package).name}.reached"
        code, said = tried([*GO_TEST, "-c", "-o", str(binary), self.overlay, package], GO_ENVIRONMENT)
        if code != 0:
            raise SystemExit(f"mutation: {said}")
        command = [str(binary), "-test.short", "-test.failfast=false"]
        began = time.monotonic()
        code, said = self.run(package, command, 0, LONGEST, FORGO_MUTANT_REACHED=str(reached))
        took = time.monotonic() - began
        if code != 0:  # those of the cost of a line, which the mutants' code adds to
            failed = sorted(set(re.findall(r"^--- FAIL: (\w+)", said, re.M)))
            command.append(f"-test.skip=^({'|'.join(failed)})$")
            code, said = self.run(package, command, 0, LONGEST)
            if code != 0 or not failed:
                raise SystemExit(f"mutation: the tests of {package} fail without any mutant:\n{said[-3000:]}")
            print(f"left out of {package}: {' '.join(failed)}")
        seen = {int(n) for n in reached.read_text().split()} if reached.exists() else set()
        self.tests[package] = [*command, "-test.failfast"], seen, 30 + 4 * took
        return self.tests[package]

    def run(
        self, package: str, command: list[str], number: int, longest: float, **more: str
    ) -> tuple[int, str]:
        """Run a package's tests with a mutant, or with none: 0."""
        environment = {**GO_ENVIRONMENT, "FORGO_MUTANT": str(number), **more}
        return tried(
            [*command, f"-test.timeout={int(longest)}s"], environment, int(longest) + 20, ROOT / package
        )

    def noticed(self, mutant: Mutant) -> str | None:
        """The test that fails with the mutant, "" where none does, and None where it does not compile."""
        number = self.numbers.get((mutant.file, mutant.at, mutant.old, mutant.new))
        if number is None:
            return None
        for package in go_tests(self.folder):
            command, reached, longest = self.test(package)
            if number not in reached:
                continue
            code, said = self.run(package, command, number, longest)
            if code != 0:
                failed = re.search(r"--- FAIL: (\S+)", said) or re.search(r"running tests:\s+(\w+)", said)
                return failed[1] if failed else package
        return ""


def noticed_each(mutants: list[Mutant], work: Path) -> Iterator[tuple[Mutant, str]]:
    """Each mutant that compiles with the test that notices it, or "", a package after the other."""
    folders: dict[str, list[Mutant]] = {}
    for m in mutants:
        folders.setdefault("" if m.name or m.file.endswith(".py") else str(Path(m.file).parent), []).append(m)
    for folder, several in folders.items():
        if not folder:
            found = ((m, noticed(m, work)) for m in several)
        else:
            package = Package(folder, work)
            found = ((m, package.noticed(m)) for m in several)
        yield from ((m, by) for m, by in found if by is not None)
        if folder:
            shutil.rmtree(package.out)
