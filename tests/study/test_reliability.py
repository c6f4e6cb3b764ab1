"""Calibration curves against scikit-learn's, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from kneeage.study.predictions import Predictions, one_vote
from kneeage.study.reliability import (
    calibration_error,
    class_reliability,
    expected_calibration_error,
    reliability,
    threshold_reliability,
)
from tests.study.tables import CLASSES, row, study


def test_curves_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(1)
    said = rng.random(500)
    true = rng.random(500) < said**2
    found = reliability(said, true)
    observed, mean = calibration_curve(true, said, n_bins=10)
    assert [each.observed.value for each in found.bins] == pytest.approx(observed)
    assert [each.mean_probability for each in found.bins] == pytest.approx(mean)


def test_the_error_by_hand() -> None:
    found = reliability(np.array([0.2, 0.2, 0.9, 1.0]), np.array([True, False, True, True]), bins=4)
    assert [(each.low, each.high, each.observed.total) for each in found.bins] == [(0, 0.25, 2), (0.75, 1, 2)]
    assert found.expected_calibration_error == pytest.approx((2 * 0.3 + 2 * 0.05) / 4)


def test_a_probability_on_an_edge_belongs_above_and_1_to_the_last_bin() -> None:
    found = reliability(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), bins=2)
    assert [each.observed.total for each in found.bins] == [1, 2]


def test_true_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(2)
    said = rng.random(100_000)
    assert reliability(said, rng.random(100_000) < said).expected_calibration_error < 0.01


def test_of_nothing_there_is_no_curve() -> None:
    found = reliability(np.array([]), np.array([], dtype=bool))
    assert found.bins == ()
    assert math.isnan(found.expected_calibration_error)


def test_the_most_probable_class_is_judged() -> None:
    half = tuple(0.75 * (age == 14) + 0.25 * (age == 15) for age in CLASSES)
    rows = [
        row(subject_id=f"s{age}", chronological_age_years=age, probability=half) for age in (14.5, 14.6, 15.5, 13.5)
    ]
    found = class_reliability(Predictions.of(CLASSES, rows))
    (only,) = found.bins
    assert (only.mean_probability, only.observed.count, only.observed.total) == (0.75, 2, 4)
    assert found.expected_calibration_error == pytest.approx(0.25)


def test_the_probability_to_be_past_a_threshold_is_judged() -> None:
    votes = one_vote(study())
    found = threshold_reliability(votes, 18)
    assert sum(each.observed.total for each in found.bins) == 135
    assert sum(each.observed.count for each in found.bins) == (votes.chronological_age_years >= 18).sum()


def test_the_error_is_the_distance_of_the_bins_by_their_counts() -> None:
    rng = np.random.default_rng(3)
    said = np.concatenate([rng.random(300), [0.0, 0.1, 0.5, 1.0]])
    true = rng.random(304) < said**2
    bins = reliability(said, true).bins
    distances = [each.observed.total * abs(each.observed.value - each.mean_probability) for each in bins]
    assert expected_calibration_error(said, true) == pytest.approx(sum(distances) / 304)


def test_who_is_too_sure_has_an_error_that_perfect_readers_do_not_have() -> None:
    true = np.array([False, True] * 50)
    good, bad = (calibration_error(np.full(100, chance), true) for chance in (0.5, 0.9))
    assert good.error == pytest.approx(0, abs=1e-9)
    assert good.p_value > 0.9
    assert bad.error == pytest.approx(0.4)
    assert bad.p_value == pytest.approx(1 / 2001)
    assert bad.perfect_mean < bad.perfect_95 < 0.4


def test_perfect_readers_are_as_far_off_as_chance_makes_them() -> None:
    """All say 0.5: their error is the mean distance of a binomial share from a half, sqrt(1 / (2 pi n)) for large n."""
    found = calibration_error(np.full(400, 0.5), np.arange(400) < 200)
    assert found.perfect_mean == pytest.approx(math.sqrt(1 / (2 * math.pi * 400)), rel=0.05)
