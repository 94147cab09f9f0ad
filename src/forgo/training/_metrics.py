"""A classifier's metrics on held-out pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def measure(scores: npt.NDArray[Any], expected: npt.NDArray[Any], labels: list[str]) -> dict[str, Any]:
    """Measure probabilities [n, classes] against class numbers [n].

    Returns:
        accuracy (0 to 1), loss (mean negative log likelihood, nats), confusion (a row for each true
        class, a column for each answer), and for each class its count, precision and recall
        (None without answers, or without pictures).
    """
    answered = scores.argmax(axis=1)
    own = np.clip(scores[np.arange(len(expected)), expected].astype(np.float64), 1e-12, 1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (expected, answered), 1)
    classes = []
    for i, label in enumerate(labels):
        right, there, said = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        classes.append(
            {
                "label": label,
                "count": int(there),
                "precision": float(right / said) if said else None,
                "recall": float(right / there) if there else None,
            }
        )
    return {
        "accuracy": float((answered == expected).mean()),
        "loss": float(-np.log(own).mean()),
        "confusion": confusion.tolist(),
        "classes": classes,
    }


def at_chance(measured: dict[str, Any]) -> str | None:
    """Return a warning if a classifier is no better than always answering the most common class.

    It is no better if that constant answer would be right at least as often with a probability
    of 5% or more: the upper tail of the binomial distribution.
    """
    counts = [c["count"] for c in measured["classes"]]
    total = sum(counts)
    most = max(range(len(counts)), key=counts.__getitem__)
    share = counts[most] / total
    right = round(measured["accuracy"] * total)
    if share == 1 or _at_least(right, total, share) < 0.05:
        return None
    return (
        f"held-out accuracy {100 * measured['accuracy']:.1f}% on {total} pictures is no better than always "
        f"answering {measured['classes'][most]['label']!r} ({100 * share:.1f}%): the model has learned nothing "
        "that these pictures show"
    )


def _at_least(k: int, n: int, p: float) -> float:
    """The probability of k or more successes in n trials."""
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    )  # fmt: skip
    return min(1.0, sum(map(math.exp, logs)))
