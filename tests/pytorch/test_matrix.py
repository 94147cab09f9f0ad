"""Every model of matrix.py is proven, or refused with a reason; docs/models-torch.md has the outcomes.

``build/torch/bin/python -m tests.pytorch.test_matrix`` writes that page's table again.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree

import forgo
from forgo.exporting._golden import difference
from tests.conftest import ROOT
from tests.pytorch.matrix import ALL

PAGE = ROOT / "docs" / "models-torch.md"
HEAD = "| model | outcome | rows, difference |\n| --- | --- | --- |\n"
TOLERANCE = 1e-4


def outcome(name: str, path: Path) -> tuple[str, str]:
    """What the export came to, and how far Go's answers are from the module's."""
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
        return f"refused: {refused.split('; ')[0][:200]}", ""
    assert result.parity["mode"] == "full"
    assert result.framework_difference is not None
    assert result.framework_difference <= TOLERANCE
    worst = compare(model, rows, path)
    said = "proven" + (
        ", at the examples' sizes" if any(n.startswith("rows must have") for n in result.notes) else ""
    )
    if (other := resized(model, rows, path)) is not None:
        worst = max(worst, compare(model, other, path))
        sizes = ", ".join(" × ".join(map(str, a.shape[1:])) for a in _arrays(other).values() if a.ndim > 1)
        said += f", also with rows of {sizes}"
    return said, f"{len(next(iter(_arrays(rows).values())))}, {worst:.1e}"


def _arrays(rows: Any) -> dict[str, Any]:
    return rows if isinstance(rows, dict) else {"": rows}


def _answers(model: Any, rows: Any) -> list[Any]:
    single = model.eval().float() if next(model.parameters()).dtype == torch.float16 else model.eval()
    kind = next(single.parameters()).dtype
    tensors = [torch.tensor(a) for a in _arrays(rows).values()]
    with torch.no_grad():
        answer = single(*[t.to(kind) if t.is_floating_point() else t for t in tensors])
    return [t.numpy() for t in _pytree.tree_leaves(answer)]


def resized(model: Any, rows: Any, path: Path) -> Any:
    """The rows with another size of each dimension that the manifest leaves free; None if it is the batch alone."""
    shapes = [e["shape"] for e in json.loads((path / "forgo.json").read_text())["inputs"]]
    if not any(size is None for shape in shapes for size in shape[1:]):
        return None
    for grow in (lambda n: n + 3, lambda n: 2 * n):
        other = {}
        for (name, array), shape in zip(_arrays(rows).items(), shapes, strict=True):
            for axis in [i for i, size in enumerate(shape) if i and size is None]:
                array = np.take(array, np.arange(grow(array.shape[axis])) % array.shape[axis], axis)
            other[name] = array
        made = other if isinstance(rows, dict) else other[""]
        with contextlib.suppress(RuntimeError):
            _answers(model, made)
            return made
    raise AssertionError("the module takes no other size")


def compare(model: Any, rows: Any, path: Path) -> float:
    """Hold Go to the module on every row, the outputs and the greatest of each: the largest difference."""
    want = _answers(model, rows)
    with forgo.load(path) as loaded:
        got = loaded.run(rows)
    worst = 0.0
    for g, w in zip(got.values(), want, strict=True):
        a = np.asarray(g)
        assert a.shape == w.shape
        worst = max(worst, difference(a, w))
        if w.ndim == 2 and w.shape[1] > 1:
            assert (a.argmax(1) == w.argmax(1)).all()
    assert worst <= TOLERANCE
    return worst


def recorded() -> dict[str, str]:
    rows = re.findall(r"^\| (.+?) \| ((?:proven|refused).*?) \| .*\|$", PAGE.read_text(), re.MULTILINE)
    return {name: said.replace("\\|", "|") for name, said in rows}


def test_the_page_has_each_once() -> None:
    assert list(recorded()) == list(ALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_each_is_proven_or_refused_as_the_page_says(name: str, tmp_path: Path) -> None:
    got, _ = outcome(name, tmp_path / "m.forgo")
    assert got == recorded()[name]


def _write() -> None:
    before, _, rest = PAGE.read_text().partition(HEAD)
    _, _, after = rest.partition("\n\n")
    lines = []
    for name in ALL:
        with tempfile.TemporaryDirectory() as folder:
            said, asked = outcome(name, Path(folder) / "m.forgo")
        print(name, "|", said, "|", asked, flush=True)
        cell = said.replace("|", "\\|")
        lines.append(f"| {name} | {cell} | {asked} |\n")
        PAGE.write_text(before + HEAD + "".join(lines) + (f"\n{after}" if after else ""))


if __name__ == "__main__":
    _write()
