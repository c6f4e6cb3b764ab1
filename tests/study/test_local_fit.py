"""Fitting a bundle to a local sample."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import BundleManifest, Calibration, ThresholdPolicy, ThresholdRule
from kneeage.decide.likelihood import relocated
from kneeage.study.local_fit import (
    MIN_LOCAL_SUBJECTS,
    LocalSubject,
    _log_score,
    before_and_after,
    cross_validated,
    fit_local,
    fit_location_scale,
    require_enough,
    with_errors,
)
from tests.study.readers import BUNDLE, EDGES, drawn_sexes, log_likelihoods


def sample(subjects: int, seed: int, **reader: float) -> list[LocalSubject]:
    rng = np.random.default_rng(seed)
    ages, sexes = rng.uniform(8, 26, subjects), drawn_sexes(subjects)
    read = log_likelihoods(ages, sexes, rng, **reader)  # type: ignore[arg-type]
    return [
        LocalSubject(f"s{place}", sex, float(age), likelihood)
        for place, (sex, age, likelihood) in enumerate(zip(sexes, ages, read, strict=True))
    ]


LATE = sample(400, 31, later_years=1.2, sharper=3.0)


def test_location_and_scale_of_the_local_population_are_found() -> None:
    location, scale = fit_location_scale(BUNDLE, LATE)
    assert location == pytest.approx(1.2, abs=0.2)
    assert scale == pytest.approx(3.0, rel=0.3)


def test_a_population_like_the_parent_s_is_left_alone() -> None:
    location, scale = fit_location_scale(BUNDLE, sample(400, 32))
    assert location == pytest.approx(0.0, abs=0.2)
    assert scale == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize(("location", "scale"), [(0.0, 1.0), (0.7, 2.0), (-1.3, 0.5)])
def test_the_fit_moves_likelihoods_as_serving_does(location: float, scale: float) -> None:
    likelihood = np.asarray(LATE[0].log_likelihood)
    served = relocated(likelihood, EDGES, location_years=location, scale=scale)
    density = served - np.logaddexp.reduce(served + np.log(0.5))
    score = _log_score(likelihood[None], np.array([7]), EDGES, location_years=location, scale=scale)
    assert score == pytest.approx(density[7])


def test_recalibration_mends_what_was_wrong() -> None:
    before, after = before_and_after(BUNDLE, LATE, cross_validated(BUNDLE, LATE))
    assert before["mean_error_years"] < -0.5
    assert abs(after["mean_error_years"]) < 0.3
    assert before["interval_95_coverage"] < 0.85
    assert abs(after["interval_95_coverage"] - 0.95) < 0.04
    assert after["brier_score_at_18"] < before["brier_score_at_18"]


def test_a_second_recalibration_goes_on_from_the_first() -> None:
    parent = BUNDLE.model_copy(update={"calibration": Calibration(location_years=0.5, scale=2.0, temperature=1.3)})
    fitted = fit_local(parent, LATE).calibration
    location, scale = fit_location_scale(BUNDLE, LATE)
    assert fitted.location_years == pytest.approx(0.5 + location)
    assert fitted.scale == pytest.approx(2.0 * scale)
    assert fitted.temperature == 1.3
    assert fitted.conformal is not None
    assert fitted.conformal.subjects == 400


def test_a_rule_that_the_sample_cannot_tune_is_withdrawn() -> None:
    policy = ThresholdPolicy(rules=[ThresholdRule(age_years=15, sex=None, at_least_probability=0.9)])
    parent: BundleManifest = BUNDLE.model_copy(update={"policy": policy})
    rules = fit_local(parent, LATE).policy.rules
    assert {rule.age_years for rule in rules} == {15}
    assert all(rule.at_least_probability is None for rule in rules)
    assert {rule.age_years for rule in fit_local(BUNDLE, LATE).policy.rules} == {12, 14, 16, 18}


def test_every_subject_is_counted_once_by_limits_that_it_had_no_part_in() -> None:
    wide = BUNDLE.model_copy(update={"policy": ThresholdPolicy(calibrated=True, limit=0.5)})
    policy = with_errors(fit_local(wide, LATE).policy, cross_validated(wide, LATE))
    rule = policy.rule(18, LATE[0].sex)
    assert rule is not None
    assert rule.at_least_probability is not None
    assert rule.errors is not None
    near = [each for each in LATE if each.sex is rule.sex and 16 <= each.age_years < 20]
    assert rule.errors.undetermined.subjects == len(near)
    assert rule.errors.false_adult.subjects == len([each for each in near if each.age_years < 18])
    assert 0 < rule.errors.undetermined.errors < len(near)


def test_limits_that_four_fifths_cannot_tune_decide_nothing() -> None:
    policy = with_errors(fit_local(BUNDLE, LATE).policy, cross_validated(BUNDLE, LATE))
    shares = {rule.errors.undetermined.share for rule in policy.rules if rule.errors is not None}
    assert shares == {1.0}


def test_a_small_sample_is_refused() -> None:
    require_enough(LATE, 400)
    with pytest.raises(InputRefusedError, match=f"20 of 25 subjects .* at least {MIN_LOCAL_SUBJECTS}; add subjects"):
        require_enough(LATE[:20], 25)
