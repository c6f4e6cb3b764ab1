"""Conformal intervals as they are served."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, Calibration, Conformal, ConformalGroup
from kneeage.decide.conformal import (
    MERGED_WARNING,
    UNCALIBRATED_WARNING,
    ConformalRanks,
    conformal_interval,
    conformal_warnings,
    find_group,
)
from kneeage.decide.interval import credible_interval
from kneeage.decide.posterior import AgeDistribution, posterior
from kneeage.decide.prior import reference_prior
from tests.infer.knees import manifest

EVEN = [(rank + 0.5) / 399 for rank in range(399)]
NARROW = [0.45 + 0.1 * score for score in EVEN]


def group(scores: list[float] = EVEN, **changes: object) -> ConformalGroup:
    whole = {"sexes": [Sex.MALE], "open_upwards": False, "low_years": 8, "high_years": 26, "scores": scores}
    return ConformalGroup.model_validate({**whole, **changes})


def bundle(*groups: ConformalGroup, population: str = "virtual") -> BundleManifest:
    conformal = Conformal(groups=list(groups), subjects=sum(each.subjects for each in groups))
    return manifest(calibration=Calibration(conformal=conformal), population=population)


def distribution(centre: float, spread: float = 1.0) -> AgeDistribution:
    ages = np.arange(8, 26) + 0.5
    return posterior(-(((ages - centre) / spread) ** 2) / 2, reference_prior(manifest()))


CLOSED = posterior(np.where(np.arange(8, 26) >= 17, 0.0, -8.0), reference_prior(manifest()))


@pytest.mark.parametrize(("subjects", "is_open", "low", "high"), [(39, False, 1, 39), (38, False, 0, 39)])
def test_the_least_number_of_subjects_for_a_level(subjects: int, is_open: bool, low: int, high: int) -> None:
    ranks = ConformalRanks.of(subjects, 0.95, open_upwards=is_open)
    assert (ranks.low, ranks.high) == (low, high)


@pytest.mark.parametrize("is_open", [True, False])
def test_the_level_is_reached_exactly_by_counting(is_open: bool) -> None:
    for subjects in range(1, 501):
        ranks = ConformalRanks.of(subjects, 0.95, open_upwards=is_open)
        inside = Fraction(ranks.high - ranks.low, subjects + 1)
        assert Fraction(95, 100) <= inside
        assert inside - Fraction(95, 100) < Fraction(2, subjects + 1)


def test_even_scores_give_back_the_distribution_s_own_quantiles() -> None:
    predicted = distribution(14)
    found = conformal_interval(predicted, bundle(group()), Sex.MALE)
    assert found is not None
    assert found.low == pytest.approx(predicted.quantile(0.025), abs=0.05)
    assert found.high == pytest.approx(predicted.quantile(0.975), abs=0.05)
    assert "399 virtual calibration subjects of like sex and maturity" in found.method
    assert "not for one person" in found.method


def test_the_scores_set_the_width() -> None:
    found = conformal_interval(distribution(14, 2.0), bundle(group(NARROW)), Sex.MALE)
    assert found is not None
    assert found.high is not None
    assert found.high - found.low < 0.6


def test_a_closed_knee_has_no_upper_end_and_all_of_the_error_below() -> None:
    found = conformal_interval(CLOSED, bundle(group(open_upwards=True)), Sex.MALE)
    assert found is not None
    assert found.high is None
    assert found.low == pytest.approx(CLOSED.quantile(0.05), abs=0.05)
    assert "lower end only" in found.method


def test_an_upper_end_in_the_last_bin_is_none() -> None:
    found = conformal_interval(distribution(23.4, 0.9), bundle(group([0.5] * 38 + [0.9999])), Sex.MALE)
    assert found is not None
    assert found.high is None


def test_too_few_scores_for_the_level_exclude_nothing() -> None:
    found = conformal_interval(distribution(14), bundle(group([0.5] * 10)), Sex.MALE)
    assert found is not None
    assert (found.low, found.high) == (8, None)


def test_a_real_bundle_s_subjects_are_not_called_virtual() -> None:
    found = conformal_interval(distribution(14), bundle(group(), population="a hospital"), Sex.MALE)
    assert found is not None
    assert "virtual" not in found.method


def test_a_merged_group_widens_and_says_so() -> None:
    predicted = distribution(14, 2.0)
    made = bundle(group(NARROW, sexes=[Sex.MALE, Sex.FEMALE], merged=True))
    found = conformal_interval(predicted, made, Sex.FEMALE)
    own = credible_interval(predicted, calibration_subjects=0)
    assert found is not None
    assert (found.low, found.high) == (own.low, own.high)
    assert "of a wider group" in found.method
    assert conformal_warnings(made, predicted, Sex.FEMALE) == [MERGED_WARNING]


def test_a_merged_group_of_closed_knees_stays_open() -> None:
    found = conformal_interval(CLOSED, bundle(group(open_upwards=True, merged=True)), Sex.MALE)
    assert found is not None
    assert found.high is None


def test_own_groups_come_before_merged_ones() -> None:
    own, merged = group(), group(sexes=[Sex.MALE, Sex.FEMALE], merged=True)
    conformal = Conformal(groups=[merged, own])
    assert find_group(conformal, distribution(14), Sex.MALE) == own
    assert find_group(conformal, distribution(14), Sex.FEMALE) == merged


def test_groups_are_told_apart_by_median_maturity_and_sex() -> None:
    young, old = group(high_years=13), group(low_years=13)
    withheld = group(sexes=[Sex.MALE, Sex.FEMALE], sex_given=False)
    conformal = Conformal(groups=[young, old, withheld])
    assert find_group(conformal, distribution(11), Sex.MALE) == young
    assert find_group(conformal, distribution(15), Sex.MALE) == old
    assert find_group(conformal, distribution(15), None) == withheld
    assert find_group(conformal, distribution(15), Sex.FEMALE) is None
    assert find_group(conformal, CLOSED, Sex.MALE) is None


def test_no_group_gives_no_interval_and_says_so() -> None:
    made = bundle(group())
    assert conformal_interval(distribution(14), made, Sex.FEMALE) is None
    assert conformal_warnings(made, distribution(14), Sex.FEMALE) == [UNCALIBRATED_WARNING]
    assert conformal_warnings(made, distribution(14), Sex.MALE) == []


def test_a_bundle_without_scores_gives_no_interval() -> None:
    assert conformal_interval(distribution(14), manifest(), Sex.MALE) is None
    assert conformal_warnings(manifest(), distribution(14), Sex.MALE) == []
