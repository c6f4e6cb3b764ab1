"""Who is in the virtual cohorts that a bundle is made of and judged on, before anybody is painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.subject import (
    CORONAL_T1,
    HOSPITAL_A,
    HOSPITAL_B,
    Hospital,
    Imaging,
    VirtualSubject,
    virtual_subject,
)
from kneeage.phantom.scanner.sequence import Weighting

# Keep the numbers drawn here apart from those of the subjects themselves, and ages apart from weightings.
_STREAM, _AGES = 5, 1
# Seeds of each group about a threshold.
_GROUP_SEEDS = 100_000
# Share of each weighting in cohorts that are not of T1 alone. Source: ours; T1 is what the paper has.
MIXED = {Weighting.T1: 0.7, Weighting.PD: 0.15, Weighting.T2: 0.15}
T1_ALONE = {Weighting.T1: 1.0}


@dataclass(frozen=True)
class Person:
    """One subject before it is made.

    Args:
        seed: What everything that is not given follows from.
        hospital: Where it is scanned.
        imaging: Kind of series.
        sex: Sex; None: drawn.
        chronological_age_years: Age; None: drawn uniformly from those of the preset ``forensic``.
    """

    seed: int
    hospital: Hospital = HOSPITAL_A
    imaging: Imaging = CORONAL_T1
    sex: Sex | None = None
    chronological_age_years: float | None = None

    def subject(self, *, about_the_sites: bool) -> VirtualSubject:
        """Paint and scan the knee: the whole series, or only the slices about the plates' sites."""
        return virtual_subject(
            self.seed,
            chronological_age_years=self.chronological_age_years,
            sex=self.sex,
            hospital=self.hospital,
            imaging=self.imaging,
            about_the_sites=about_the_sites,
        )


def uniform_people(first_seed: int, count: int, weightings: dict[Weighting, float] | None = None) -> list[Person]:
    """List subjects of both sexes and hospitals, of uniform ages as in the preset ``forensic``.

    Args:
        first_seed: Seed of the first; the others follow.
        count: How many. A longer list begins with the shorter one.
        weightings: Share of each weighting; T1 alone when None.
    """
    return [_person(seed, weightings or T1_ALONE) for seed in range(first_seed, first_seed + count)]


def boundary_people(
    first_seed: int,
    per_group: int,
    windows_years: Sequence[tuple[float, float]],
    weightings: dict[Weighting, float] | None = None,
) -> list[Person]:
    """List subjects of each sex about thresholds, of uniform ages within each window.

    Args:
        first_seed: Seed of the first; every group has a block of 100,000 seeds of its own.
        per_group: Subjects per window and sex.
        windows_years: From and below.
        weightings: Share of each weighting; T1 alone when None.
    """
    groups = [(window, sex) for window in windows_years for sex in Sex]
    return [
        _within(_person(first_seed + block * _GROUP_SEEDS + place, weightings or T1_ALONE), sex, window)
        for block, (window, sex) in enumerate(groups)
        for place in range(per_group)
    ]


def _person(seed: int, weightings: dict[Weighting, float]) -> Person:
    """Draw hospital (in turn) and weighting of one subject."""
    kinds = list(weightings)
    drawn = kinds[int(np.random.default_rng((_STREAM, seed)).choice(len(kinds), p=list(weightings.values())))]
    hospital = (HOSPITAL_A, HOSPITAL_B)[seed % 2]
    return Person(seed, hospital, replace(CORONAL_T1, weighting=drawn))


def _within(person: Person, sex: Sex, ages_years: tuple[float, float]) -> Person:
    """Give a person a sex, and an age within a window."""
    age_years = float(np.random.default_rng((_STREAM, person.seed, _AGES)).uniform(*ages_years))
    return replace(person, sex=sex, chronological_age_years=age_years)
