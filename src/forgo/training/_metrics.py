"""How good a classifier is on pictures that it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def measure(scores: npt.NDArray[Any], truth: npt.NDArray[Any], labels: list[str]) -> dict[str, Any]:
    """Measure probabilities [n, classes] against class numbers [n].

    Returns:
        accuracy (0 to 1), loss (mean negative log likelihood, nats), confusion (a row a true
        class, a column an answered one), and for each class its count, precision and recall
        (None where nothing was answered, or nothing is there).
    """
    answered = scores.argmax(axis=1)
    own = np.clip(scores[np.arange(len(truth)), truth].astype(np.float64), 1e-12, 1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (truth, answered), 1)
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
        "accuracy": float((answered == truth).mean()),
        "loss": float(-np.log(own).mean()),
        "confusion": confusion.tolist(),
        "classes": classes,
    }
