"""Numbers at legal ages, counted by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.study.predictions import Predictions, one_vote
from kneeage.study.resampling import Resampling, bootstrap
from kneeage.study.thresholds import THRESHOLDS_YEARS, at_least, threshold_auc, threshold_numbers
from tests.study.tables import CLASSES, row, study


@pytest.mark.parametrize("age_years", THRESHOLDS_YEARS)
def test_every_number_is_that_counted_subject_by_subject(age_years: int) -> None:
    votes = one_vote(study(seed=2, sharpness=1))
    first = age_years - CLASSES[0]
    subjects = list(zip(votes.chronological_age_years, votes.probability[:, first:].sum(axis=1), strict=True))
    old = [chance for age, chance in subjects if age >= age_years]
    young = [chance for age, chance in subjects if age < age_years]
    found = threshold_numbers(votes, age_years)
    pairs = sum((a > b) + 0.5 * (a == b) for a in old for b in young)
    assert found.auc == pytest.approx(pairs / (len(old) * len(young)))
    assert (found.sensitivity.count, found.sensitivity.total) == (sum(c >= 0.5 for c in old), len(old))
    assert (found.specificity.count, found.specificity.total) == (sum(c < 0.5 for c in young), len(young))
    assert found.false_adult.value == pytest.approx(1 - found.specificity.value)
    assert found.false_minor.value == pytest.approx(1 - found.sensitivity.value)
    assert found.false_adult.low == pytest.approx(1 - found.specificity.high)


def test_a_cautious_reader_calls_fewer_adults() -> None:
    votes = one_vote(study(seed=2, sharpness=1))
    bold, cautious = threshold_numbers(votes, 18), threshold_numbers(votes, 18, called_from=0.95)
    assert cautious.false_adult.count < bold.false_adult.count
    assert cautious.auc == bold.auc


def test_votes_of_several_models_are_refused() -> None:
    with pytest.raises(InputRefusedError, match="315 rows of 135 subjects; average them with one_vote"):
        threshold_numbers(study(), 18)


@pytest.mark.parametrize("age_years", [10, 19, 30])
def test_a_threshold_needs_classes_on_both_sides(age_years: int) -> None:
    with pytest.raises(InputRefusedError, match=f"between the classes 10 to 18; found {age_years}"):
        at_least(study(), age_years)


def test_without_adults_there_is_no_area_and_no_sensitivity() -> None:
    found = threshold_numbers(Predictions.of(CLASSES, [row(), row(subject_id="s2")]), 18)
    assert math.isnan(found.auc)
    assert math.isnan(found.sensitivity.value)
    assert (found.specificity.count, found.specificity.total) == (2, 2)


def test_the_area_has_an_interval_over_subjects() -> None:
    votes = one_vote(study(seed=2, sharpness=1))
    found = bootstrap(votes, partial(threshold_auc, age_years=14), Resampling(100))
    assert found.low < threshold_numbers(votes, 14).auc < found.high
