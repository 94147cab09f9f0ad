"""Every model of tests/matrix.py is proven, or refused with a reason; docs/models-matrix.md has the outcomes.

``python -m tests.test_matrix`` writes that page again.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

import forgo
from tests.conftest import ROOT
from tests.matrix import ALL

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "models-matrix.md"
HEAD = """# Tested models

`python -m tests.test_matrix` exports each of these models and writes this page, and a test checks it. *Proven* means that ONNX
Runtime in Python answers every row as the library does, within 1e-4, and that Go does on the golden cases. Export refuses
the others and leaves no bundle. With `precision='float64'` means that export refuses the model otherwise, and offers that.
"""


def outcome(model: Any, rows: Any, place: Path) -> str:
    way: dict[str, Any] = {}
    try:
        result = forgo.export(model, place, examples=rows)
    except forgo.ForgoError as e:
        assert not place.exists()
        if "precision='float64' is proven on all" not in str(e):
            return f"refused: {'; '.join(str(e).split('; ')[:2])[:300]}"
        way = {"precision": "float64"}
        result = forgo.export(model, place, examples=rows, **way)
    assert result.parity["mode"] == "full"
    assert result.framework_difference is not None
    assert result.framework_difference <= 1e-4
    return "proven" + "".join(f" with `{name}={value!r}`" for name, value in way.items())


def recorded() -> dict[tuple[str, str], str]:
    found, library = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            library = line[3:]
        elif row := re.fullmatch(r"\| (.+?) \| (.+?) \|", line):
            found[library, row[1]] = row[2].replace("\\|", "|")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("library", "name"), [(lib, n) for lib, of in ALL.items() for n in of])
def test_each_is_proven_or_refused_as_the_page_says(library: str, name: str, tmp_path: Path) -> None:
    got = outcome(*ALL[library][name](), tmp_path / "m.forgo")
    want = recorded()[library, name]
    assert "\n" not in got
    assert got.split(":")[0] == want.split(":")[0], got


def _write() -> None:
    warnings.simplefilter("ignore")
    lines = [HEAD]
    for library, of in ALL.items():
        lines += [f"\n## {library}\n", "| model | outcome |", "| --- | --- |"]
        for name, make in of.items():
            with tempfile.TemporaryDirectory() as folder:
                said = outcome(*make(), Path(folder) / "m.forgo").replace("|", "\\|")
            print(name, said, flush=True)
            lines.append(f"| {name} | {said} |")
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    _write()
