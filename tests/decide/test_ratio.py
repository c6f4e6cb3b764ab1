"""Likelihood ratios for named age windows."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.decide.ratio import AgeWindows, likelihood_ratio, parse_windows, windows_around

EDGES = [float(age) for age in range(8, 27)]
FLAT = np.zeros(18)


def test_a_flat_likelihood_favours_no_side() -> None:
    ratio = likelihood_ratio(FLAT, EDGES, windows_around(18))
    assert ratio is not None
    assert ratio.value == pytest.approx(1)
    assert (ratio.ages_below, ratio.ages_above) == ((16, 18), (18, 20))


def test_the_ratio_compares_means_of_both_windows() -> None:
    likelihood = np.zeros(18)
    likelihood[10:12] = np.log([3.0, 5.0])
    ratio = likelihood_ratio(likelihood, EDGES, windows_around(18.0))
    assert ratio is not None
    assert ratio.value == pytest.approx(4)
    between = likelihood_ratio(likelihood, EDGES, windows_around(18.5))
    assert between is not None
    assert between.value == pytest.approx((0.5 * 3 + 5 + 0.5) / (0.5 + 1 + 0.5 * 3) * 2 / 2)


def test_a_window_is_cut_to_the_known_ages() -> None:
    ratio = likelihood_ratio(FLAT, EDGES, windows_around(9))
    assert ratio is not None
    assert ratio.ages_below == (8, 9)
    ratio = likelihood_ratio(FLAT, EDGES, windows_around(25.5))
    assert ratio is not None
    assert ratio.ages_above == (25.5, 26)


@pytest.mark.parametrize("age", [5, 8, 26, 30])
def test_no_window_no_ratio(age: float) -> None:
    assert likelihood_ratio(FLAT, EDGES, windows_around(age)) is None


def test_a_window_with_unknown_ages_gives_no_ratio() -> None:
    likelihood = np.where(np.arange(18) == 9, -np.inf, 0.0)
    assert likelihood_ratio(likelihood, EDGES, windows_around(18)) is None
    assert likelihood_ratio(likelihood, EDGES, windows_around(22)) is not None


def test_no_probability_below_gives_no_value() -> None:
    ratio = likelihood_ratio(np.where(np.arange(18) < 10, -5000.0, 0.0), EDGES, windows_around(18))
    assert ratio is not None
    assert ratio.value is None


def test_windows_that_the_image_speaks_against_give_no_ratio() -> None:
    shares = np.full(18, 0.98 / 14)
    shares[8:12] = 0.02 / 4
    assert likelihood_ratio(np.log(shares), EDGES, windows_around(18)) is not None
    shares[8:12] = 0.009 / 4
    assert likelihood_ratio(np.log(shares), EDGES, windows_around(18)) is None
    assert likelihood_ratio(np.log(shares), EDGES, windows_around(12)) is not None


def test_the_ratio_of_named_windows_is_the_mean_over_each() -> None:
    likelihood = np.log(np.arange(1.0, 19.0))
    ratio = likelihood_ratio(likelihood, EDGES, AgeWindows((10, 14), (18, 26)))
    assert ratio is not None
    assert ratio.value == pytest.approx(np.mean(np.arange(11, 19)) / np.mean(np.arange(3, 7)))
    assert (ratio.ages_below, ratio.ages_above) == ((10, 14), (18, 26))


def test_windows_are_read_and_written() -> None:
    assert parse_windows("14-18:18-22, 8-12:12-12.5") == (
        AgeWindows((14, 18), (18, 22)),
        AgeWindows((8, 12), (12, 12.5)),
    )
    assert str(parse_windows("14-18:18-22.5")[0]) == "14-18:18-22.5"


@pytest.mark.parametrize("text", ["", "18", "14-18", "14-18:18-22:22-24", "a-b:c-d", "14-18:18"])
def test_other_words_are_no_windows(text: str) -> None:
    with pytest.raises(UsageError, match="not understood; give LOW-HIGH:LOW-HIGH"):
        parse_windows(text)


@pytest.mark.parametrize("text", ["18-14:18-22", "14-18:17-22", "14-18:22-22", "14-18:18-inf", "nan-18:18-22"])
def test_windows_neither_overlap_nor_are_empty(text: str) -> None:
    with pytest.raises(UsageError, match="must not be empty or overlap"):
        parse_windows(text)
