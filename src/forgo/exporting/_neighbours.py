"""Nearest-neighbour models: rows with ties between neighbours, where the answer depends on which is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_EQUAL = 1e-6
"""Relative: distances that float32 may order either way."""


def ties(model: Any, rows: Any) -> str | None:
    """Say so if on every one of some rows the last neighbour taken and the first one left out tie.

    Args:
        model: a fitted estimator or pipeline.
        rows: on which the library and a converted graph differ.
    """
    while hasattr(model, "steps"):
        for _, step in model.steps:
            if step is model.steps[-1][1]:
                break
            if type(step).__name__ == "KNNImputer" and _imputer(step, rows):
                return _say(step, "fill the missing values in another way, in training too")
            if step is not None and step != "passthrough":
                rows = step.transform(rows)
        model = model.steps[-1][1]
    if type(model).__name__ == "KNNImputer":
        return _say(model, "fill the missing values in another way") if _imputer(model, rows) else None
    if not hasattr(model, "kneighbors") or not hasattr(model, "n_neighbors"):
        return None
    count = model.n_neighbors
    if count >= model.n_samples_fit_:
        return None
    distances, _ = model.kneighbors(rows, count + 1)
    if not _equal(distances[:, count - 1], distances[:, count]).all():
        return None
    return _say(model, "another n_neighbors, or features with more digits, may avoid ties")


def _say(model: Any, way: str) -> str:
    return f"on all of them {type(model).__name__} breaks ties between equally distant neighbours in an order of its own: {way}"


def _imputer(imputer: Any, rows: Any) -> bool:
    from sklearn.metrics.pairwise import nan_euclidean_distances

    cells = np.asarray(rows, np.float64)
    distances = nan_euclidean_distances(cells, imputer._fit_X)
    count = imputer.n_neighbors
    for row, far in zip(cells, distances, strict=True):
        tied = False
        for column in np.flatnonzero(np.isnan(row)):
            donors = np.sort(far[~np.isnan(imputer._fit_X[:, column])])
            donors = donors[~np.isnan(donors)]
            tied |= len(donors) > count and bool(_equal(donors[count - 1], donors[count]))
        if not tied:
            return False
    return True


def _equal(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Any:
    return np.abs(a - b) <= _EQUAL * np.maximum(np.abs(a), np.abs(b))
