"""docs/coming-from-a-go-predictor.md: its code compiles, and its figures come from a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import skew
from tests.conftest import ROOT, TrainedBundle

PAGE = (ROOT / "docs" / "coming-from-a-go-predictor.md").read_text()


def test_its_go_is_the_examples() -> None:
    _, *now = re.findall(r"```go\n(.*?)```", PAGE, flags=re.DOTALL)
    source = (ROOT / "predict" / "tensorflow" / "example_old_predictor_test.go").read_text()
    unindented = source.replace("\n\t", "\n")
    assert len(now) == 2
    for body in now:
        assert body in unindented


def test_its_table_is_whole() -> None:
    table = PAGE.partition(skew.MARKS[0])[2].partition(skew.MARKS[1])[0].splitlines()[2:]
    cells = [[c.strip() for c in row.strip("|").split("|")] for row in table]
    assert [row[4] for row in cells[:3]] == ["0 of 36"] * 3
    assert len({row[2] for row in cells[:3]}) == 1
    assert cells[5][4] != "0 of 36"


@pytest.mark.slow
def test_the_skew_is_visible_and_forgo_has_none(tiles: TrainedBundle, tmp_path: Path) -> None:
    ways = skew.measure(tiles.keras, tiles.bundle, tmp_path)
    expected = ways[0].scores
    for way in ways[1:3]:
        for got, want in zip(way.scores, expected, strict=True):
            assert skew.best(got) == skew.best(want), way.name
            assert all(abs(got[label] - want[label]) < 1e-4 for label in want), way.name
    bundle, saved, decoded, cornered, old = (abs(way.off).max() for way in ways if way.off is not None)
    assert max(bundle, saved) < 0.02
    assert 3 < decoded < cornered < old
    assert any(skew.best(got) != skew.best(want) for got, want in zip(ways[5].scores, expected, strict=True))
    assert len(skew.table(ways).splitlines()) == 2 + len(ways)
