"""Heights and weights against the charts' own printed percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.body import Percentiles, height_cm, weight_kg
from kneeage.phantom.growth.population import HEIGHT_WEIGHT_CORRELATION


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
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(HEIGHT_WEIGHT_CORRELATION, abs=0.05)
