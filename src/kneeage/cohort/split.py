"""Which subjects a model learns from and which it is tested on: one group of 8:2, or k folds.

A split is by subject, stratified by the completed age year, and by sex where both are there. It does not depend on the
order of the rows. Subjects whose subset is ``test`` or ``external`` keep that group and are never drawn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from kneeage.cohort.random_numbers import RandomNumbers
from kneeage.cohort.sheet import sheet_text
from kneeage.cohort.table import SubjectEntry
from kneeage.core.errors import InputRefusedError, UsageError

COLUMNS = ("subject_id", "group", "fold")
# Source: PAPER, "split": 8:2 of each age year; a fifth, rounded to the nearest whole number (half up), is validation.
PARTS_OF_EIGHT_TO_TWO = 5
_LISTED = 5
_LEAVE_OUT = "take the rows of these classes out of the table"

# A class: completed age year, and the sex where both sexes are in the cohort.
AgeClass = tuple[int, str]


class Group(str, Enum):
    """What a subject is for."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"
    EXTERNAL = "external"


_NEVER_DRAWN = {group.value: group for group in (Group.TEST, Group.EXTERNAL)}


@dataclass(frozen=True)
class Place:
    """Where a subject is put.

    Args:
        group: What it is for. In a split into folds, all that are drawn belong to the training group.
        fold: The fold that it is tested in, from 0; None where there are no folds, or where it is never drawn.
    """

    group: Group
    fold: int | None = None


@dataclass(frozen=True)
class Split:
    """Every subject's place, and how it came there.

    Args:
        places: Place of each subject.
        method: How it was drawn, in words.
        seed: What it follows from; None where a table of random numbers was used.
        random_numbers_sha256: Hash of that table's digits; None where a seed was used.
        stratified_by: What the classes are made of.
    """

    places: Mapping[str, Place] = field(repr=False)
    method: str
    seed: int | None
    random_numbers_sha256: str | None = None
    stratified_by: tuple[str, ...] = ("age_year",)

    @property
    def folds(self) -> int:
        """Number of folds; 0 for a split without folds."""
        return 1 + max((place.fold for place in self.places.values() if place.fold is not None), default=-1)

    @property
    def sha256(self) -> str:
        """SHA-256 of all subject ids with their groups and folds, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The places as CSV, sorted by subject."""
        rows = [
            {"subject_id": subject, "group": place.group.value, "fold": "" if place.fold is None else place.fold}
            for subject, place in sorted(self.places.items())
        ]
        return sheet_text(COLUMNS, rows)

    def members(self, group: Group) -> tuple[str, ...]:
        """Give the subjects of a group, sorted."""
        return tuple(sorted(subject for subject, place in self.places.items() if place.group is group))

    def tested_in(self, fold: int) -> tuple[str, ...]:
        """Give the subjects that the model of a fold is tested on, sorted."""
        return tuple(sorted(subject for subject, place in self.places.items() if place.fold == fold))

    def learnt_in(self, fold: int) -> tuple[str, ...]:
        """Give the subjects that the model of a fold learns from: those of all other folds, sorted."""
        others = {None, fold}
        return tuple(sorted(subject for subject, place in self.places.items() if place.fold not in others))


def make_folds(entries: Sequence[SubjectEntry], folds: int, seed: int | RandomNumbers) -> Split:
    """Put subjects into folds, each class evenly.

    The first fold gets a class's size divided by the number of folds, rounded to the nearest whole number (half up), so
    that with five folds it is the validation group of ``make_eight_to_two`` of the same seed. The others share the
    rest as evenly as they can.

    Args:
        entries: Subjects, in any order.
        folds: Number of folds, 2 or more.
        seed: What the split follows from: an integer, or a table of random numbers.

    Returns:
        The split; every subject that is drawn is in exactly one fold.

    Raises:
        UsageError: There are fewer than two folds, or the seed is negative.
        InputRefusedError: A class has fewer subjects than folds, a subject is there twice, or the table is too short.
    """
    if folds < 2:
        raise UsageError(f"a split needs 2 folds or more; found {folds}")
    classes = _classes(entries)
    least = min(map(len, classes.values()))
    fewer = f", add subjects, or take {least} folds" if least > 1 else ", or add subjects"
    _require_at_least(folds, classes, f"{folds} folds need", f"{_LEAVE_OUT}{fewer}")
    return _drawn(entries, seed, _FoldPlaces(folds), f"{folds} folds of each class")


def make_eight_to_two(entries: Sequence[SubjectEntry], seed: int | RandomNumbers) -> Split:
    """Put a fifth of each class into the validation group, and the rest into the training group.

    Args:
        entries: Subjects, in any order.
        seed: What the split follows from: an integer, or a table of random numbers.

    Returns:
        The split, without folds.

    Raises:
        UsageError: The seed is negative.
        InputRefusedError: A class is too small for both groups, a subject is there twice, or the table is too short.
    """
    # A fifth of three, 0.6, is the first that rounds to one.
    _require_at_least(3, _classes(entries), "an 8:2 split needs", f"{_LEAVE_OUT}, or add subjects")
    return _drawn(entries, seed, _eight_to_two_places, "8:2 of each class")


def require_same_subjects(split: Split, entries: Iterable[SubjectEntry]) -> None:
    """Check that a split is of these subjects, no more and no fewer.

    Raises:
        InputRefusedError: It is not.
    """
    subjects = {entry.subject_id for entry in entries}
    without, gone = sorted(subjects - set(split.places)), sorted(set(split.places) - subjects)
    if without:
        raise InputRefusedError(f"the split has no place for {_some(without)}; make it anew")
    if gone:
        raise InputRefusedError(f"the split names {_some(gone)}, not in the cohort; make it anew")


def require_distinct(entries: Sequence[SubjectEntry]) -> None:
    """Refuse subjects that may be one person: the same id, the same study or the same pixels.

    Raises:
        InputRefusedError: Two are.
    """
    for name, words in (
        ("subject_id", "is there more than once"),
        ("study_key", "share one study"),
        ("pixel_sha256", "have the same pixels"),
    ):
        alike: dict[str, list[str]] = {}
        for entry in entries:
            if getattr(entry, name):
                alike.setdefault(getattr(entry, name), []).append(entry.subject_id)
        twice = next((subjects for _, subjects in sorted(alike.items()) if len(subjects) > 1), None)
        if twice is not None:
            who = _some(sorted(set(twice)))
            raise InputRefusedError(f"{who} {words}: one person must be one subject; keep one row")


class _FoldPlaces:
    """Hands out the places of a class, and remembers how full each fold is.

    Args:
        folds: Number of folds.
    """

    def __init__(self, folds: int) -> None:
        self._filled = [0] * folds

    def __call__(self, count: int) -> Iterator[Place]:
        """Give the places of a class of ``count`` subjects, in the order in which they are drawn."""
        for fold, size in enumerate(self._sizes(count)):
            self._filled[fold] += size
            yield from [Place(Group.TRAINING, fold)] * size

    def _sizes(self, count: int) -> list[int]:
        """Share ``count`` subjects out; what does not divide goes to the emptiest folds."""
        folds = len(self._filled)
        first = _part(count, folds)
        each, over = divmod(count - first, folds - 1)
        emptiest = sorted(range(1, folds), key=lambda fold: (self._filled[fold], fold))[:over]
        return [first, *(each + (fold in emptiest) for fold in range(1, folds))]


def _eight_to_two_places(count: int) -> Iterator[Place]:
    """Give the places of a class of ``count`` subjects, in the order in which they are drawn."""
    validation = _part(count, PARTS_OF_EIGHT_TO_TWO)
    yield from [Place(Group.VALIDATION)] * validation
    yield from [Place(Group.TRAINING)] * (count - validation)


def _part(count: int, parts: int) -> int:
    """Divide, and round to the nearest whole number, half up."""
    return (2 * count + parts) // (2 * parts)


def _drawn(
    entries: Sequence[SubjectEntry],
    seed: int | RandomNumbers,
    places_of: Callable[[int], Iterable[Place]],
    words: str,
) -> Split:
    """Rank the subjects of each class by their random numbers, and hand out the places in that order."""
    require_distinct(entries)
    classes = _classes(entries)
    numbers = _numbers(classes, seed)
    places = {entry.subject_id: Place(_NEVER_DRAWN[_subset(entry)]) for entry in entries if _is_kept_apart(entry)}
    for subjects in classes.values():
        ranked = sorted(subjects, key=lambda subject: (numbers[subject], subject))
        places |= dict(zip(ranked, places_of(len(ranked)), strict=True))
    by = ("age_year", "sex") if any(sex for _, sex in classes) else ("age_year",)
    if isinstance(seed, RandomNumbers):
        return Split(places, f"{words}, by a table of random numbers, smallest first", None, seed.sha256, by)
    return Split(places, f"{words}, by SHA-256 of seed and subject id, smallest first", seed, None, by)


def _subset(entry: SubjectEntry) -> str:
    """Give the group that the table itself gives a subject."""
    return (entry.subset or "").strip().casefold()


def _is_kept_apart(entry: SubjectEntry) -> bool:
    """Say whether the table itself keeps a subject for testing."""
    return _subset(entry) in _NEVER_DRAWN


def _classes(entries: Sequence[SubjectEntry]) -> dict[AgeClass, list[str]]:
    """Collect the subjects that are drawn by class; classes and subjects are sorted."""
    drawn = [entry for entry in entries if not _is_kept_apart(entry)]
    if not drawn:
        raise InputRefusedError(f"none of the {len(entries)} subjects can be drawn; a split needs subjects to train on")
    both = len({entry.sex for entry in drawn}) > 1
    classes: dict[AgeClass, list[str]] = {}
    for entry in sorted(drawn, key=lambda one: one.subject_id):
        own = (math.floor(entry.chronological_age_years), entry.sex.value if both else "")
        classes.setdefault(own, []).append(entry.subject_id)
    return dict(sorted(classes.items()))


def _require_at_least(least: int, classes: Mapping[AgeClass, Sequence[str]], words: str, remedy: str) -> None:
    """Refuse classes that are too small, and name them."""
    small = [f"{_class_words(own)}: {len(subjects)}" for own, subjects in classes.items() if len(subjects) < least]
    if small:
        raise InputRefusedError(f"{words} at least {least} subjects of each class; found {'; '.join(small)}; {remedy}")


def _class_words(own: AgeClass) -> str:
    """Name a class."""
    year, sex = own
    return f"age year {year}" + (f", {sex}" if sex else "")


def _numbers(classes: Mapping[AgeClass, Sequence[str]], seed: int | RandomNumbers) -> dict[str, int]:
    """Give every subject its random number."""
    if isinstance(seed, RandomNumbers):
        return seed.given_to(classes.values())
    if seed < 0:
        raise UsageError(f"a seed is 0 or more; found {seed}")
    subjects = [subject for members in classes.values() for subject in members]
    return {subject: int(hashlib.sha256(f"{seed}\n{subject}".encode()).hexdigest(), 16) for subject in subjects}


def _some(subjects: Sequence[str]) -> str:
    """Name a few subjects, by the ids that the user's own table gave."""
    more = f" and {len(subjects) - _LISTED} more" if len(subjects) > _LISTED else ""
    return ", ".join(repr(subject) for subject in subjects[:_LISTED]) + more
