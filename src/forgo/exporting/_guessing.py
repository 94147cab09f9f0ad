"""The statistics of labelled examples: whether answers are guessed, and whether others are clearly better."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

CERTAIN = 0.01
"""The chance of a wrong refusal that each rule allows itself."""
LEAST_KAPPA = 0.05
"""The share of the way from chance to certainty that answers must have gone."""
_CLEAR_GAIN = 0.05
SHUFFLES = 1999
_EQUAL = 1e-9
"""Grades that differ by less are equal, but for rounding."""

Numbers = npt.NDArray[np.int64]
Grades = npt.NDArray[np.float64]
"""How right each example's answer is, [n]. Their mean is the accuracy. 0 or 1 where an example has one class."""


def chance(answers: Numbers, truth: Numbers) -> float:
    """The share of right answers to be expected if answers and labels had nothing to do with each other."""
    classes = max(answers.max(), truth.max()) + 1
    said, there = (np.bincount(a, minlength=classes) / len(a) for a in (answers, truth))
    return float(said @ there)


def p_value(answers: Numbers, truth: Numbers) -> float:
    """How often the same answers, shuffled, are right as often: exact for any balance of the classes."""
    right = (answers == truth).sum()
    shuffle = np.random.default_rng(0).permutation
    as_good = sum(int((shuffle(truth) == answers).sum() >= right) for _ in range(SHUFFLES))
    return (1 + as_good) / (1 + SHUFFLES)


def near_chance(answers: Numbers, truth: Numbers, by_chance: float) -> bool:
    """Whether answers are as good as guessed.

    They are where shuffled answers are right as often (p >= 0.01), or where they went less than a
    twentieth of the way from chance to certainty (Cohen's kappa). Few examples cannot show it: the upper
    end of the accuracy's interval (Wilson, 95% one-sided) must lie below half of that way.
    """
    if len(set(truth.tolist())) == 1:
        return False  # every answer's share is then its chance
    accuracy = float((answers == truth).mean())
    if upper(accuracy, len(truth)) >= halfway(by_chance):
        return False
    kappa = (accuracy - by_chance) / (1 - by_chance)
    return kappa < LEAST_KAPPA or p_value(answers, truth) >= CERTAIN


def halfway(by_chance: float) -> float:
    """Half of the way from chance to certainty."""
    return by_chance + (1 - by_chance) / 2


def upper(share: float, n: int) -> float:
    """The upper end of a share's interval (Wilson, 95% one-sided), of n."""
    z = 1.645
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle + spread) / (1 + z * z / n)


def clearly_better(now: npt.NDArray[Any], other: npt.NDArray[Any], tried: int) -> bool:
    """Whether other grades of the same examples are better beyond doubt, and by enough to matter.

    Beyond doubt: the sign test on the examples whose grades differ, which is McNemar's where an example is right
    or wrong, its level of 0.01 shared among all that are tried. Enough: five points more, or half of what is
    missing gained.
    """
    more, missing = other.mean() - now.mean(), 1 - now.mean()
    enough = more >= _CLEAR_GAIN - _EQUAL or 1 - other.mean() <= missing / 2 + _EQUAL
    return bool(enough and doubt(other, now) < CERTAIN / tried)


def doubt(better: npt.NDArray[Any], worse: npt.NDArray[Any]) -> float:
    """The exact sign test, one-sided: how likely so many more grades are higher by accident."""
    more = better.astype(float) - worse.astype(float)
    gained, lost = int((more > _EQUAL).sum()), int((more < -_EQUAL).sum())
    differ = gained + lost
    return float(sum(math.comb(differ, k) for k in range(gained, differ + 1)) / 2**differ)


def least_gain(tried: int) -> int:
    """How many examples another way must gain, losing none, to be clearly better."""
    return math.floor(math.log2(tried / CERTAIN)) + 1
