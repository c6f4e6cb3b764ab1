"""Heights and weights against the charts' own printed percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.body import Body, Percentiles, height_cm, weight_kg
from kneeage.phantom.growth.law import TABLE1, Covariates


# Source: the charts' data file statage (printed percentiles 3, 10, 90, 97).
@pytest.mark.parametrize(
    ("age_years", "sex", "percentile", "printed_cm"),
    [
        (12, Sex.MALE, 3, 135.4),
        (14, Sex.MALE, 10, 153.3),
        (16, Sex.MALE, 97, 186.9),
        (8, Sex.FEMALE, 90, 135.3),
        (18, Sex.FEMALE, 3, 150.9),
    ],
)
def test_height_is_that_of_the_charts(age_years: float, sex: Sex, percentile: float, printed_cm: float) -> None:
    assert height_cm(age_years, sex, percentile) == pytest.approx(printed_cm, abs=1.0)


def test_the_median_weight_is_that_of_the_charts() -> None:
    assert weight_kg(14, Sex.MALE, 50) == pytest.approx(51.0)
    assert weight_kg(15, Sex.FEMALE, 50) == pytest.approx(51.9, abs=0.5)


def test_weight_rises_with_its_percentile_and_has_a_long_upper_tail() -> None:
    low, middle, high = (weight_kg(13, Sex.MALE, percentile) for percentile in (1, 50, 99))
    assert low < middle < high
    assert high - middle > 1.5 * (middle - low)


@pytest.mark.parametrize("percentile", [0.0, 100.0])
def test_the_ends_of_the_scale_are_finite(percentile: float) -> None:
    assert 12 < weight_kg(8, Sex.MALE, percentile) < 70
    assert 110 < height_cm(8, Sex.MALE, percentile) < 150


def test_drawn_percentiles_are_uniform_and_go_together() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([(p.height, p.weight) for p in (Percentiles.draw(rng) for _ in range(4000))])
    np.testing.assert_allclose(drawn.mean(axis=0), 50, atol=2)
    np.testing.assert_allclose(drawn.std(axis=0), 100 / np.sqrt(12), atol=1)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(TABLE1.covariates.height_weight_correlation.value, abs=0.05)


AGES_YEARS = np.array([9.0, 13.4, 17.0, 24.0])
KNOWN = Covariates(
    np.array([False, True, False, True]), np.array([-2.0, -0.3, 0.0, 1.2]), np.array([2.4, -1.5, 0.1, 0.8])
)


def test_bodies_are_those_of_the_charts() -> None:
    body = Body.of(AGES_YEARS, KNOWN)
    for n, sex in enumerate((Sex.MALE, Sex.FEMALE, Sex.MALE, Sex.FEMALE)):
        height, weight = (100 * ndtr(score[n]) for score in (KNOWN.height_score, KNOWN.weight_score))
        assert body.height_cm[n] == pytest.approx(height_cm(AGES_YEARS[n], sex, height), abs=0.051)
        assert body.weight_kg[n] == pytest.approx(weight_kg(AGES_YEARS[n], sex, weight), abs=0.051)


def test_charts_are_turned_round() -> None:
    found, _ = Body.of(AGES_YEARS, KNOWN).covariates_at(AGES_YEARS)
    assert np.diag(found.height_score) == pytest.approx(KNOWN.height_score)
    assert np.diag(found.weight_score) == pytest.approx(KNOWN.weight_score)


def test_density_changes_with_the_scale() -> None:
    """One cm and one kg in standard deviations, against small steps of both."""
    body, step = Body.of(AGES_YEARS, KNOWN), 1e-4
    heavier = Body(body.female, body.height_cm + step, body.weight_kg + step)
    (found, steps), (after, _) = (each.covariates_at(AGES_YEARS) for each in (body, heavier))
    moved = (after.height_score - found.height_score) * (after.weight_score - found.weight_score)
    assert steps == pytest.approx(moved / step**2, rel=1e-4)


def test_same_cm_and_kg_are_fewer_standard_deviations_in_older_children() -> None:
    body = Body(np.array([False]), np.array([150.0]), np.array([45.0]))
    found, _ = body.covariates_at(np.array([10.0, 12.0, 14.0]))
    for scores in (found.height_score[0], found.weight_score[0]):
        assert (np.diff(scores) < 0).all()
