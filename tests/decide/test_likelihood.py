"""The likelihood of a local population."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.manifest import Calibration
from kneeage.decide.likelihood import local_log_likelihood, reference_distribution
from tests.infer.knees import manifest

CENTRES = np.arange(8, 26) + 0.5
PEAK = -((CENTRES - 14.5) ** 2)


def test_a_bundle_that_was_not_recalibrated_changes_nothing() -> None:
    unknown = np.where(np.arange(18) == 3, -np.inf, PEAK)
    assert np.array_equal(local_log_likelihood(unknown, manifest()), unknown)


@pytest.mark.parametrize("years", [-2.0, 1.0, 3.0])
def test_the_location_is_added_to_every_age(years: float) -> None:
    local = local_log_likelihood(PEAK, manifest(calibration=Calibration(location_years=years)))
    assert CENTRES[local.argmax()] == 14.5 + years


def test_beyond_the_ends_the_outermost_bin_goes_on() -> None:
    local = local_log_likelihood(PEAK, manifest(calibration=Calibration(location_years=3.0)))
    assert np.array_equal(local[:4], np.full(4, PEAK[0]))


def test_the_scale_widens() -> None:
    wide = reference_distribution(PEAK, manifest(calibration=Calibration(scale=4.0)))
    narrow = reference_distribution(PEAK, manifest())
    width = [each.quantile(0.975) - each.quantile(0.025) for each in (narrow, wide)]
    assert width[1] == pytest.approx(2 * width[0], rel=0.1)


def test_unknown_ages_stay_unknown() -> None:
    unknown = np.where(CENTRES < 12, -np.inf, PEAK)
    local = local_log_likelihood(unknown, manifest(calibration=Calibration(location_years=0.5)))
    assert not np.isnan(local).any()
    assert np.isneginf(local[:4]).all()


def test_the_reference_prior_is_not_the_training_prior() -> None:
    shares = [0.5, *[0.5 / 17] * 17]
    found = reference_distribution(np.zeros(18), manifest(training_prior=shares))
    assert np.allclose(found.masses, 1 / 18)
