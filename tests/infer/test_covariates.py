"""Which facts were used, and what they changed."""

from __future__ import annotations

from kneeage.infer.age import AgeFacts
from kneeage.infer.covariates import NOT_KNOWN, NOT_TAKEN, SHOWN_ALONE, covariate_reports


def age_years(facts: AgeFacts) -> float:
    return 15.0 + (0.5 if facts.height_cm else 0.0) - (0.25 if facts.weighting else 0.0)


def test_what_was_used_says_what_it_changed() -> None:
    facts = AgeFacts(height_cm=171.0, weighting="T1")
    names = ["sex", "height_cm", "height_known", "sequence_t1", "weight_kg", "weight_known"]
    height, weight, sequence = covariate_reports(facts, names, age_years)
    assert (height.name, height.value, height.used, height.changed_years) == ("height_cm", 171.0, True, 0.5)
    assert height.note == SHOWN_ALONE
    assert (sequence.name, sequence.value, sequence.changed_years, sequence.note) == ("sequence", "T1", -0.25, "")
    assert (weight.value, weight.used, weight.changed_years, weight.note) == (None, False, None, NOT_KNOWN)


def test_what_the_bundle_does_not_take_changes_nothing() -> None:
    reports = covariate_reports(AgeFacts(height_cm=171.0), ["sex"], age_years)
    assert {report.used for report in reports} == {False}
    assert {report.note for report in reports} == {NOT_TAKEN}
    assert reports[0].value == 171.0
