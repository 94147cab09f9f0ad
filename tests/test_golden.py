"""Golden cases: how two answers are compared, and which examples are chosen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from forgo.exporting import _golden
from forgo.exporting._examples import Example
from tests.conftest import ROOT

SHARED = json.loads((ROOT / "conformance" / "differences.json").read_text())["cases"]


def array(dtype: str, values: list[Any]) -> Any:
    return np.array(values, object if dtype == "string" else dtype)


@pytest.mark.parametrize("case", SHARED, ids=lambda c: c["name"])
def test_difference_is_gos(case: dict[str, Any]) -> None:
    """The cases are shared with Go's predict/tensor/compare_test.go."""
    got, want = array(case["dtype"], case["got"]), array(case["dtype"], case["want"])
    difference = float("inf") if case["difference"] is None else float(case["difference"])
    assert _golden.difference(got, want) == difference


def examples(encodings: list[str], orientations: list[int] | None = None) -> list[Example]:
    turned = orientations or [1] * len(encodings)
    return [
        Example(b"", "image/png", str(i), encoding, {}, orientation=orientation)
        for i, (encoding, orientation) in enumerate(zip(encodings, turned, strict=True))
    ]


def scores(margins: list[float], classes: list[int] | None = None) -> Any:
    """Probabilities of three classes: the best class of each row, and how far it leads."""
    out = np.zeros((len(margins), 3), np.float32)
    for i, margin in enumerate(margins):
        best = classes[i] if classes else 0
        out[i, best] = (1 + margin) / 2
        out[i, (best + 1) % 3] = (1 - margin) / 2
    return out


def test_the_least_certain_come_first_and_doubtful_ones_never() -> None:
    margins = [0.9 - i * 0.01 for i in range(40)] + [3e-4, 0.0]
    chosen = _golden.choose(examples(["a"] * 42), scores(margins), tolerance=1e-4)
    assert chosen[:8] == [39, 38, 37, 36, 35, 34, 33, 32]
    assert len(chosen) == _golden.CASES
    assert not {40, 41} & set(chosen)
    assert len(set(chosen)) == len(chosen)


def test_a_margin_of_four_tolerances_is_not_enough() -> None:
    just = [5e-4, 4e-4, 3.9e-4, 1.0]
    chosen = _golden.choose(examples(["a"] * 4), scores(just).astype(np.float64), tolerance=1e-4)
    assert set(chosen) == {0, 3}


def test_each_class_encoding_and_orientation_has_a_case() -> None:
    n = 200
    margins = [0.5 + 0.002 * i for i in range(n)]
    classes = [0] * n
    classes[150], classes[151] = 1, 2
    encodings = ["a"] * n
    encodings[160] = "rare"
    orientations = [1] * n
    orientations[170] = 6
    chosen = _golden.choose(examples(encodings, orientations), scores(margins, classes), 1e-4)
    assert {150, 151, 160, 170} <= set(chosen)
    assert len(chosen) == _golden.CASES


def test_many_encodings_need_more_cases_up_to_a_bound() -> None:
    chosen = _golden.choose(examples([f"e{i}" for i in range(100)]), None, 1e-4)
    assert len(chosen) == _golden.MOST_CASES


def test_without_scores_cases_are_spread_evenly() -> None:
    chosen = _golden.choose(examples(["a"] * 151), None, 1e-4)
    assert chosen[0] == 0
    assert 150 in chosen
    assert len(chosen) == _golden.CASES
    assert max(np.diff(sorted(chosen))) <= 11


def test_fewer_examples_than_cases_are_all_taken_once() -> None:
    assert sorted(_golden.choose(examples(["a"] * 5), None, 1e-4)) == [0, 1, 2, 3, 4]
    assert _golden.choose([], None, 1e-4) == []
