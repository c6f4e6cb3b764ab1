"""The leakage audit."""

from __future__ import annotations

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.study.audit import (
    ONE_IMAGE,
    ONE_STUDY,
    ONE_SUBJECT,
    SEGMENTER,
    SLICES,
    Traces,
    audit,
    of_fold_segmenter,
    of_foreign_segmenter,
    require_clean,
)
from kneeage.study.predictions import Group
from kneeage.study.results import AuditFinding, AuditOutcome


def traces(name: str, fold: int | None = 0, pixels: str | None = None, study: str | None = None) -> Traces:
    """One subject; external where there is no fold."""
    group = Group.EXTERNAL if fold is None else Group.INTERNAL
    return Traces(name, group, fold, pixels or f"pixels of {name}", study or f"study of {name}")


def found(*subjects: Traces, slices_dealt: bool = False) -> dict[str, AuditFinding]:
    """The findings by their questions."""
    findings = audit(subjects, slices_dealt=slices_dealt, segmenter=of_fold_segmenter())
    return {each.question: each for each in findings}


def test_different_subjects_are_clean() -> None:
    findings = found(traces("a"), traces("b", 1), traces("c", None))
    assert {each.outcome for each in findings.values()} == {AuditOutcome.CLEAN}
    require_clean(list(findings.values()))


@pytest.mark.parametrize(
    ("question", "twin"),
    [
        (ONE_SUBJECT, traces("A", None)),
        (ONE_IMAGE, traces("x", None, pixels="pixels of a")),
        (ONE_STUDY, traces("x", 3, study="study of a")),
    ],
)
def test_a_subject_in_two_places_is_found_and_refused(question: str, twin: Traces) -> None:
    findings = found(traces("a", 2), traces("b"), twin)
    assert findings[question].outcome is AuditOutcome.FOUND
    assert findings[question].detail == f"'a' (fold 2) and {twin.subject_id!r} ({twin.place})"
    with pytest.raises(InputRefusedError, match=f"the leakage audit found {question}: 'a'"):
        require_clean(list(findings.values()))


def test_what_is_not_known_is_not_called_clean() -> None:
    unknown = Traces("b", Group.INTERNAL, 1, "pixels of b", None)
    findings = found(traces("a"), unknown)
    assert findings[ONE_STUDY] == AuditFinding(ONE_STUDY, AuditOutcome.UNKNOWN, "not known of 1 of 2 subjects")
    require_clean(list(findings.values()))


def test_dealing_out_slices_is_found_and_let_pass_as_the_counter_example() -> None:
    findings = found(traces("a"), traces("b", None), slices_dealt=True)
    assert findings[SLICES].outcome is AuditOutcome.FOUND
    assert findings[SLICES].detail == "1 internal subjects, on purpose: a counter-example"
    require_clean(list(findings.values()))


def test_a_foreign_segmenter_is_compared_by_seeds() -> None:
    subjects = [traces("a"), traces("b", None)]
    assert of_foreign_segmenter(subjects, [1, 2], frozenset({7})).outcome is AuditOutcome.CLEAN
    shared = of_foreign_segmenter(subjects, [1, 2], frozenset({2, 7}))
    assert (shared.outcome, shared.detail) == (AuditOutcome.FOUND, "'b' (external)")
    with pytest.raises(InputRefusedError, match=SEGMENTER):
        require_clean([shared])


def test_one_subject_without_a_seed_clears_nobody() -> None:
    subjects = [traces("a"), traces("b", None)]
    shared = of_foreign_segmenter(subjects, [42, None], frozenset({42}))
    assert (shared.outcome, shared.detail) == (AuditOutcome.FOUND, "'a' (fold 0)")
    unchecked = of_foreign_segmenter(subjects, [1, None], frozenset({42}))
    assert unchecked == AuditFinding(SEGMENTER, AuditOutcome.UNKNOWN, "no seed is known of 1 of 2 virtual subjects")


def test_only_a_study_without_virtual_subjects_is_clean_without_seeds() -> None:
    finding = of_foreign_segmenter([], [], frozenset({42}))
    assert (finding.outcome, finding.detail) == (
        AuditOutcome.CLEAN,
        "the bundle learned from virtual subjects, these are none",
    )


def test_a_segmenter_that_proves_nothing_is_said_to_be_unknown() -> None:
    assert of_foreign_segmenter([traces("a")], [1], None).outcome is AuditOutcome.UNKNOWN
