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


def choose(
    found: list[Example], certainty: list[float] | None = None, answers: list[int] | None = None
) -> list[int]:
    labels = None if certainty is None else [[str(a)] for a in answers or [0] * len(found)]
    return _golden.choose(found, None if certainty is None else np.array(certainty), labels, 1e-4)


def test_the_least_certain_come_first_and_doubtful_ones_never() -> None:
    margins = [0.9 - i * 0.01 for i in range(40)] + [3e-4, 0.0]
    chosen = choose(examples(["a"] * 42), margins)
    assert chosen[:8] == [39, 38, 37, 36, 35, 34, 33, 32]
    assert len(chosen) == _golden.CASES
    assert not {40, 41} & set(chosen)
    assert len(set(chosen)) == len(chosen)


def test_a_margin_of_four_tolerances_is_not_enough() -> None:
    just = [5e-4, 4e-4, 3.9e-4, 1.0]
    chosen = choose(examples(["a"] * 4), just)
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
    chosen = choose(examples(encodings, orientations), margins, classes)
    assert {150, 151, 160, 170} <= set(chosen)
    assert len(chosen) == _golden.CASES


def test_many_encodings_need_more_cases_up_to_a_bound() -> None:
    chosen = choose(examples([f"e{i}" for i in range(100)]))
    assert len(chosen) == _golden.MOST_CASES


def test_without_scores_cases_are_spread_evenly() -> None:
    chosen = choose(examples(["a"] * 151))
    assert chosen[0] == 0
    assert 150 in chosen
    assert len(chosen) == _golden.CASES
    assert max(np.diff(sorted(chosen))) <= 11


def test_fewer_examples_than_cases_are_all_taken_once() -> None:
    assert sorted(choose(examples(["a"] * 5))) == [0, 1, 2, 3, 4]
    assert choose([]) == []


def test_rows_with_missing_rare_and_extreme_values_are_sought() -> None:
    numbers = np.linspace(-1, 1, 200).astype(np.float32)
    numbers[[77, 123, 31]] = np.nan, 900, -900
    texts = np.array([b"rome" if i != 58 else b"bergen" for i in range(200)], object)
    found = [
        Example(b"", "application/json", str(i), "json", {"n": numbers[i : i + 1], "city": texts[i : i + 1]})
        for i in range(200)
    ]
    chosen = choose(found)
    assert {77, 123, 31, 58} <= set(chosen)
    assert len(chosen) == _golden.CASES
