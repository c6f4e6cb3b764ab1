"""Credible intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.decide.interval import credible_interval, reaches_first_bin
from kneeage.decide.posterior import AgeDistribution, posterior
from kneeage.decide.prior import fit_prior, uniform_prior

EDGES = [float(age) for age in range(8, 27)]


def test_a_central_interval() -> None:
    interval = credible_interval(AgeDistribution((8, 9, 19, 20), (0.0, 1.0, 0.0)), calibration_subjects=0)
    assert interval.level == 0.95
    assert interval.low == pytest.approx(9.25)
    assert interval.high == pytest.approx(18.75)


def test_another_level() -> None:
    interval = credible_interval(AgeDistribution((8, 9, 19, 20), (0, 1, 0)), calibration_subjects=0, level=0.8)
    assert (interval.low, interval.high) == (pytest.approx(10), pytest.approx(18))


@pytest.mark.parametrize(("last", "is_open"), [(0.005, False), (0.02, True), (0.9, True)])
def test_it_is_open_upwards_when_the_last_bin_still_counts(last: float, is_open: bool) -> None:
    interval = credible_interval(AgeDistribution((8, 9, 19, 20), (0.05, 0.95 - last, last)), calibration_subjects=0)
    assert (interval.high is None) is is_open


@pytest.mark.parametrize(("first", "reaches"), [(0.02, False), (0.03, True)])
def test_it_is_known_when_it_reaches_the_first_bin(first: float, reaches: bool) -> None:
    distribution = AgeDistribution((8, 9, 19, 20), (first, 1 - first, 0))
    assert reaches_first_bin(distribution, credible_interval(distribution, calibration_subjects=0)) is reaches


def test_the_method_says_what_it_was_fitted_on() -> None:
    distribution = AgeDistribution((8, 9, 10), (0.5, 0.5))
    assert credible_interval(distribution, calibration_subjects=0).method.endswith("uncalibrated")
    assert "240 calibration subjects" in credible_interval(distribution, calibration_subjects=240).method


def test_the_method_does_not_pass_virtual_subjects_off_as_people() -> None:
    made = credible_interval(AgeDistribution((8, 9, 10), (0.5, 0.5)), calibration_subjects=240, virtual=True)
    assert "240 virtual calibration subjects" in made.method


@given(st.lists(st.floats(-20, 20), min_size=18, max_size=18))
def test_it_holds_at_least_its_level(likelihood: list[float]) -> None:
    found = posterior(np.array(likelihood), fit_prior(uniform_prior(8, 26), EDGES))
    interval = credible_interval(found, calibration_subjects=0)
    high = found.edges_years[-1] if interval.high is None else interval.high
    assert found.below(high) - found.below(interval.low) >= 0.95 - 1e-9


def test_a_matured_knee_has_no_upper_limit() -> None:
    """The distribution falls slowly up to the end: 26 years is where the ages considered end, not the image's word."""
    rising = np.concatenate([np.zeros(10), np.full(6, 1.0), [0.5, 0.2]])
    interval = credible_interval(AgeDistribution(tuple(EDGES), tuple(rising / rising.sum())), calibration_subjects=0)
    assert interval.high is None
    assert interval.low > 17
