"""What likelihood ratios are worth, by hand, by integration, and against other calibrations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from kneeage.study.likelihood_ratios import least_ratio_cost, ratio_cost, ratio_performance
from kneeage.study.resampling import Resampling

FEW = Resampling(replicates=200)


def ratios(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)


def test_the_cost_by_hand() -> None:
    younger, older = ratios(1, 3), ratios(1, 1 / 7)
    assert ratio_cost(younger, older) == pytest.approx(((1 + 2) / 2 + (1 + 3) / 2) / 2)


def test_a_ratio_of_1_for_everyone_costs_one_bit() -> None:
    assert ratio_cost(ratios(1, 1, 1), ratios(1)) == pytest.approx(1)
    assert least_ratio_cost(ratios(1, 1, 1), ratios(1)) == pytest.approx(1)


def test_the_cost_of_right_ratios_is_what_integration_gives() -> None:
    """Two normal distributions a distance of 1.5 apart."""
    rng, apart = np.random.default_rng(1), 1.5
    younger, older = (np.exp(apart * (rng.normal(mean, 1, 200_000) - apart / 2)) for mean in (0, apart))

    def missing(x: float) -> float:
        lost = math.log2(1 + math.exp(apart * (x - apart / 2)))
        gained = math.log2(1 + math.exp(-apart * (x - apart / 2)))
        return float(lost * stats.norm.pdf(x) + gained * stats.norm.pdf(x, apart)) / 2

    expected, _ = integrate.quad(missing, -10, 12)
    assert ratio_cost(younger, older) == pytest.approx(expected, abs=0.003)
    assert least_ratio_cost(younger, older) == pytest.approx(expected, abs=0.003)
    # The same order, badly calibrated: only the minimum stays.
    assert ratio_cost(younger**3, older**3) > 1.3 * expected
    assert least_ratio_cost(younger**3, older**3) == pytest.approx(least_ratio_cost(younger, older))


def test_the_least_cost_by_hand() -> None:
    """Adjacent violators, the older 2 and the younger 3, are pooled to 1; the ends become 0 and infinite."""
    assert least_ratio_cost(ratios(1, 3), ratios(2, 4)) == pytest.approx(0.5)
    assert least_ratio_cost(ratios(1, 2), ratios(3, 4)) == pytest.approx(0)


def test_each_side_counts_the_same_however_many_it_has() -> None:
    younger, older = ratios(0.2, 0.4, 5.0), ratios(0.3, 2.0, 6.0)
    assert least_ratio_cost(np.repeat(younger, 4), older) == pytest.approx(least_ratio_cost(younger, older))
    assert ratio_cost(np.repeat(younger, 4), older) == pytest.approx(ratio_cost(younger, older))


def test_no_rising_calibration_costs_less() -> None:
    rng = np.random.default_rng(2)
    younger, older = np.exp(rng.normal(-0.5, 1, 12)), np.exp(rng.normal(0.5, 1, 9))
    least, places = least_ratio_cost(younger, older), np.argsort(np.argsort(np.concatenate([younger, older])))
    for _ in range(2000):
        risen = np.exp(np.sort(rng.normal(0, rng.uniform(0.1, 3), 21)))[places]
        assert ratio_cost(risen[:12], risen[12:]) >= least
    assert least < ratio_cost(younger, older)


def test_ratios_without_end_cost_nothing_where_they_are_right_and_infinitely_much_where_not() -> None:
    assert ratio_cost(ratios(0.0), ratios(math.inf)) == 0
    assert ratio_cost(ratios(math.inf), ratios(1)) == math.inf
    assert ratio_cost(ratios(1), ratios(0.0)) == math.inf
    assert least_ratio_cost(ratios(0.0, math.inf), ratios(1, math.inf)) == pytest.approx(
        least_ratio_cost(ratios(1, 3), ratios(2, 3))
    )


def test_misleading_ratios_are_counted_on_either_side() -> None:
    found = ratio_performance(ratios(0.5, 1.0, 2.0, 20.0), ratios(0.05, 0.5, 1.0, 3.0, 30.0), FEW)
    assert (found.younger_misled.count, found.younger_misled.total) == (2, 4)
    assert (found.younger_misled_strongly.count, found.older_misled_strongly.count) == (1, 1)
    assert (found.older_misled.count, found.older_misled.total) == (2, 5)
    assert found.cost.low < found.cost.value < found.cost.high
    assert found.least_cost < found.cost.value


def test_of_one_side_alone_nothing_is_said() -> None:
    found = ratio_performance(ratios(0.5), ratios(), FEW)
    assert math.isnan(found.cost.value)
    assert math.isnan(found.least_cost)
    assert found.older_misled.total == 0
