"""Fitting conformal intervals, and the coverage that they have."""

from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalPredictiveSystem
from scipy import stats

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, Calibration
from kneeage.decide.conformal import MIN_SUBJECTS, conformal_interval, conformal_warnings
from kneeage.decide.interval import dies_down
from kneeage.study.conformal import BAND_SUBJECTS, fit_conformal
from kneeage.study.coverage import coverage, is_inside, maturity_name
from kneeage.study.predicted import Predicted
from tests.study.readers import BUNDLE, read_subjects

CALIBRATION = read_subjects(3000, 1)
FRESH = read_subjects(2000, 2)
# An interval fitted on so few thousand subjects may miss its level by as much in the long run, beside the test's own
# chance: that is part of the tolerance below.
LONG_RUN = 0.01


def fitted(subjects: list[Predicted], bundle: BundleManifest = BUNDLE) -> BundleManifest:
    conformal = fit_conformal(subjects, bundle, source="simulated")
    return bundle.model_copy(update={"calibration": Calibration(conformal=conformal)})


MANIFEST = fitted(CALIBRATION)


def test_subjects_are_parted_by_sex_end_and_maturity() -> None:
    conformal = MANIFEST.calibration.conformal
    assert conformal is not None
    assert (conformal.subjects, conformal.source) == (3000, "simulated")
    assert sum(group.subjects for group in conformal.groups) == 3000
    assert {(group.sexes[0], group.open_upwards) for group in conformal.groups} == {
        (sex, is_open) for sex in Sex for is_open in (True, False)
    }
    assert all(group.subjects >= BAND_SUBJECTS - 1 and not group.merged for group in conformal.groups)


def test_the_scores_are_those_of_crepes() -> None:
    """The served interval is the one that crepes gives for the same scores, in every group."""
    conformal = MANIFEST.calibration.conformal
    assert conformal is not None
    for group in conformal.groups:
        system = ConformalPredictiveSystem().fit(residuals=np.array(group.scores)[::-1])
        lower, upper = (0.05, 1.0) if group.open_upwards else (0.025, 0.975)
        found = system.predict_int(np.zeros(1), confidence=upper - lower) if not group.open_upwards else None
        rank = int((group.subjects + 1) * lower + 1e-9)
        assert group.scores == sorted(group.scores)
        if found is not None:
            assert found[0, 0] == pytest.approx(group.scores[rank - 1], abs=1e-12)
            assert found[0, 1] == pytest.approx(group.scores[group.subjects - rank], abs=1e-12)


def test_coverage_on_fresh_subjects_is_the_level() -> None:
    inside = sum(is_inside(subject, MANIFEST) for subject in FRESH)
    interval = stats.binomtest(inside, len(FRESH)).proportion_ci(0.999, method="exact")
    assert interval.low - LONG_RUN <= 0.95 <= interval.high + LONG_RUN


def test_coverage_holds_in_every_group_of_sex_and_maturity() -> None:
    groups = coverage(FRESH, MANIFEST, maturity_name(MANIFEST))
    assert len(groups) >= 4
    assert all(group.inside.total >= 100 for group in groups)
    assert all(group.below_level_adjusted > 0.01 for group in groups)


def test_a_reader_that_is_too_sure_is_corrected() -> None:
    """Its own intervals hold half of what they promise; the conformal ones hold all of it."""
    sure, fresh = read_subjects(1500, 3, sharper=6.0), read_subjects(1000, 4, sharper=6.0)
    own, corrected = (np.mean([is_inside(s, bundle) for s in fresh]) for bundle in (BUNDLE, fitted(sure)))
    assert own < 0.8
    assert abs(corrected - 0.95) < 0.025


def test_a_reader_of_a_population_that_matures_later_is_corrected() -> None:
    late, fresh = read_subjects(1500, 5, later_years=1.5), read_subjects(1000, 6, later_years=1.5)
    own, corrected = (np.mean([is_inside(s, bundle) for s in fresh]) for bundle in (BUNDLE, fitted(late)))
    assert own < 0.9
    assert abs(corrected - 0.95) < 0.025


def test_closed_knees_have_no_upper_end() -> None:
    closed = next(s for s in FRESH if not dies_down(s.distribution))
    found = conformal_interval(closed.distribution, MANIFEST, closed.sex)
    assert found is not None
    assert found.high is None


def test_a_sex_with_too_few_subjects_has_both_together() -> None:
    females = [s for s in CALIBRATION if s.sex is Sex.FEMALE]
    males = [s for s in CALIBRATION if s.sex is Sex.MALE]
    made = fitted(females + males[: MIN_SUBJECTS // 2])
    male, female = males[-1], females[-1]
    assert conformal_warnings(made, female.distribution, Sex.FEMALE) == []
    assert len(conformal_warnings(made, male.distribution, Sex.MALE)) == 1
    found = conformal_interval(male.distribution, made, Sex.MALE)
    assert found is not None
    assert "of a wider group" in found.method


def test_too_few_subjects_altogether_give_no_group() -> None:
    made = fitted(CALIBRATION[:60])
    assert made.calibration.conformal is not None
    assert made.calibration.conformal.groups == []
    assert conformal_interval(FRESH[0].distribution, made, FRESH[0].sex) is None


def test_subjects_predicted_without_their_sex_serve_questions_without_one() -> None:
    withheld, fresh = (read_subjects(800, seed, sex_given=False) for seed in (7, 8))
    made = fitted(CALIBRATION + withheld)
    assert made.calibration.conformal is not None
    assert made.calibration.conformal.subjects == 3000
    assert {group.sex_given for group in made.calibration.conformal.groups} == {True, False}
    assert abs(np.mean([is_inside(subject, made) for subject in fresh]) - 0.95) < 0.03
    assert conformal_interval(fresh[0].distribution, MANIFEST, None) is None


def test_one_sex_alone_is_not_merged_with_nobody() -> None:
    males = [s for s in CALIBRATION if s.sex is Sex.MALE]
    bundle = BUNDLE.model_copy(update={"sexes": [Sex.MALE]})
    conformal = fit_conformal(males, bundle, source="simulated")
    assert not any(group.merged for group in conformal.groups)


def test_a_sex_that_nobody_of_the_sample_has_gets_no_group() -> None:
    made = fitted([s for s in CALIBRATION if s.sex is Sex.MALE])
    female = next(s for s in CALIBRATION if s.sex is Sex.FEMALE)
    assert conformal_interval(female.distribution, made, Sex.FEMALE) is None


def test_many_equal_medians_make_fewer_bands() -> None:
    same = [Predicted(s.age_years, Sex.MALE, CALIBRATION[0].distribution) for s in CALIBRATION[:1200]]
    conformal = fit_conformal(same, BUNDLE.model_copy(update={"sexes": [Sex.MALE]}), source="simulated")
    assert [group.subjects for group in conformal.groups] == [1200]
