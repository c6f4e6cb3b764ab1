"""Everything that is said about an age."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import Calibration, Conformal, ConformalGroup, ReferenceRow, References
from kneeage.core.result import SkeletalStages, SummaryQuantity
from kneeage.decide.conformal import UNCALIBRATED_WARNING
from kneeage.decide.minimum_age import MISSING_WARNING
from kneeage.decide.prior import fit_prior, uniform_prior
from kneeage.decide.ratio import AgeWindows
from kneeage.decide.statement import (
    APART_WARNING,
    CLOSED_WARNING,
    FIRST_BIN_WARNING,
    LAST_BIN_WARNING,
    PRIOR_WARNING,
    WINDOWS_WARNING,
    AgeStatement,
    Asked,
    state_age,
)
from tests.infer.knees import manifest

STAGES = {"distal_femur": SkeletalStages(dedouit="V"), "proximal_tibia": SkeletalStages(dedouit="V")}
REFERENCES = References(
    system="dedouit",
    population="virtual",
    low_years=8,
    high_years=26,
    rows=[ReferenceRow(sex=Sex.MALE, distal_femur="V", proximal_tibia="V", n=200, youngest_years=16.1)],
)
# Scores as a calibrated reader has them: every share of the distribution is as frequent as another.
EVEN_SCORES = [(rank + 0.5) / 399 for rank in range(399)]
GROUPS = [
    ConformalGroup(sexes=[Sex.MALE], open_upwards=is_open, low_years=8, high_years=26, scores=EVEN_SCORES)
    for is_open in (True, False)
]
CONFORMAL = Calibration(subjects=300, conformal=Conformal(groups=GROUPS, subjects=798, source="fresh cohort"))


def stated(
    likelihood: np.ndarray,
    *,
    low: float = 8,
    high: float = 26,
    windows: tuple[AgeWindows, ...] = (),
    **changes: object,
) -> AgeStatement:
    bundle = manifest(**changes)
    prior = fit_prior(uniform_prior(low, high), bundle.age_edges_years)
    asked = Asked(thresholds_years=(14, 18), sex=Sex.MALE, stages=STAGES, windows=windows, image_is_virtual=True)
    return state_age(likelihood, bundle, prior=prior, asked=asked)


def around(age: float, spread: float = 0.5) -> np.ndarray:
    centres = np.arange(8, 26) + 0.5
    return np.asarray(-(((centres - age) / spread) ** 2) / 2)


def test_a_statement_is_whole() -> None:
    found = stated(around(15.5))
    assert found.estimated_age_years == 15.5
    assert found.median_age_years == pytest.approx(15.5)
    assert found.mean_age_years == pytest.approx(15.5, abs=0.01)
    assert found.interval_years[0].low < 15.5 < (found.interval_years[0].high or 0)
    assert sum(each.probability for each in found.age_distribution) == pytest.approx(1)
    assert sum(found.class_probabilities.values()) == pytest.approx(1)
    assert [each.age_years for each in found.thresholds] == [14, 18]
    assert (found.prior.name, found.prior.low_years, found.prior.high_years) == ("uniform:8-26", 8, 26)
    assert found.warnings == (CLOSED_WARNING,)


def test_the_oldest_age_is_warned_about() -> None:
    found = stated(around(30))
    assert found.warnings == (LAST_BIN_WARNING,)
    assert found.interval_years[0].high is None


def test_the_youngest_age_is_warned_about() -> None:
    assert FIRST_BIN_WARNING in stated(around(8)).warnings


def test_a_prior_that_contradicts_the_image_is_warned_about() -> None:
    assert PRIOR_WARNING in stated(around(22), low=8, high=14).warnings
    assert PRIOR_WARNING not in stated(around(13), low=8, high=14).warnings


def test_an_end_of_the_age_of_closed_plates_is_warned_about() -> None:
    assert CLOSED_WARNING in stated(around(19)).warnings
    assert CLOSED_WARNING not in stated(around(30)).warnings
    assert CLOSED_WARNING not in stated(around(19), population="a hospital").warnings


def test_an_age_outside_the_interval_is_warned_about() -> None:
    assert APART_WARNING in stated(around(15), low=18, high=26, calibration=CONFORMAL).warnings
    assert APART_WARNING not in stated(around(15), calibration=CONFORMAL).warnings


def test_decisions_say_that_height_and_weight_were_left_out() -> None:
    bundle = manifest()
    prior = fit_prior(uniform_prior(8, 26), bundle.age_edges_years)
    asked = Asked(thresholds_years=(14,), sex=Sex.MALE, stages=STAGES, image_is_virtual=True)
    moved, same = (
        state_age(around(15), bundle, prior=prior, asked=asked, basis=around(age)).thresholds[0] for age in (16, 15)
    )
    assert "read without height and weight" in moved.decision_reason
    assert "height" not in same.decision_reason


def test_a_cut_prior_is_warned_about() -> None:
    found = stated(around(15.5), low=4, high=20)
    assert "covers 4 to 20 years" in found.warnings[0]
    assert (found.prior.low_years, found.prior.high_years) == (8, 20)


def test_the_interval_says_whether_it_is_calibrated() -> None:
    assert "uncalibrated" in stated(around(15.5)).interval_years[0].method
    fitted = stated(around(15.5), calibration=Calibration(subjects=300))
    assert "300 virtual calibration subjects" in fitted.interval_years[0].method
    real = stated(around(15.5), calibration=Calibration(subjects=300), population="a hospital")
    assert "300 calibration subjects" in real.interval_years[0].method


def test_no_age_lies_outside_the_prior() -> None:
    found = stated(around(22), low=10, high=16)
    assert 10 <= found.estimated_age_years <= 16
    assert found.age_distribution[-1].age_years == 15


def test_the_conformal_interval_comes_first_and_no_prior_moves_it() -> None:
    wide, narrow = (
        stated(around(15.5), calibration=CONFORMAL),
        stated(around(15.5), low=10, high=15, calibration=CONFORMAL),
    )
    assert "conformal" in wide.interval_years[0].method
    assert "credible" in wide.interval_years[1].method
    assert wide.interval_years[0] == narrow.interval_years[0]
    assert wide.interval_years[1] != narrow.interval_years[1]


def test_the_three_ages_are_three_quantities() -> None:
    closed = stated(np.where(np.arange(8, 26) >= 17, 0.0, -9.0), calibration=CONFORMAL, references=REFERENCES)
    assert closed.minimum_age_years is not None
    assert closed.minimum_age_years.value_years == 16.1
    assert closed.interval_years[0].high is None
    assert len({closed.estimated_age_years, closed.minimum_age_years.value_years, closed.interval_years[0].low}) == 3


def test_the_summary_names_the_quantity_that_means_something() -> None:
    closed = np.where(np.arange(8, 26) >= 17, 0.0, -9.0)
    assert stated(around(13)).summary_quantity is SummaryQuantity.MOST_PROBABLE_AGE
    assert stated(closed).summary_quantity is SummaryQuantity.INTERVAL_LOWER_END
    assert stated(closed, references=REFERENCES).summary_quantity is SummaryQuantity.MINIMUM_AGE


def test_a_finding_that_no_reference_subject_has_is_said() -> None:
    assert MISSING_WARNING in stated(around(13), references=REFERENCES.model_copy(update={"rows": []})).warnings
    assert MISSING_WARNING not in stated(around(13)).warnings
    assert MISSING_WARNING not in stated(around(13), references=REFERENCES).warnings


def test_subjects_unlike_the_calibration_subjects_are_said() -> None:
    empty = Calibration(conformal=Conformal(groups=GROUPS[:1], subjects=399))
    found = stated(around(13), calibration=empty)
    assert UNCALIBRATED_WARNING in found.warnings
    assert "uncalibrated" in found.interval_years[0].method


def test_named_windows_are_compared_and_unknown_ones_said() -> None:
    known, unknown = AgeWindows((14, 18), (18, 22)), AgeWindows((4, 6), (18, 22))
    found = stated(around(15.5), windows=(known, unknown))
    assert [each.ages_below for each in found.likelihood_ratios] == [(14, 18)]
    assert WINDOWS_WARNING.format(windows="4-6:18-22") in found.warnings


def test_three_priors_are_compared() -> None:
    effects = stated(around(15.5)).prior_effects
    assert [effect.prior for effect in effects] == ["uniform:8-26", "uniform:12-20", "disputed ages (assumed)"]
    assert set(effects[0].thresholds) == {"14", "18"}


def test_a_local_bundle_moves_every_age() -> None:
    moved = stated(around(15.5), calibration=Calibration(location_years=2.0))
    assert moved.estimated_age_years == 17.5
    assert moved.thresholds[1].probability_at_least > stated(around(15.5)).thresholds[1].probability_at_least
