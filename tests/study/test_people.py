"""Who is in a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kneeage.cohort.folder import Cohort
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.study.people import People, in_classes, read_people
from kneeage.study.predictions import Group
from tests.cohort.entries import entry, subjects

YEARS = range(10, 20)


def people(internal: Mapping[int, int], external: Mapping[int, int]) -> People:
    """Both groups, as many of each age year as are asked for."""
    own, other = tuple(subjects(internal)), tuple(subjects(external, prefix="x"))
    return People(Cohort(Path("a"), {}, own), Cohort(Path("b"), {}, other))


def folder(place: Path, *rows: str) -> Path:
    """A cohort with a table alone."""
    place.mkdir()
    (place / "cohort.json").write_text('{"schema_version": "1.1"}')
    table = "\n".join(["subject_id,sex,chronological_age_years,site,image,subset", *rows])
    (place / "subjects.csv").write_text(table + "\n")
    return place


def test_one_folder_holds_both_groups_by_its_subsets(tmp_path: Path) -> None:
    rows = ("a,male,12.5,A,a,training", "b,male,12.5,A,b,", "c,male,12.5,B,c,external", "d,male,12.5,A,d,test")
    cohort = folder(tmp_path / "c", *rows)
    both = read_people(cohort, cohort)
    assert [entry.subject_id for entry in both.internal.entries] == ["a", "b"]
    assert [entry.subject_id for entry in both.external.entries] == ["c"]
    assert [(each.subject_id, each.reason) for each in both.excluded] == [
        ("d", "its table keeps it apart (subset test)")
    ]


def test_another_folder_is_taken_whole_or_by_its_subset(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", "a,male,12.5,A,a,")
    other = folder(tmp_path / "other", "b,male,12.5,B,b,training", "c,male,12.5,B,c,external")
    assert len(read_people(own, other).external.entries) == 2
    assert [entry.subject_id for entry in read_people(own, other, "External").external.entries] == ["c"]
    with pytest.raises(UsageError, match=r"no subject of the subset 'test'; its subsets: external, training"):
        read_people(own, other, "test")


def test_classes_reach_from_the_youngest_to_the_oldest_full_year() -> None:
    chosen = in_classes(people({9: 9, 10: 3, 11: 5, 12: 5, 13: 4}, {10: 1, 11: 1, 14: 1}), 5, range(10, 20))
    assert chosen.classes == (11, 12)
    assert len(chosen.internal.entries) == 10
    assert [entry.subject_id for entry in chosen.external.entries] == ["x11-000"]
    reasons = {each.subject_id: each.reason for each in chosen.excluded if each.group is Group.EXTERNAL}
    assert reasons == {
        "x10-000": "aged 10; the classes are 11 to 12 (5 folds)",
        "x14-000": "aged 14; the classes are 11 to 12 (5 folds)",
    }


def test_a_year_between_with_too_few_subjects_is_refused_by_its_name() -> None:
    with pytest.raises(InputRefusedError, match=r"from 10 to 12; found age year 11: 4 male; add subjects"):
        in_classes(people({10: 5, 11: 4, 12: 5}, {10: 1}), 5, YEARS)


def test_too_small_a_cohort_is_refused_with_its_counts() -> None:
    with pytest.raises(InputRefusedError, match=r"found age year 10: 5 male; age year 11: 2 male"):
        in_classes(people({10: 5, 11: 2}, {10: 1}), 5, YEARS)


@pytest.mark.parametrize(
    ("internal", "folds", "remedy"),
    [
        ({10: 5, 11: 4, 12: 5}, 5, r"add subjects, or take fewer folds \(folds=4\)$"),
        ({10: 5, 11: 1, 12: 5}, 5, "; add subjects$"),
        ({10: 5, 11: 3}, 5, r"add subjects, or take fewer folds \(folds=3\)$"),
        ({10: 5, 11: 4, 12: 5, 13: 3, 14: 4}, 5, r"\(folds=3\)$"),
        ({10: 1, 11: 1}, 2, "; add subjects$"),
        ({}, 2, "found nobody; add subjects$"),
    ],
)
def test_fewer_folds_are_advised_only_where_they_would_do(internal: dict[int, int], folds: int, remedy: str) -> None:
    with pytest.raises(InputRefusedError, match=remedy):
        in_classes(people(internal, {10: 1}), folds, YEARS)


def test_an_external_group_of_other_ages_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="no external subject is of the ages 10 to 11"):
        in_classes(people({10: 2, 11: 2}, {15: 1}), 2, YEARS)


def test_each_sex_counts_for_itself_and_one_that_no_model_sees_is_left_out() -> None:
    both = People(
        Cohort(Path("a"), {}, tuple(subjects({10: 2, 11: 2}))),
        Cohort(Path("b"), {}, (entry("m", 10.5), entry("f", 10.5, sex=Sex.FEMALE))),
    )
    chosen = in_classes(both, 2, YEARS)
    assert [each.reason for each in chosen.excluded] == ["female; no internal subject is"]
    girls = tuple(subjects({10: 1, 11: 2}, prefix="f", sex=Sex.FEMALE))
    mixed = People(Cohort(Path("a"), {}, (*both.internal.entries, *girls)), both.external)
    with pytest.raises(InputRefusedError, match="age year 10: 1 female, 2 male"):
        in_classes(mixed, 2, YEARS)
