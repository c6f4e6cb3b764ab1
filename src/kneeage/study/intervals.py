"""Shares of subjects with Wilson intervals."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

# Level of every interval, unless another is asked for. Source: custom.
LEVEL = 0.95


@dataclass(frozen=True)
class Proportion:
    """A share with its interval.

    Args:
        count: How many have the property.
        total: Of how many; 0: nothing is known, the value is NaN and the interval is from 0 to 1.
        value: The share.
        low: Lower bound.
        high: Upper bound.
        level: Probability with which such intervals hold the true share.
    """

    count: int
    total: int
    value: float
    low: float
    high: float
    level: float


def proportion(count: int, total: int, level: float = LEVEL) -> Proportion:
    """Give a share with its Wilson interval.

    Args:
        count: How many have the property.
        total: Of how many independent subjects.
        level: Level of the interval.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not total:
        return Proportion(0, 0, float("nan"), 0.0, 1.0, level)
    bounds = stats.binomtest(count, total).proportion_ci(level, method="wilson")
    return Proportion(count, total, count / total, float(bounds.low), float(bounds.high), level)
