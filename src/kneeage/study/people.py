"""Who is in a study, in which group, and who is not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import floor
from pathlib import Path

from kneeage.cohort.folder import Cohort, read_cohort
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.study.predictions import Group

# Subsets that no model may learn from.
KEPT_APART = ("test", "external")
Stratum = tuple[int, Sex]


@dataclass(frozen=True)
class Excluded:
    """A subject that is not in the study.

    Args:
        group: Where it would have been.
        subject_id: Who.
        reason: Why not.
    """

    group: Group
    subject_id: str
    reason: str


@dataclass(frozen=True)
class People:
    """Both groups of a study.

    Args:
        internal: Cohort of the subjects that are dealt out to the folds.
        external: Cohort of the subjects that every model is tested on.
        classes: Age classes, completed years; empty before `in_classes`.
        excluded: Who is left out.
    """

    internal: Cohort
    external: Cohort
    classes: tuple[int, ...] = ()
    excluded: tuple[Excluded, ...] = field(default=(), repr=False)

    def cohort(self, group: Group) -> Cohort:
        """Give the cohort of a group."""
        return self.internal if group is Group.INTERNAL else self.external

    def entry(self, group: Group, subject_id: str) -> SubjectEntry:
        """Give what the table says of a subject."""
        return self._entries[group, subject_id]

    @cached_property
    def _entries(self) -> dict[tuple[Group, str], SubjectEntry]:
        """Every subject by group and name."""
        return {(group, entry.subject_id): entry for group in Group for entry in self.cohort(group).entries}

    def without(self, excluded: Iterable[Excluded]) -> People:
        """Leave subjects out."""
        gone = tuple(excluded)
        return replace(
            self,
            internal=_without(self.internal, {each.subject_id for each in gone if each.group is Group.INTERNAL}),
            external=_without(self.external, {each.subject_id for each in gone if each.group is Group.EXTERNAL}),
            excluded=(*self.excluded, *gone),
        )


def read_people(internal: Path, external: Path, external_subset: str | None = None) -> People:
    """Read both groups.

    Args:
        internal: Folder of a cohort; subjects whose subset is ``test`` or ``external`` are not taken from it.
        external: Folder of a cohort, which may be the same.
        external_subset: Take only these subjects of ``external``; None: all, or of the same folder ``external``.

    Raises:
        InputRefusedError: A folder is no cohort, or its table has faults.
        UsageError: There is no such subset.
    """
    own, other = read_cohort(internal), read_cohort(external)
    same = own.folder.resolve() == other.folder.resolve()
    subset = external_subset or (KEPT_APART[-1] if same else None)
    tested = [entry for entry in other.entries if subset is None or _subset(entry) == subset.casefold()]
    if not tested:
        found = ", ".join(sorted({_subset(entry) or "(empty)" for entry in other.entries})) or "no subject"
        raise UsageError(f"the external cohort has no subject of the subset {subset!r}; its subsets: {found}")
    taken = {entry.subject_id for entry in tested} if same else set()
    rest = [entry for entry in own.entries if entry.subject_id not in taken]
    apart = [_kept_apart(entry) for entry in rest if _subset(entry) in KEPT_APART]
    people = People(replace(own, entries=tuple(rest)), replace(other, entries=tuple(tested)))
    return people.without(apart)


def in_classes(people: People, folds: int, edges_years: Sequence[float]) -> People:
    """Find the age classes, and leave out who is in none.

    The classes reach from the youngest to the oldest completed year within the model's age bins of which the internal
    group has at least as many subjects as there are folds (of each sex, where both are there).

    Args:
        people: Both groups.
        folds: Number of folds.
        edges_years: Edges of the model's age bins.

    Raises:
        InputRefusedError: A year between has fewer subjects, or there are fewer than two classes, or nobody is left.
    """
    counts = Counter(_stratum(entry) for entry in people.internal.entries)
    sexes = {sex for _, sex in counts}
    years = range(floor(edges_years[0]), floor(edges_years[-1]))
    least = {year: min((counts[year, sex] for sex in sexes), default=0) for year in years}
    full = _full_years(least, folds)
    if len(full) < 2:
        raise InputRefusedError(f"{_too_few(counts, folds)}; {_remedy(least, folds)}")
    classes = tuple(range(full[0], full[-1] + 1))
    thin = [year for year in classes if year not in full]
    if thin:
        raise InputRefusedError(
            f"{folds} folds need {folds} subjects of every completed year from {full[0]} to {full[-1]}; found "
            f"{'; '.join(_counted(counts, year) for year in thin)}; {_remedy(least, folds)}"
        )
    chosen = replace(people.without(_strangers(people, classes, sexes, folds)), classes=classes)
    if not chosen.external.entries:
        raise InputRefusedError(
            f"no external subject is of the ages {classes[0]} to {classes[-1]} of the internal group"
        )
    return chosen


def _without(cohort: Cohort, names: set[str]) -> Cohort:
    """Take subjects out of a cohort."""
    return replace(cohort, entries=tuple(entry for entry in cohort.entries if entry.subject_id not in names))


def _strangers(people: People, classes: Sequence[int], sexes: set[Sex], folds: int) -> list[Excluded]:
    """List who is in none of the classes, or of a sex that no model sees."""
    out = []
    for group in Group:
        for entry in people.cohort(group).entries:
            if floor(entry.chronological_age_years) not in classes:
                years = f"{classes[0]} to {classes[-1]}"
                why = f"aged {floor(entry.chronological_age_years)}; the classes are {years} ({folds} folds)"
                out.append(Excluded(group, entry.subject_id, why))
            elif entry.sex not in sexes:
                out.append(Excluded(group, entry.subject_id, f"{entry.sex.value}; no internal subject is"))
    return out


def _too_few(counts: Counter[Stratum], folds: int) -> str:
    """Say that there are not enough subjects."""
    found = "; ".join(_counted(counts, year) for year in sorted({year for year, _ in counts})) or "nobody"
    return (
        f"{folds} folds need two completed years or more of which the internal group has {folds} subjects each; "
        f"found {found}"
    )


def _remedy(least: Mapping[int, int], folds: int) -> str:
    """Say what to do; fewer folds only where these subjects are enough for them."""
    enough = [fewer for fewer in range(2, folds) if _are_enough(_full_years(least, fewer))]
    return "add subjects" + (f", or take fewer folds (folds={enough[-1]})" if enough else "")


def _full_years(least: Mapping[int, int], folds: int) -> list[int]:
    """Give the years of which every sex has a subject for each fold."""
    return [year for year, subjects in least.items() if subjects >= folds]


def _are_enough(full: Sequence[int]) -> bool:
    """Say whether full years are two or more, and none is missing between them."""
    return len(full) > 1 and full[-1] - full[0] == len(full) - 1


def _counted(counts: Counter[Stratum], year: int) -> str:
    """Write how many subjects of a year there are."""
    sexes = sorted({sex for _, sex in counts})
    return f"age year {year}: " + ", ".join(f"{counts[year, sex]} {sex.value}" for sex in sexes)


def _stratum(entry: SubjectEntry) -> Stratum:
    """Completed year and sex."""
    return floor(entry.chronological_age_years), entry.sex


def _subset(entry: SubjectEntry) -> str:
    """The group that the table gives."""
    return (entry.subset or "").casefold()


def _kept_apart(entry: SubjectEntry) -> Excluded:
    """Note a subject that the table keeps apart."""
    return Excluded(Group.INTERNAL, entry.subject_id, f"its table keeps it apart (subset {_subset(entry)})")
