"""Every model of matrix.py is proven, or refused with a reason; docs/models-torch.md has the outcomes.

``build/torch/bin/python -m tests.pytorch.test_matrix`` writes that page's table again.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree

import forgo
from tests.conftest import ROOT
from tests.pytorch.matrix import ALL

PAGE = ROOT / "docs" / "models-torch.md"
HEAD = "| model | outcome |\n| --- | --- |\n"
TOLERANCE = 1e-4


def outcome(name: str, path: Path) -> str:
    torch.manual_seed(0)
    model, rows = ALL[name]()
    modes = [m.training for m in model.modules()]
    refused, result = "", None
    try:
        result = forgo.export(model, path, examples=rows)
    except forgo.ForgoError as e:
        refused = str(e)
    assert [m.training for m in model.modules()] == modes
    if result is None:
        assert not path.exists()
        assert "\n" not in refused
        return f"refused: {refused.split('; ')[0][:200]}"
    assert result.parity["mode"] == "full"
    assert result.framework_difference is not None
    assert result.framework_difference <= TOLERANCE
    compare(model, rows, path)
    kept = [n for n in result.notes if n.startswith("rows must have")]
    return "proven" + (", at the examples' sizes" if kept else "")


def compare(model: Any, rows: Any, path: Path) -> None:
    """Hold Go to the module on every row: the outputs, and the greatest of each."""
    given = rows if isinstance(rows, dict) else {"": rows}
    single = model.eval().float() if next(model.parameters()).dtype == torch.float16 else model.eval()
    with torch.no_grad():
        kind = next(single.parameters()).dtype
        tensors = [torch.tensor(a) for a in given.values()]
        answer = single(*[t.to(kind) if t.is_floating_point() else t for t in tensors])
    want = [t.numpy() for t in _pytree.tree_leaves(answer)]
    with forgo.load(path) as loaded:
        got = loaded.run(rows)
    for g, w in zip(got.values(), want, strict=True):
        a = np.asarray(g)
        assert a.shape == w.shape
        np.testing.assert_allclose(a, w, rtol=TOLERANCE, atol=TOLERANCE)
        if w.ndim == 2 and w.shape[1] > 1:
            top = np.sort(w, axis=1)
            sure = top[:, -1] - top[:, -2] > 2 * TOLERANCE
            assert (a.argmax(1) == w.argmax(1))[sure].all()


def recorded() -> dict[str, str]:
    rows = re.findall(r"^\| (.+?) \| ((?:proven|refused).*?) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: said.replace("\\|", "|") for name, said in rows}


def test_the_page_has_each_once() -> None:
    assert list(recorded()) == list(ALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_each_is_proven_or_refused_as_the_page_says(name: str, tmp_path: Path) -> None:
    got = outcome(name, tmp_path / "m.forgo")
    assert got.split(":")[0] == recorded()[name].split(":")[0], got


def _write() -> None:
    before, _, rest = PAGE.read_text().partition(HEAD)
    _, _, after = rest.partition("\n\n")
    lines = []
    for name in ALL:
        with tempfile.TemporaryDirectory() as folder:
            said = outcome(name, Path(folder) / "m.forgo").replace("|", "\\|")
        print(name, "|", said, flush=True)
        lines.append(f"| {name} | {said} |\n")
        PAGE.write_text(before + HEAD + "".join(lines) + (f"\n{after}" if after else ""))


if __name__ == "__main__":
    _write()
