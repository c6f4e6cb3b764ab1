"""Which facts were used, and what they changed."""

from __future__ import annotations

import re

from kneeage.core.manifest import BodyRange
from kneeage.infer.age import AgeFacts
from kneeage.infer.covariates import NOT_KNOWN, NOT_TAKEN, SHOWN_ALONE, body_warnings, covariate_reports
from kneeage.report.words import words
from tests.infer.knees import manifest


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


def test_a_body_that_no_training_subject_had_is_warned_of_in_both_languages() -> None:
    bodies = BodyRange(height_cm=(115.4, 193.4), weight_kg=(19.2, 115.9), body_mass_index=(12.0746, 36.4963))
    said = body_warnings(110, 200, manifest(body_range=bodies))
    assert [sentence.partition(":")[0] for sentence in said] == [
        "the height of 110 cm lies outside that of the training subjects (115.4 to 193.4 cm)",
        "the weight of 200 kg lies outside that of the training subjects (19.2 to 115.9 kg)",
        "the body mass index of 165.3 kg/m² lies outside that of the training subjects (12.07 to 36.5 kg/m²)",
    ]
    assert not any(re.search(r"[a-z]{3}", words("zh").phrase(sentence)) for sentence in said)
    assert body_warnings(170, 60, manifest(body_range=bodies)) == []


def test_without_recorded_bodies_none_is_warned_of() -> None:
    assert body_warnings(75, 200, manifest()) == []
