"""Wilson intervals against the formula."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from kneeage.study.intervals import proportion


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (27, 341), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_bounds_solve_wilson_s_equation(count: int, total: int, level: float) -> None:
    z = stats.norm.ppf((1 + level) / 2)
    share = count / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    found = proportion(count, total, level)
    assert (found.value, found.level) == (share, level)
    assert (found.low, found.high) == pytest.approx((max(centre - half, 0), min(centre + half, 1)), abs=1e-12)


def test_of_nobody_nothing_is_known() -> None:
    found = proportion(0, 0)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0, 1)
