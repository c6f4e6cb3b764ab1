"""Tuning the threshold rule, and counting its errors."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ThresholdPolicy, ThresholdRule
from kneeage.decide.posterior import AgeDistribution
from kneeage.study.predicted import Predicted
from kneeage.study.tuning import count_errors, error_rate, rare_chance, tolerated_errors, tune_policy
from tests.study.readers import read_subjects

TUNED_ON = read_subjects(3600, 21, low=14, high=20)
COUNTED_ON = read_subjects(3600, 22, low=14, high=20)
POLICY = count_errors(tune_policy(TUNED_ON, [16, 18]), COUNTED_ON)


def wilson_upper(errors: int, subjects: int) -> float:
    """The upper bound as Wilson wrote it in 1927."""
    z = 1.959963984540054
    share = errors / subjects
    middle = share + z * z / (2 * subjects)
    return (middle + z * sqrt(share * (1 - share) / subjects + z * z / (4 * subjects**2))) / (1 + z * z / subjects)


def made(age: float, chance: float, sex: Sex = Sex.MALE) -> Predicted:
    """A subject with a probability of being at least 18."""
    return Predicted(age, sex, AgeDistribution((8.0, 18.0, 26.0), (1 - chance, chance)))


def rule(policy: ThresholdPolicy, age: float, sex: Sex | None) -> ThresholdRule:
    found = policy.rule(age, sex)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("subjects", "errors"), [(380, None), (381, 0), (1000, 0), (1500, 0), (2000, 1), (3000, 3), (0, None)]
)
def test_the_tolerated_errors(subjects: int, errors: int | None) -> None:
    assert tolerated_errors(subjects, 0.01) == errors
    if errors:
        assert wilson_upper(errors, subjects) <= 0.01 / 3 < wilson_upper(errors + 1, subjects)
    if errors is not None:
        assert wilson_upper(errors, subjects) <= 0.01


def test_a_rate_is_given_with_wilson_s_interval() -> None:
    found = error_rate([True] * 3 + [False] * 497)
    assert (found.errors, found.subjects, found.share) == (3, 500, 0.006)
    assert found.high == pytest.approx(wilson_upper(3, 500))
    nobody = error_rate([])
    assert (nobody.share, nobody.low, nobody.high) == (None, 0, 1)


def test_no_tuning_subject_beyond_the_tolerated_is_called_adult() -> None:
    for age in (16, 18):
        for sex in Sex:
            limit = rule(POLICY, age, sex).at_least_probability
            assert limit is not None
            near = [s for s in TUNED_ON if s.sex is sex and age - 2 <= s.age_years < age]
            called = sum(s.distribution.at_least(age) >= limit for s in near)
            assert called <= (tolerated_errors(len(near), 0.01) or 0)


def test_errors_on_fresh_subjects_stay_under_the_limit() -> None:
    for age in (16, 18):
        both = [rule(POLICY, age, sex).errors for sex in Sex]
        errors = sum(each.false_adult.errors for each in both if each)
        subjects = sum(each.false_adult.subjects for each in both if each)
        assert subjects > 1000
        assert wilson_upper(errors, subjects) < 0.01


def test_errors_are_counted_among_the_right_subjects() -> None:
    subjects = [made(17.0, 0.95), made(15.5, 0.95), made(10.0, 0.1), made(18.5, 0.05), made(19.0, 0.5), made(21.0, 0.0)]
    policy = ThresholdPolicy(
        rules=[ThresholdRule(age_years=18, sex=Sex.MALE, at_least_probability=0.9, below_probability=0.1)]
    )
    found = rule(count_errors(policy, [*subjects, made(17.5, 1.0, Sex.FEMALE)]), 18, Sex.MALE).errors
    assert found is not None
    assert (found.false_adult.errors, found.false_adult.subjects) == (1, 1)
    assert (found.false_adult_all_minors.errors, found.false_adult_all_minors.subjects) == (2, 3)
    assert (found.false_minor.errors, found.false_minor.subjects) == (1, 2)
    assert (found.undetermined.errors, found.undetermined.subjects) == (1, 3)


def test_the_best_readers_stand_beside() -> None:
    found = count_errors(POLICY, COUNTED_ON, {"a": POLICY, "b": tune_policy(TUNED_ON, [16])})
    errors, own = rule(found, 18, Sex.MALE).errors, rule(POLICY, 18, Sex.MALE).errors
    assert errors is not None
    assert own is not None
    assert errors.reference_undetermined == {"a": own.undetermined}


def test_too_few_subjects_tune_no_limit() -> None:
    policy = tune_policy(TUNED_ON[:1500], [18])
    assert rule(policy, 18, Sex.MALE).at_least_probability is None
    assert rule(policy, 18, Sex.MALE).below_probability is None
    assert rule(policy, 18, Sex.MALE).subjects_below < 381
    assert count_errors(policy, COUNTED_ON).rules[0].errors is not None


def test_a_minor_who_is_surely_adult_withdraws_the_limit() -> None:
    surely = [made(17.0, 1.0) for _ in range(400)] + [made(19.0, 0.0) for _ in range(400)]
    found = rule(tune_policy(surely, [18]), 18, Sex.MALE)
    assert (found.at_least_probability, found.below_probability) == (None, None)


def test_a_decision_is_never_taken_against_the_more_probable_side() -> None:
    clear = [made(17.0, 0.01) for _ in range(400)] + [made(19.0, 0.99) for _ in range(400)]
    found = rule(tune_policy(clear, [18]), 18, Sex.MALE)
    assert (found.at_least_probability, found.below_probability) == (0.5, 0.5)


def test_without_the_sex_the_stricter_limit_of_both_counts() -> None:
    withheld = [Predicted(s.age_years, s.sex, s.distribution, sex_given=False) for s in TUNED_ON]
    policy = tune_policy(TUNED_ON + withheld, [18])
    told = [rule(policy, 18, sex) for sex in Sex]
    untold = rule(policy, 18, None)
    assert untold.at_least_probability == max(each.at_least_probability or 0 for each in told)
    assert untold.below_probability == min(each.below_probability or 0 for each in told)


def test_without_the_sex_a_limit_needs_both() -> None:
    few = [s for s in TUNED_ON if s.sex is Sex.MALE] + [s for s in TUNED_ON if s.sex is Sex.FEMALE][:100]
    withheld = [Predicted(s.age_years, s.sex, s.distribution, sex_given=False) for s in few]
    assert rule(tune_policy(withheld, [18]), 18, None).at_least_probability is None


def test_ages_that_nobody_has_tune_nothing() -> None:
    found = rule(tune_policy(TUNED_ON, [12]), 12, Sex.MALE)
    assert found.at_least_probability is None
    assert (found.subjects_below, found.subjects_above) == (0, 0)


def test_the_largest_chance_below_the_limit_is_not_called() -> None:
    chances = np.linspace(0.0, 0.8, 400)
    found = rule(tune_policy([made(17.0, float(chance)) for chance in chances], [18]), 18, Sex.MALE)
    assert found.at_least_probability is not None
    assert 0.8 < found.at_least_probability < 0.9


def test_the_rare_chance_is_that_of_an_exponential_tail() -> None:
    odds = np.random.default_rng(0).exponential(2.0, (200, 400)) - 3
    found = [rare_chance(list(1 / (1 + np.exp(-row)))) for row in odds]
    rare = np.log(found) - np.log1p(-np.array(found))
    assert np.median(rare) == pytest.approx(2 * np.log(1000) - 3, abs=0.3)


def test_a_tail_that_ends_is_not_drawn_out() -> None:
    closed = [0.1] * 300 + [0.7] * 100
    assert rare_chance(closed) == pytest.approx(0.7)
    assert rule(tune_policy([made(17.0, each) for each in closed], [18]), 18, Sex.MALE).at_least_probability == (
        pytest.approx(0.7)
    )
