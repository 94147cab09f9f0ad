"""Changes one thing in the code at a time and sees whether a test fails: python scripts/mutation.py (make mutation).

First come the mutations that once went unnoticed, by name; then as many as were asked for, drawn with a seed from the
packages predict and serve and from Python's exporting. Go's are built with go test -overlay, and Python's from a copy of
src, so that the checkout stays as it is. A mutant that does not compile is drawn again and counts for nothing. The
tests that run are the package's own short ones, the nearest to the code, and not the whole suite.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mutation.md"
LONGEST = 900  # seconds that a mutant's tests may take: one that hangs is noticed too


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    old: str
    new: str
    at: int
    """Where the old text begins."""
    name: str = ""

    @property
    def line(self) -> int:
        """The line that is changed, from 1."""
        return (ROOT / self.file).read_text()[: self.at].count("\n") + 1

    def planted(self) -> str:
        """The file with the change in it."""
        text = (ROOT / self.file).read_text()
        assert text[self.at :].startswith(self.old)
        return text[: self.at] + self.new + text[self.at + len(self.old) :]


NAMED = [
    ("the replay does not compare the label", "predict/parity.go",
     "if err := SameLabels(&r.m.manifest, g.Case, answer.Classes); err != nil {",
     "if err := SameLabels(&r.m.manifest, g.Case, answer.Classes); err != nil && false {"),
    ("a SavedModel's private copy is not held to its digests", "predict/bundle/bundle.go",
     "err = checkFile(ctx, b.root, file, want, copied)\n", "if _ = checkFile(ctx, b.root, file, want, copied); false {\n\t\t}\n"),
    ("the port for operators stops before the clients'", "serve/life.go", "range []bool{false, true}", "range []bool{true, false}"),
    ("a batch that nobody waits for runs on", "predict/internal/batching/batcher.go", "if t.stay--; t.stay == 0 {", "if t.stay--; t.stay < 0 {"),
    ("Retry-After is rounded down", "serve/internal/reply/reply.go", "math.Ceil(busy.RetryAfter.Seconds())", "math.Floor(busy.RetryAfter.Seconds())"),
    ("an answer that breaks off looks whole", "serve/internal/recovery/recovery.go", "p == http.ErrAbortHandler {", "p == http.ErrAbortHandler && false {"),
    ("forgo's own bodies are freed before they are parsed", "serve/native/native.go", "defer free() //", "free() //"),
    ("OIP's bodies are freed before they are parsed", "serve/oip/infer.go", "defer free() //", "free() //"),
    ("TensorFlow's bodies are freed before they are parsed", "serve/tfserving/answer.go", "defer free() //", "free() //"),
    ("the tolerance is relative alone", "predict/tensor/compare.go", "max(1, math.Abs(want))", "math.Abs(want)"),
]  # fmt: skip

# Where mutants are drawn, and the tests that are nearest.
GO_TESTS = {
    "predict": ["./predict"],
    "predict/internal/batching": ["./predict/internal/batching", "./predict"],
    "internal/admission": ["./internal/admission", "./predict/internal/batching"],
    "predict/bundle": ["./predict/bundle", "./predict"],
    "predict/payload": ["./predict/payload"],
    "predict/tensor": ["./predict/tensor", "./predict"],
    "serve": ["./serve", "./serve/internal/..."],
    "serve/repository": ["./serve/repository"],
    "serve/access": ["./serve/access"],
    "serve/openapi": ["./serve/openapi"],
    "serve/native": ["./serve/native", "./serve"],
    "serve/oip": ["./serve/oip", "./serve"],
    "serve/tfserving": ["./serve/tfserving", "./serve"],
}
ROOMS = "authorization bodies compress connection crosssite drain hosts listener messages minrate observe recovery reply served shed"
for room in ROOMS.split():
    GO_TESTS[f"serve/internal/{room}"] = [f"./serve/internal/{room}", "./serve"]
PYTHON = "src/forgo/exporting"
PYTHON_TESTS = {
    "_golden": ["tests/test_golden.py"], "_normalization": ["tests/test_normalization.py"],
    "_conventions": ["tests/test_conventions.py"], "_slim": ["tests/test_slim.py"], "_accuracy": ["tests/test_accuracy.py"],
    "_guessing": ["tests/test_accuracy.py"], "_label_sets": ["tests/test_label_sets.py"],
    "_heads": ["tests/test_export_heads.py"], "_archives": ["tests/test_hostile_files.py"],
    "_user_preprocess": ["tests/test_user_preprocess.py"], "_rows": ["tests/test_example_files.py"],
}  # fmt: skip

SWAPS = {
    "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "&&": "||", "||": "&&", "+": "-", "-": "+", "*": "/",
    "+=": "-=", "-=": "+=", "true": "false", "false": "true", "and": "or", "or": "and", "True": "False", "False": "True",
    "continue": "break", "min": "max", "max": "min",
}  # fmt: skip

GO_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|`[^`]*`|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\d[\w.]*|<-|:=|[-+*/%&|^<>=!]=?=?|&&|\|\|',
    re.S,
)


def go_tokens(text: str) -> Iterator[tuple[int, str]]:
    """The tokens of Go code with their places, but for comments, strings and imports."""
    for m in re.finditer(r"&&|\|\||" + GO_TOKEN.pattern, text, re.S):
        if m[0][0] not in "/`\"'" or m[0] in ("/", "/="):
            yield m.start(), m[0]


def python_tokens(text: str) -> Iterator[tuple[int, str]]:
    """The same of Python code."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.OP, tokenize.NAME):
            yield starts[token.start[0] - 1] + token.start[1], token.string


def candidates(file: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    text = (ROOT / file).read_text()
    tokens = python_tokens(text) if file.endswith(".py") else go_tokens(text)
    for at, token in tokens:
        if token in SWAPS:
            yield Mutant(file, token, SWAPS[token], at)
    if file.endswith(".go"):
        for m in re.finditer(r"^(\t+)if (err (?:!=|==) nil) \{$", text, re.M):
            yield Mutant(file, m[2], m[2] + " && false", m.start(2))


def named() -> list[Mutant]:
    """The mutations that have names; each must still be possible."""
    found = []
    for name, file, old, new in NAMED:
        text = (ROOT / file).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"mutation: {name}: {file} has {old!r} {text.count(old)} times, not once")
        found.append(Mutant(file, old, new, text.index(old), name))
    return found


def noticed(mutant: Mutant, work: Path) -> bool | None:
    """Whether a test fails with the mutant; None where it does not compile."""
    if mutant.file.endswith(".py"):
        return noticed_in_python(mutant, work)
    changed, overlay = work / "mutant.go", work / "overlay.json"
    changed.write_text(mutant.planted())
    overlay.write_text(json.dumps({"Replace": {str(ROOT / mutant.file): str(changed)}}))
    packages = GO_TESTS[str(Path(mutant.file).parent)]
    environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")}
    command = [
        "scripts/go.sh",
        "test",
        f"-overlay={overlay}",
        "-short",
        "-failfast",
        "-count=1",
        "-timeout",
        f"{LONGEST}s",
    ]
    vet = subprocess.run(
        [*command, "-run", "^$", *packages], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    if vet.returncode != 0:
        return None
    for package in packages:
        if (
            subprocess.run(
                [*command, package], cwd=ROOT, env=environment, capture_output=True, check=False
            ).returncode
            != 0
        ):
            return True
    return False


def noticed_in_python(mutant: Mutant, work: Path) -> bool | None:
    """The same in Python."""
    try:
        compile(mutant.planted(), mutant.file, "exec")
    except SyntaxError:
        return None
    copy = work / "src"
    if not copy.exists():
        shutil.copytree(ROOT / "src", copy)
    place = copy / Path(mutant.file).relative_to("src")
    before = place.read_text()
    place.write_text(mutant.planted())
    try:
        tests = PYTHON_TESTS[Path(mutant.file).stem]
        command = [
            str(ROOT / ".venv/bin/python"),
            "-m",
            "pytest",
            "-q",
            "-x",
            "-m",
            "not slow",
            "-p",
            "no:cacheprovider",
            *tests,
        ]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        place.write_text(before)
    return run.returncode != 0


def drawn(chance: random.Random) -> Iterator[Mutant]:
    """Mutants in a random order, of each folder and language in turn."""
    folders = [*GO_TESTS, PYTHON]
    pools = {}
    for folder in folders:
        files = sorted((ROOT / folder).glob("*.py" if folder == PYTHON else "*.go"))
        names = [
            str(f.relative_to(ROOT))
            for f in files
            if not f.name.endswith("_test.go") and "_other" not in f.name
        ]
        if folder == PYTHON:
            names = [n for n in names if Path(n).stem in PYTHON_TESTS]
        pools[folder] = [m for n in names for m in candidates(n)]
        chance.shuffle(pools[folder])
    while any(pools.values()):
        for folder in folders:
            if pools[folder]:
                yield pools[folder].pop()


def unplanted() -> None:
    """Fail where the tests fail as it is: every mutant would seem to be noticed."""
    packages = sorted({p for list_ in GO_TESTS.values() for p in list_})
    command = ["scripts/go.sh", "test", "-short", *packages]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise SystemExit(
            f"mutation: the tests fail without any mutant:\n{run.stdout[-4000:]}{run.stderr[-1000:]}"
        )


def main() -> int:
    """Try the mutants, say which survive, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/mutation.py", description=__doc__)
    parser.add_argument("--sample", type=int, default=60, help="mutants to draw beside the named ones")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--named", action="store_true", help="the named ones alone; writes no page")
    parser.add_argument("words", nargs="*", help="draw only from folders with one of these words")
    a = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    counts: dict[str, list[int]] = {}
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def attempt(mutant: Mutant, group: str) -> bool:
            found = noticed(mutant, work)
            if found is None:
                return False
            tried = counts.setdefault(group, [0, 0])
            tried[0] += 1
            tried[1] += not found
            if not found:
                survivors.append(mutant)
            what = mutant.name or f"{mutant.old} becomes {mutant.new}"
            print(f"{'noticed ' if found else 'SURVIVED'} {mutant.file}:{mutant.line}: {what}")
            return True

        for mutant in named():
            if not attempt(mutant, "named"):
                raise SystemExit(f"mutation: {mutant.name} does not compile")
        if a.named:
            return 1 if survivors else 0
        unplanted()
        left = a.sample
        for mutant in drawn(random.Random(a.seed)):
            if left == 0:
                break
            if a.words and not any(w in mutant.file for w in a.words):
                continue
            left -= attempt(mutant, "exporting" if mutant.file.endswith(".py") else mutant.file.split("/")[0])
    lines = [
        "# Mutation",
        "",
        f"`make mutation` changes one thing in the code at a time and runs the nearest tests. A mutant that no test notices\nsurvives. Seed {a.seed}, {a.sample} drawn mutants, {datetime.date.today()}:",
        "",
        "| code | mutants | survived | noticed |",
        "| --- | --- | --- | --- |",
    ]
    for group, (tried, survived) in counts.items():
        lines.append(f"| {group} | {tried} | {survived} | {(tried - survived) / tried:.0%} |")
    if survivors:
        lines += ["", "What survived:", ""]
        lines += [
            f"- `{m.file}`, line {m.line}: {m.name or f'`{m.old}` becomes `{m.new}`'}" for m in survivors
        ]
    if not a.words:
        PAGE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if any(m.name for m in survivors) else 0


if __name__ == "__main__":
    sys.exit(main())
