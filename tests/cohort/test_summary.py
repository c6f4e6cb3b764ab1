"""Table 1 of a cohort."""

from __future__ import annotations

import pytest

from kneeage.cohort.summary import summarize, summarize_groups, table_csv, table_rows, usual_grouping
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError


def entry(name: str, age_years: float, subset: str | None = None, sex: Sex = Sex.MALE, site: str = "A") -> SubjectEntry:
    return SubjectEntry(name, sex, age_years, site, None, "i.nii.gz", subset=subset)


ENTRIES = [
    entry("S1", 10.5, "training"),
    entry("S2", 10.999, "validation", Sex.FEMALE),
    entry("S3", 13.0, "training", site="B"),
    entry("S4", 13.5, "external"),
]


def test_subjects_are_counted_per_completed_year_and_group() -> None:
    groups = summarize(ENTRIES, "subset")
    assert [group.name for group in groups] == ["training", "validation", "external", "all"]
    training, everybody = groups[0], groups[-1]
    assert training.subjects_per_year == {10: 1, 11: 0, 12: 0, 13: 1}
    assert (training.subjects, training.mean_age_years) == (2, 11.75)
    assert training.sd_age_years == pytest.approx(2.5 / 2**0.5)
    assert groups[1].sd_age_years is None
    assert everybody.subjects_per_sex == {"male": 3, "female": 1}


def test_the_layout_is_that_of_table_1() -> None:
    assert table_rows(summarize(ENTRIES, "site")) == [
        ["10", "2", "0", "2"],
        ["11", "0", "0", "0"],
        ["12", "0", "0", "0"],
        ["13", "1", "1", "2"],
        ["all", "3", "1", "4"],
        ["male", "2", "1", "3"],
        ["female", "1", "0", "1"],
        ["mean age, years", "11.67", "13.00", "12.00"],
        ["SD of age, years", "1.61", "", "1.47"],
    ]


def test_as_csv() -> None:
    lines = table_csv(summarize(ENTRIES, "sex")).splitlines()
    assert lines[:2] == ["completed_years,female,male,all", "10,1,1,2"]


def test_groups_of_a_split_and_those_without_one() -> None:
    groups = summarize_groups(ENTRIES, {"S1": "test", "S2": "training"})
    assert [(group.name, group.subjects) for group in groups] == [("training", 1), ("test", 1), ("none", 2), ("all", 4)]


def test_the_usual_grouping() -> None:
    assert usual_grouping(ENTRIES) == "subset"
    assert usual_grouping([entry("S1", 12)]) == "site"
    with pytest.raises(UsageError, match="grouped by subset, site, sex; found 'ward'"):
        summarize(ENTRIES, "ward")
