"""What scripts/mutation.py changes: the mutants of a file, the named and the kept ones, and the tests near them."""

from __future__ import annotations

import io
import json
import random
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).with_name("mutation_kept.json")


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
    nth: int = 1
    """Of the same changes of the same line, as it stands several times in the file."""

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
        return marked.strip() + (f" #{self.nth}" if self.nth > 1 else "")

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
    ("doubtful golden cases are chosen", "src/forgo/exporting/_golden.py", "candidates if certainty[i] > 4 * tolerance", "candidates if certainty[i] > 0"),
    ("golden cases cover no class", "src/forgo/exporting/_golden.py", "        _cover(chosen, candidates, [tuple(found) for found in labels])\n", ""),
]  # fmt: skip

# Where Go's mutants are drawn: every package below these folders, but for what only tests use.
GO_FOLDERS = ["predict", "serve", "internal/admission"]
ONLY_TESTS = re.compile(r"test$|/example$|/testdata(/|$)")
# The tests that are near beside a package's own, for the packages of a folder.
NEAR = {
    "predict/internal/batching": ["./predict"],
    "predict/internal/onnxformat": ["./predict/onnx", "./predict/pure"],
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
    "_alternatives": ["tests/test_accuracy.py"], "_expected_labels": ["tests/test_accuracy.py"], "_grading": ["tests/test_accuracy.py"],
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


def changes(file: str) -> Iterator[Mutant]:
    """Every change of a file."""
    text = read(file)
    tokens = python_tokens(text) if file.endswith(".py") else go_tokens(text)
    for at, token in tokens:
        if token in SWAPS:
            yield Mutant(file, token, SWAPS[token], at)
    if file.endswith(".go"):
        for m in re.finditer(r"^(\t+)if (err (?:!=|==) nil) \{$", text, re.M):
            yield Mutant(file, m[2], m[2] + " && false", m.start(2))


def candidates(file: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    seen: Counter[str] = Counter()
    for mutant in changes(file):
        seen[mutant.code] += 1
        yield replace(mutant, nth=seen[mutant.code])


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
