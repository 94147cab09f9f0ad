"""Statistics of labelled examples: whether answers are guesses, and whether others are clearly better."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

CERTAIN = 0.01
"""Each rule's chance of a wrong refusal."""
LEAST_KAPPA = 0.05
"""The share of the way from chance to certainty that answers must reach."""
_CLEAR_GAIN = 0.05
SHUFFLES = 1999
_EQUAL = 1e-9
"""Grades that differ by less are equal, except for rounding."""

Numbers = npt.NDArray[np.int64]
Grades = npt.NDArray[np.float64]
"""The grade of each example's answer, [n]; their mean is the accuracy. 0 or 1 if an example has one class."""


def chance(answers: Numbers, expected: Numbers) -> float:
    """The share of right answers expected if answers and labels were independent."""
    classes = max(answers.max(), expected.max()) + 1
    said, there = (np.bincount(a, minlength=classes) / len(a) for a in (answers, expected))
    return float(said @ there)


def p_value(answers: Numbers, expected: Numbers) -> float:
    """How often shuffled answers are right as often: exact for any balance of the classes."""
    right = (answers == expected).sum()
    shuffle = np.random.default_rng(0).permutation
    as_good = sum(int((shuffle(expected) == answers).sum() >= right) for _ in range(SHUFFLES))
    return (1 + as_good) / (1 + SHUFFLES)


def near_chance(answers: Numbers, expected: Numbers, by_chance: float) -> bool:
    """Whether answers are no better than guesses.

    They are if shuffled answers are right as often (p >= 0.01), or if they reach less than a
    twentieth of the way from chance to certainty (Cohen's kappa). A few examples cannot show it: the upper
    end of the accuracy's interval (Wilson, 95% one-sided) must lie below half of that way.
    """
    if len(set(expected.tolist())) == 1:
        return False  # every answer's share then equals chance
    accuracy = float((answers == expected).mean())
    if upper(accuracy, len(expected)) >= halfway(by_chance):
        return False
    kappa = (accuracy - by_chance) / (1 - by_chance)
    return kappa < LEAST_KAPPA or p_value(answers, expected) >= CERTAIN


def halfway(by_chance: float) -> float:
    """Halfway from chance to certainty."""
    return by_chance + (1 - by_chance) / 2


def upper(share: float, n: int) -> float:
    """The upper end of the interval of a share of n (Wilson, 95% one-sided)."""
    z = 1.645
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle + spread) / (1 + z * z / n)


def clearly_better(now: npt.NDArray[Any], other: npt.NDArray[Any], tried: int) -> bool:
    """Whether other grades of the same examples are significantly better, and by enough to matter.

    Significantly: the sign test on the examples whose grades differ, which is McNemar's if an example is right
    or wrong, its level of 0.01 shared among all alternatives. Enough: five points more, or half of the
    missing points.
    """
    more, missing = other.mean() - now.mean(), 1 - now.mean()
    enough = more >= _CLEAR_GAIN - _EQUAL or 1 - other.mean() <= missing / 2 + _EQUAL
    return bool(enough and doubt(other, now) < CERTAIN / tried)


def doubt(better: npt.NDArray[Any], worse: npt.NDArray[Any]) -> float:
    """The exact sign test, one-sided: how likely so many more grades are higher by chance."""
    more = better.astype(float) - worse.astype(float)
    gained, lost = int((more > _EQUAL).sum()), int((more < -_EQUAL).sum())
    differ = gained + lost
    return float(sum(math.comb(differ, k) for k in range(gained, differ + 1)) / 2**differ)


def least_gain(tried: int) -> int:
    """How many examples an alternative must gain, losing none, to be clearly better."""
    return math.floor(math.log2(tried / CERTAIN)) + 1
