"""How often intervals hold the true age."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kneeage.core.anatomy import Sex
from kneeage.decide.conformal import ConformalRanks
from kneeage.study.coverage import age_name, coverage, expected_range, holm, maturity_name, served_interval
from tests.study.readers import BUNDLE, read_subjects

SUBJECTS = read_subjects(300, 11)


def test_without_scores_the_model_s_own_interval_is_served() -> None:
    assert "credible" in served_interval(SUBJECTS[0], BUNDLE).method


def test_inside_is_counted_with_the_exact_chance_to_find_as_few() -> None:
    (found,) = coverage(SUBJECTS, BUNDLE)
    count = found.inside.count
    assert (found.name, found.inside.total) == ("all", 300)
    assert found.below_level == pytest.approx(stats.binom.cdf(count, 300, 0.95))
    assert found.below_level_adjusted == pytest.approx(found.below_level)


def test_groups_are_named_by_age_and_sex() -> None:
    names = [group.name for group in coverage(SUBJECTS, BUNDLE, age_name)]
    assert names[0] == "female, 08"
    assert len(names) == 36


def test_groups_without_calibration_are_named_so() -> None:
    names = {group.name for group in coverage(SUBJECTS, BUNDLE, maturity_name(BUNDLE))}
    assert names == {"female, not calibrated", "male, not calibrated"}
    withheld = read_subjects(3, 12, sex_given=False)
    assert maturity_name(BUNDLE)(withheld[0]) == "sex not given, not calibrated"


def test_holm_is_the_step_down_of_the_definition() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_range_of_long_run_coverage_is_what_simulation_gives() -> None:
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random((4000, 400)), axis=1)
    ranks = ConformalRanks.of(400, 0.95, open_upwards=False)
    covered = scores[:, ranks.high - 1] - scores[:, ranks.low - 1]
    assert expected_range(400) == pytest.approx(tuple(np.quantile(covered, [0.025, 0.975])), abs=0.003)
    assert covered.mean() == pytest.approx((ranks.high - ranks.low) / 401, abs=0.001)


def test_too_few_subjects_for_the_level_cover_everything() -> None:
    assert expected_range(10) == (1.0, 1.0)
    assert expected_range(10, open_upwards=True) == (1.0, 1.0)


def test_the_sexes_of_the_simulated_reader_are_even() -> None:
    assert sum(subject.sex is Sex.MALE for subject in SUBJECTS) == 150
