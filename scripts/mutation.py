"""Changes one thing in the code at a time and sees whether a test fails: python scripts/mutation.py (make mutation).

First come the mutations that once went unnoticed, by name; then as many as were asked for, drawn with a seed from the
packages of predict and serve and from Python's exporting. Go's are built with go test -overlay, and Python's from a copy
of src, so that the checkout stays as it is. A mutant that does not compile is drawn again and counts for nothing. The
tests that run are the package's own short ones, the nearest to the code, and not the whole suite.

Each result is kept in build/mutation, by its seed: a run that was stopped goes on where it was, and --again tries those
that survived again. mutation_kept.json lists the mutants that no test can notice, or need not, each with its reason; they
are not drawn. The page counts every seed that has results.
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
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mutation.md"
KEPT = Path(__file__).with_name("mutation_kept.json")
RESULTS = ROOT / "build" / "mutation"
LONGEST = 300  # seconds that a package's tests may take: a mutant that makes one hang is noticed too


@cache
def read(file: str) -> str:
    """A file of the checkout."""
    return (ROOT / file).read_text()


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
        return read(self.file)[: self.at].count("\n") + 1

    @property
    def code(self) -> str:
        """The name, or the line with the change marked, which finds the mutant wherever the line moves to."""
        if self.name:
            return self.name
        text = read(self.file)
        start, end = text.rfind("\n", 0, self.at) + 1, text.find("\n", self.at + len(self.old))
        marked = f"{text[start : self.at]}⟦{self.old} → {self.new}⟧{text[self.at + len(self.old) : end]}"
        return marked.strip()

    @property
    def group(self) -> str:
        """What the page counts it under."""
        if self.name:
            return "named"
        return "exporting" if self.file.endswith(".py") else self.file.split("/")[0]

    def planted(self) -> str:
        """The file with the change in it."""
        text = read(self.file)
        return text[: self.at] + self.new + text[self.at + len(self.old) :]


NAMED = [
    ("the replay does not compare the label", "predict/parity.go",
     "if err := SameLabels(&r.m.manifest, g.Case, answer.Classes); err != nil {",
     "if err := SameLabels(&r.m.manifest, g.Case, answer.Classes); err != nil && false {"),
    ("the replay does not compare the outputs from the raw input", "predict/parity.go",
     'if err := r.compare(g, StageLabel, out, g.Outputs, "from the raw input"); err != nil {',
     'if err := r.compare(g, StageLabel, out, g.Outputs, "from the raw input"); err != nil && false {'),
    ("a SavedModel's private copy is not held to its digests", "predict/bundle/bundle.go",
     "err = checkFile(ctx, b.files, file, want, copied)\n", "if _ = checkFile(ctx, b.files, file, want, copied); false {\n\t\t}\n"),
    ("the port for operators stops before the clients'", "serve/life.go", "range []bool{false, true}", "range []bool{true, false}"),
    ("a batch that nobody waits for runs on", "predict/internal/batching/batcher.go", "if t.stay--; t.stay == 0 {", "if t.stay--; t.stay < 0 {"),
    ("Retry-After is rounded down", "serve/internal/reply/reply.go", "math.Ceil(busy.RetryAfter.Seconds())", "math.Floor(busy.RetryAfter.Seconds())"),
    ("an answer that breaks off looks whole", "serve/internal/recovery/recovery.go", "p == http.ErrAbortHandler {", "p == http.ErrAbortHandler && false {"),
    ("forgo's own bodies are freed before they are parsed", "serve/native/native.go", "defer free() //", "free() //"),
    ("OIP's bodies are freed before they are parsed", "serve/oip/infer.go", "defer free() //", "free() //"),
    ("TensorFlow's bodies are freed before they are parsed", "serve/tfserving/answer.go", "defer free() //", "free() //"),
    ("the tolerance is relative alone", "predict/tensor/compare.go", "max(1, math.Abs(want))", "math.Abs(want)"),
    ("Python's tolerance is relative alone", "src/forgo/exporting/_golden.py", "np.maximum(1, np.abs(b))", "np.abs(b)"),
    ("safetensors with holes", "predict/tensor/safetensors.go", "if span[0] != end {", "if false {"),
    ("safetensors with trailing bytes", "predict/tensor/safetensors.go", "if end != int64(len(body)) {", "if false {"),
    ("doubtful golden cases are chosen", "src/forgo/exporting/_golden.py", "certainty[i] > 4 * tolerance", "certainty[i] > 0"),
    ("golden cases cover no class", "src/forgo/exporting/_golden.py", "        _cover(chosen, candidates, [tuple(found) for found in labels])\n", ""),
]  # fmt: skip

# Where Go's mutants are drawn: every package below these folders, but for what only tests use.
GO_FOLDERS = ["predict", "serve", "internal/admission"]
ONLY_TESTS = re.compile(r"test$|/example$|/testdata(/|$)")
# The tests that are near beside a package's own, for the packages of a folder.
NEAR = {
    "predict/internal/batching": ["./predict"],
    "predict/internal/onnxends": ["./predict/onnx", "./predict/pure"],
    "predict/internal/wire": ["./predict/onnx", "./predict/tensorflow"],
    "predict/internal": ["./predict/onnx"],
    "predict/engines": ["./predict/engines/example", "./predict"],
    "predict/onnx": ["./predict/onnx"],
    "predict/pixels": ["./predict/pixels"],
    "predict/bundle": ["./predict"],
    "predict/tensor": ["./predict"],
    "internal/admission": ["./predict/internal/batching"],
    "serve/repository": [],
    "serve/access": [],
    "serve/openapi": [],
    "serve": ["./serve"],
}
PYTHON = "src/forgo/exporting"
PYTHON_TESTS = {
    "_golden": ["tests/test_golden.py"], "_normalization": ["tests/test_normalization.py"],
    "_conventions": ["tests/test_conventions.py"], "_slim": ["tests/test_slim.py"], "_accuracy": ["tests/test_accuracy.py"],
    "_guessing": ["tests/test_accuracy.py", "tests/test_label_sets.py"], "_label_sets": ["tests/test_label_sets.py"],
    "_heads": ["tests/test_export_heads.py"], "_archives": ["tests/test_hostile_files.py"],
    "_user_preprocess": ["tests/test_user_preprocess.py"], "_rows": ["tests/test_example_files.py"],
}  # fmt: skip


def go_packages() -> list[str]:
    """Every folder that Go's mutants are drawn from."""
    folders = {f.parent for top in GO_FOLDERS for f in (ROOT / top).rglob("*.go")}
    names = sorted(str(f.relative_to(ROOT)) for f in folders)
    return [n for n in names if not ONLY_TESTS.search(n)]


def go_tests(folder: str) -> list[str]:
    """The tests nearest to a package, the nearest first."""
    near = next((tests for top, tests in NEAR.items() if f"{folder}/".startswith(f"{top}/")), [])
    own = [f"./{folder}"] if list((ROOT / folder).glob("*_test.go")) else []
    return list(dict.fromkeys([*own, *near]))


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
    text = read(file)
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
        text = read(file)
        if text.count(old) != 1:
            raise SystemExit(f"mutation: {name}: {file} has {old!r} {text.count(old)} times, not once")
        found.append(Mutant(file, old, new, text.index(old), name))
    return found


def kept() -> dict[tuple[str, str], str]:
    """The mutants that stay, by file and line, with the reason; each must still be possible."""
    reasons: dict[tuple[str, str], str] = {}
    for file, lines in json.loads(KEPT.read_text()).items():
        possible = {m.code for m in candidates(file)}
        for code, reason in lines.items():
            if code not in possible:
                raise SystemExit(f"mutation: {KEPT.name}: {file} has no mutant {code}")
            reasons[file, code] = reason
    return reasons


def tried(command: list[str], environment: dict[str, str], longest: int = 2 * LONGEST) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    try:
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
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


def noticed(mutant: Mutant, work: Path) -> str | None:
    """The test that fails with the mutant, "" where none does, and None where it does not compile."""
    if mutant.file.endswith(".py"):
        return noticed_in_python(mutant, work)
    changed, overlay = work / "mutant.go", work / "overlay.json"
    changed.write_text(mutant.planted())
    overlay.write_text(json.dumps({"Replace": {str(ROOT / mutant.file): str(changed)}}))
    for package in go_tests(str(Path(mutant.file).parent)):
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
    place = copy / Path(mutant.file).relative_to("src")
    place.write_text(mutant.planted())
    tests = PYTHON_TESTS[Path(mutant.file).stem]
    code, said = tried([*PYTEST, *tests], {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"})
    place.write_text(read(mutant.file))
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.M)
    return (failed[1] if failed else tests[0]) if code != 0 else ""


def pools(words: list[str]) -> dict[str, list[Mutant]]:
    """The mutants of each folder that has tests, without those that are kept."""
    left_out, found = kept(), {}
    for folder in [*(p for p in go_packages() if go_tests(p)), PYTHON]:
        if folder == PYTHON:
            files = [f for f in sorted((ROOT / folder).glob("*.py")) if f.stem in PYTHON_TESTS]
        else:
            others = ("_test.go", "_other.go", "_windows.go")
            files = [f for f in sorted((ROOT / folder).glob("*.go")) if not f.name.endswith(others)]
        names = [str(f.relative_to(ROOT)) for f in files]
        names = [n for n in names if not words or any(w in n for w in words)]
        found[folder] = [m for n in names for m in candidates(n) if (n, m.code) not in left_out]
    return {folder: pool for folder, pool in found.items() if pool}


def drawn(chance: random.Random, words: list[str]) -> Iterator[Mutant]:
    """Mutants in a random order, of each folder and language in turn."""
    found = list(pools(words).values())
    for pool in found:
        chance.shuffle(pool)
    while any(found):
        for pool in found:
            if pool:
                yield pool.pop()


def unplanted(words: list[str]) -> None:
    """Fail where the tests fail as it is: every mutant would seem to be noticed."""
    found = pools(words)
    code, said = 0, ""
    if packages := sorted({t for folder in found if folder != PYTHON for t in go_tests(folder)}):
        code, said = tried([*GO_TEST, "-p=1", *packages], GO_ENVIRONMENT, 3600)
    if code == 0 and PYTHON in found:
        tests = sorted({t for tests in PYTHON_TESTS.values() for t in tests})
        code, said = tried([*PYTEST, *tests], {})
    if code != 0:
        raise SystemExit(f"mutation: the tests fail without any mutant:\n{said[-5000:]}")


class Log:
    """The results of one seed, one a line."""

    def __init__(self, seed: int) -> None:
        self.path = RESULTS / f"{seed}.jsonl"
        self.found: dict[tuple[str, str], dict[str, str]] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            self.note(json.loads(line))

    def note(self, result: dict[str, str]) -> None:
        """Take in a result; one of the same mutant replaces the one before, but for what noticed it at first."""
        key = result["file"], result["code"]
        before = self.found.get(key)
        self.found[key] = {**result, "first": before["first"] if before else result["by"]}

    def add(self, mutant: Mutant, by: str) -> None:
        """Note a result and keep it."""
        result = {"group": mutant.group, "file": mutant.file, "code": mutant.code, "by": by}
        self.note(result)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(result, ensure_ascii=False) + "\n")
        print(
            f"{'noticed ' if by else 'SURVIVED'} {mutant.file}:{mutant.line}: {mutant.code}{by and f' ({by})'}"
        )


def page() -> str:
    """What docs/mutation.md says: every seed that has results."""
    seeds = sorted(int(f.stem) for f in RESULTS.glob("*.jsonl"))
    reasons = kept()
    results = {key: result for seed in seeds for key, result in Log(seed).found.items()}
    drawn_, first, now, stay = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for key, result in results.items():
        group = result["group"]
        stay[group] += key in reasons
        drawn_[group] += key not in reasons
        first[group] += key not in reasons and bool(result["first"])
        now[group] += key not in reasons and bool(result["by"])
    which = f"Seed {seeds[0]}" if len(seeds) == 1 else f"Seeds {', '.join(map(str, seeds))}"
    lines = [
        "# Mutation",
        "",
        "`make mutation` changes one thing in the code at a time and runs the nearest tests. A mutant that no test notices",
        "survives. Some are equivalent: the change cannot be seen, so no test can notice it. `scripts/mutation.py` writes",
        "this page.",
        "",
        f"{which}, {sum(drawn_.values()) + sum(stay.values())} mutants, {datetime.date.today()}:",
        "",
        "| code | mutants | noticed when drawn | noticed now | stay, with a reason |",
        "| --- | --- | --- | --- | --- |",
    ]
    for group in sorted(drawn_, key=["named", "predict", "serve", "internal", "exporting"].index):
        n = drawn_[group]
        lines.append(
            f"| {group} | {n} | {first[group]} ({first[group] / n:.0%}) | {now[group]} ({now[group] / n:.0%}) | {stay[group]} |"
        )
    survivors = sorted(key for key, result in results.items() if not result["by"] and key not in reasons)
    if survivors:
        lines += ["", "What survives:", ""]
        lines += [f"- `{file}`: `{code}`" for file, code in survivors]
    if reasons:
        lines += [
            "",
            "What stays, and is not drawn again:",
            "",
            "| file | mutant | reason |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {f} | `{code.replace('|', chr(92) + '|')}` | {why} |"
            for (f, code), why in sorted(reasons.items())
        ]
    return "\n".join(lines) + "\n"


def attempt(log: Log, mutant: Mutant, work: Path) -> bool:
    """Try a mutant and note the result, or return False where it does not compile."""
    by = noticed(mutant, work)
    if by is not None:
        log.add(mutant, by)
    return by is not None


def main() -> int:
    """Try the mutants, say which survive, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/mutation.py", description=__doc__)
    parser.add_argument("--sample", type=int, default=60, help="mutants to draw beside the named ones")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--again", action="store_true", help="those of the seed that survived")
    parser.add_argument("--page", action="store_true", help="write the page and try none")
    parser.add_argument("words", nargs="*", help="draw only from files with one of these words")
    a = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if a.page:
        PAGE.write_text(page())
        return 0
    log = Log(a.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if a.again:
            alive = {key for key, result in log.found.items() if not result["by"]} - set(kept())
            for file in sorted({file for file, _ in alive}):
                for mutant in [m for m in [*named(), *candidates(file)] if (m.file, m.code) in alive]:
                    attempt(log, mutant, work)
            return 0
        if not log.found:
            unplanted(a.words)
        for mutant in named():
            if (mutant.file, mutant.code) not in log.found and not attempt(log, mutant, work):
                raise SystemExit(f"mutation: {mutant.name} does not compile")
        left = a.sample + len(NAMED) - len(log.found)
        for mutant in drawn(random.Random(a.seed), a.words):
            if left <= 0:
                break
            if (mutant.file, mutant.code) not in log.found:
                left -= attempt(log, mutant, work)
    PAGE.write_text(page())
    print(page())
    return 1 if any(r["group"] == "named" and not r["by"] for r in log.found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
