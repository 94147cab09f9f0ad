"""Changes one thing in the code at a time and sees whether a test fails: python -m scripts.mutation (make mutation).

First come the mutations that once went unnoticed, by name; then as many as were asked for, drawn with a seed from the
packages of predict and serve and from Python's exporting. Go's are built with go test -overlay, all of a package at
once, and Python's from a copy of src, so that the checkout stays as it is. A mutant that does not compile counts for
nothing. The tests that run are the package's own short ones, the nearest to the code, and not the whole suite.

Each result is kept in build/mutation, by its seed: a run that was stopped goes on where it was, and --again tries those
that survived again. mutation_kept.json lists the mutants that no test can notice, or need not, each with its reason; they
are not drawn. The page counts every seed that has results.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from scripts.mutation_mutants import ROOT, Mutant, candidates, drawn, kept, named
from scripts.mutation_run import noticed_each

PAGE = ROOT / "docs" / "mutation.md"
RESULTS = ROOT / "build" / "mutation"


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
        "survives. Some mutants are equivalent: they behave as the original code does, so no test can notice them.",
        "`scripts/mutation.py` writes this page.",
        "",
        f"{which}, {sum(drawn_.values()) + sum(stay.values())} mutants, {datetime.date.today()}:",
        "",
        "| code | mutants | noticed when drawn | noticed now | kept, with a reason |",
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
            "Mutants that are kept, with the reason, and not drawn again:",
            "",
            "| file | mutant | reason |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {f} | `{code.replace('|', chr(92) + '|')}` | {why} |"
            for (f, code), why in sorted(reasons.items())
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Try the mutants, say which survive, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=60, help="mutants to draw beside the named ones")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--again", action="store_true", help="those of the seed that survived")
    parser.add_argument("--page", action="store_true", help="write the page and try none")
    parser.add_argument(
        "words", nargs="*", help="draw only from files with one of these words, and none by name"
    )
    a = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    log = Log(a.seed)
    if a.again:
        alive = {key for key, result in log.found.items() if not result["by"]} - set(kept())
        possible = [m for file in sorted({file for file, _ in alive}) for m in [*named(), *candidates(file)]]
        wanted = [m for m in possible if (m.file, m.code) in alive]
    else:
        wanted = [] if a.words else named()
        wanted += itertools.islice(drawn(random.Random(a.seed), a.words), a.sample)
        wanted = [m for m in wanted if (m.file, m.code) not in log.found]
    with tempfile.TemporaryDirectory() as work:
        for mutant, by in noticed_each([] if a.page else wanted, Path(work)):
            log.add(mutant, by)
    PAGE.write_text(page())
    return 1 if any(r["group"] == "named" and not r["by"] for r in log.found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
