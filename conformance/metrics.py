"""Records scikit-learn's metrics on random answers, for internal/metrics to be held to: metrics.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

Numbers = np.ndarray[Any, np.dtype[Any]]


def _or_none(values: Any) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


def _classes(seed: int, classes: int, rows: int) -> dict[str, Any]:
    """A classifier that is right on about two of three examples; the last class never occurs."""
    random = np.random.default_rng(seed)
    expected = random.integers(0, max(classes - 1, 1), rows)
    scores = random.random((rows, classes))
    scores[np.arange(rows), expected] += 0.5
    answered = scores.argmax(axis=1)
    every = list(range(classes))
    options: dict[str, Any] = {"labels": every, "average": None, "zero_division": np.nan}
    confusion = metrics.confusion_matrix(expected, answered, labels=every)
    return {
        "classes": classes,
        "expected": expected.tolist(),
        "got": np.argsort(-scores, axis=1).tolist(),
        "accuracy": metrics.accuracy_score(expected, answered),
        "top5": metrics.top_k_accuracy_score(expected, scores, k=5, labels=every) if classes > 5 else None,
        "precision": _or_none(metrics.precision_score(expected, answered, **options)),
        "recall": _or_none(metrics.recall_score(expected, answered, **options)),
        "confusion": confusion.tolist(),
    }


def _labels(seed: int, labels: int, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    expected = random.random((rows, labels)) < 0.4
    answered = expected ^ (random.random((rows, labels)) < 0.15)
    expected[:, -1] = False
    answered[:, 0] = False
    options: dict[str, Any] = {"average": None, "zero_division": np.nan}
    return {
        "labels": labels,
        "expected": [np.flatnonzero(r).tolist() for r in expected],
        "got": [np.flatnonzero(r)[::-1].tolist() for r in answered],
        "exact_match": metrics.accuracy_score(expected, answered),
        "precision": _or_none(metrics.precision_score(expected, answered, **options)),
        "recall": _or_none(metrics.recall_score(expected, answered, **options)),
    }


def _values(expected: Numbers, got: Numbers) -> dict[str, Any]:
    return {
        "expected": expected.tolist(),
        "got": got.tolist(),
        "mean_absolute_error": metrics.mean_absolute_error(expected, got),
        "root_mean_squared_error": metrics.root_mean_squared_error(expected, got),
        "r2": metrics.r2_score(expected, got, force_finite=False) if np.ptp(expected) > 0 else None,
    }


def main() -> None:
    """Write metrics.json."""
    random = np.random.default_rng(7)
    price = random.lognormal(12, 1, 200)
    recorded = {
        "classes": [_classes(s, c, r) for s, c, r in ((1, 2, 40), (2, 4, 90), (3, 5, 120), (4, 12, 200))],
        "labels": [_labels(5, 3, 60), _labels(6, 8, 150)],
        "values": [
            _values(price, price + random.normal(0, 1e5, 200)),
            _values(1e9 + random.random(50), 1e9 + random.random(50)),  # sums of squares would cancel
            _values(np.full(3, 2.5), np.array([2.5, 2.0, 3.5])),
            _values(np.array([1.0]), np.array([3.0])),
        ],
    }
    Path(__file__).with_name("metrics.json").write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
