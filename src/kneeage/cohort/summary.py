"""Who is in a cohort: subjects per completed year and group, as Table 1 of the paper has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from kneeage.cohort.sheet import sheet_text
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError

ALL = "all"
# Columns that subjects are grouped by.
GROUPINGS = ("subset", "site", "sex")
_GROUP_ORDER = ("training", "validation", "test", "external")
_NO_GROUP = "none"


@dataclass(frozen=True)
class GroupSummary:
    """One group of a cohort.

    Args:
        name: Name of the group; ``"all"`` for the whole cohort.
        subjects: How many.
        subjects_per_year: How many of each completed year, for every year of the cohort.
        subjects_per_sex: How many of each sex.
        mean_age_years: Mean chronological age.
        sd_age_years: Its standard deviation (n - 1); None for one subject.
    """

    name: str
    subjects: int
    subjects_per_year: Mapping[int, int]
    subjects_per_sex: Mapping[str, int]
    mean_age_years: float
    sd_age_years: float | None


def summarize(entries: Sequence[SubjectEntry], by: str) -> list[GroupSummary]:
    """Count the subjects of every group.

    Args:
        entries: Subjects of a cohort.
        by: ``"subset"``, ``"site"`` or ``"sex"``.

    Returns:
        One summary per group, and the whole cohort last.

    Raises:
        UsageError: Subjects are not grouped by that.
    """
    if by not in GROUPINGS:
        raise UsageError(f"subjects are grouped by {', '.join(GROUPINGS)}; found {by!r}")
    return summarize_groups(entries, {entry.subject_id: _group(entry, by) for entry in entries})


def summarize_groups(entries: Sequence[SubjectEntry], groups: Mapping[str, str]) -> list[GroupSummary]:
    """Count the subjects of every group.

    Args:
        entries: Subjects of a cohort.
        groups: Group of each subject; those without one are counted apart.

    Returns:
        One summary per group, training first, and the whole cohort last.
    """
    members: dict[str, list[SubjectEntry]] = {}
    for entry in entries:
        members.setdefault(groups.get(entry.subject_id) or _NO_GROUP, []).append(entry)
    years = range(min(map(_year, entries)), max(map(_year, entries)) + 1)
    ordered = sorted(members, key=_place)
    return [*(_summary(name, members[name], years) for name in ordered), _summary(ALL, entries, years)]


def table_rows(groups: Sequence[GroupSummary]) -> list[list[str]]:
    """Lay summaries out as Table 1: a row per completed year, then the sums; a column per group."""
    years = [
        [str(year), *(str(group.subjects_per_year[year]) for group in groups)] for year in groups[0].subjects_per_year
    ]
    sexes = [[sex.value, *(str(group.subjects_per_sex[sex.value]) for group in groups)] for sex in Sex]
    return [
        *years,
        ["all", *(str(group.subjects) for group in groups)],
        *sexes,
        ["mean age, years", *(f"{group.mean_age_years:.2f}" for group in groups)],
        ["SD of age, years", *("" if group.sd_age_years is None else f"{group.sd_age_years:.2f}" for group in groups)],
    ]


def table_csv(groups: Sequence[GroupSummary]) -> str:
    """Write summaries as CSV, in the same layout."""
    columns = ["completed_years", *(group.name for group in groups)]
    return sheet_text(columns, [dict(zip(columns, row, strict=True)) for row in table_rows(groups)])


def usual_grouping(entries: Sequence[SubjectEntry]) -> str:
    """Choose what to group by: the table's own groups where it has any, else the site."""
    return "subset" if any(entry.subset for entry in entries) else "site"


def _summary(name: str, members: Sequence[SubjectEntry], years: range) -> GroupSummary:
    """Count one group."""
    ages_years = [entry.chronological_age_years for entry in members]
    return GroupSummary(
        name=name,
        subjects=len(members),
        subjects_per_year={year: sum(_year(entry) == year for entry in members) for year in years},
        subjects_per_sex={sex.value: sum(entry.sex is sex for entry in members) for sex in Sex},
        mean_age_years=fmean(ages_years),
        sd_age_years=stdev(ages_years) if len(ages_years) > 1 else None,
    )


def _group(entry: SubjectEntry, by: str) -> str:
    """Name the group of a subject."""
    return str({"subset": entry.subset, "site": entry.site, "sex": entry.sex.value}[by] or "")


def _year(entry: SubjectEntry) -> int:
    """Completed years."""
    return int(entry.chronological_age_years)


def _place(name: str) -> tuple[int, str]:
    """Sort groups: those of a study in their order, then others by name, and those of no group last."""
    if name == _NO_GROUP:
        return len(_GROUP_ORDER) + 1, name
    return (_GROUP_ORDER.index(name) if name in _GROUP_ORDER else len(_GROUP_ORDER)), name
