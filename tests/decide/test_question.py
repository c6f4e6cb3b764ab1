"""What is asked about a subject."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.decide.question import Question
from tests.infer.knees import manifest


def test_by_default_little_is_known() -> None:
    question = Question()
    assert question.known_sex is None
    assert question.thresholds == (12, 14, 16, 18)
    assert question.report().claimed_age_years is None


@pytest.mark.parametrize("sex", ["male", Sex.MALE])
def test_sex_is_a_word_or_a_coded_value(sex: str | Sex) -> None:
    assert Question(sex=sex).known_sex is Sex.MALE


def test_another_sex_is_refused() -> None:
    with pytest.raises(UsageError, match="sex is male or female, or not given; found 'M'"):
        Question(sex="M")


@pytest.mark.parametrize("age", [0, -1, 120.5, float("nan"), float("inf")])
def test_the_age_that_is_none_of_a_person_is_named(age: float) -> None:
    with pytest.raises(UsageError, match=f"^a threshold is in years, above 0 and up to 120; found {age:g}$"):
        Question(thresholds=(14, age), claimed_age_years=15)
    with pytest.raises(UsageError, match=f"^the claimed age is in years, above 0 and up to 120; found {age:g}$"):
        Question(claimed_age_years=age)
    assert Question(thresholds=(120,), claimed_age_years=120).claimed_age_years == 120


def test_a_threshold_is_given_once() -> None:
    with pytest.raises(UsageError, match="given once"):
        Question(thresholds=(14, 14))


def test_the_prior_is_by_default_uniform_over_the_training_ages() -> None:
    prior = Question().prior_for(manifest())
    assert (prior.name, prior.edges_years[0], prior.edges_years[-1]) == ("uniform:8-26", 8, 26)


def test_a_prior_of_the_user_s_own() -> None:
    assert Question(prior="uniform:10-20").prior_for(manifest()).edges_years[-1] == 20


def test_the_question_is_repeated_in_the_report() -> None:
    report = Question(sex="female", question="older than 16?", legal_basis="§ 1", claimed_age_years=15).report()
    assert report.sex is Sex.FEMALE
    assert (report.question, report.legal_basis, report.claimed_age_years) == ("older than 16?", "§ 1", 15)


@pytest.mark.parametrize(("name", "value"), [("height_cm", 60), ("height_cm", 1.72), ("weight_kg", 300)])
def test_height_and_weight_are_those_of_a_person(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"the {name.partition('_')[0]} is .* or not given; found {value:g}"):
        Question(**{name: value})  # type: ignore[arg-type]
    assert Question(height_cm=172, weight_kg=60).height_cm == 172


def test_windows_of_age_are_read_before_any_image() -> None:
    assert Question().windows == ()
    assert Question(ratio_ages="14-18:18-22").windows[0].below == (14, 18)
    with pytest.raises(UsageError, match="not understood"):
        Question(ratio_ages="18")
