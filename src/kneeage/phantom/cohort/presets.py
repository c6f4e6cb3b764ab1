"""Who is in a virtual cohort: presets of strata, and the roster of subjects that a seed draws from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.phantom.cohort.subject import subject_name
from kneeage.phantom.growth.table import TABLES, GrowthTable
from kneeage.phantom.scanner.protocol import HOSPITAL_A, HOSPITAL_B, Hospital

# Subjects per completed year, 10 to 18, of the internal training and validation groups and the external test group.
# Source: Gao S et al., Deep learning modeling using T1-weighted images in magnetic resonance imaging of the knee joints
# and its use in age estimation of living bodies (Qingdao), Table 1: 971, 241 and 341 males.
_TABLE_1_YEARS = range(10, 19)
_TABLE_1_TRAINING = (41, 69, 91, 113, 108, 129, 133, 142, 145)
_TABLE_1_VALIDATION = (10, 17, 23, 28, 27, 32, 33, 35, 36)
_TABLE_1_EXTERNAL = (35, 48, 53, 39, 45, 36, 29, 29, 27)
# Completed years 8 to 25, so that ages are uniform from 8 to 26; subjects per sex and year (our own choice).
_FORENSIC_YEARS = range(8, 26)
_FORENSIC_TRAINING, _FORENSIC_VALIDATION, _FORENSIC_EXTERNAL = 32, 8, 10
# Seeds of subjects are 48-bit numbers: tables keep them exactly, and they meet none that people type.
_SEED_BITS = 48
# Ages are whole multiples of this, so that a table holds them exactly.
_AGE_STEPS_PER_YEAR = 10_000


class Subset(str, Enum):
    """What a subject of the cohort is for."""

    TRAINING = "training"
    VALIDATION = "validation"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Stratum:
    """Subjects of one kind.

    Args:
        subset: What they are for.
        hospital: Where they are scanned.
        sex: Their sex.
        completed_years: Their age; uniform within the year.
        subjects: How many of them the whole preset has.
    """

    subset: Subset
    hospital: Hospital
    sex: Sex
    completed_years: int
    subjects: int


@dataclass(frozen=True)
class Preset:
    """A kind of cohort.

    Args:
        name: What it is called on the command line.
        strata: Who is in it.
        growth: The growth law its subjects follow.
        people: Number of the population the subjects come from: presets of different numbers never share a subject.
    """

    name: str
    strata: tuple[Stratum, ...]
    growth: GrowthTable
    people: int

    @property
    def subjects(self) -> int:
        """How many subjects the whole preset has."""
        return sum(stratum.subjects for stratum in self.strata)


@dataclass(frozen=True)
class Member:
    """One subject of a cohort before it is made.

    Args:
        seed: What the subject follows from.
        stratum: Its kind.
        chronological_age_years: Decimal age.
    """

    seed: int
    stratum: Stratum
    chronological_age_years: float

    @property
    def subject_id(self) -> str:
        """Name that tells nothing of the subject."""
        return subject_name(self.seed)


def roster(chosen: Preset, subjects: int, seed: int) -> list[Member]:
    """List the subjects of a cohort.

    Every smaller cohort is a part of the whole preset of the same seed: its members are the same, with the same seeds.

    Args:
        chosen: Kind of cohort.
        subjects: How many; each stratum keeps its share, by the method of the largest remainder, ties by lot.
        seed: Non-negative integer that everything follows from.

    Raises:
        UsageError: A number is out of range.
    """
    if not 1 <= subjects <= chosen.subjects:
        raise UsageError(f"preset {chosen.name!r} has 1 to {chosen.subjects} subjects; found {subjects}")
    if seed < 0:
        raise UsageError(f"the seed must be a whole number from 0; found {seed}")
    numbers = allot([stratum.subjects for stratum in chosen.strata], subjects, np.random.default_rng(seed))
    return [
        _member(stratum, np.random.SeedSequence(seed, spawn_key=(chosen.people, position, place)))
        for position, (stratum, number) in enumerate(zip(chosen.strata, numbers, strict=True))
        for place in range(number)
    ]


def allot(counts: Sequence[int], total: int, rng: np.random.Generator) -> list[int]:
    """Share a total out in proportion to the counts, by the method of the largest remainder.

    Args:
        counts: Size of each part of the whole.
        total: What is shared out, at most the whole.
        rng: Draws lots between equal remainders.
    """
    whole = sum(counts)
    shares = [count * total // whole for count in counts]
    remainders = np.array([count * total % whole for count in counts])
    lots = rng.permutation(len(counts))
    for position in np.lexsort((lots, -remainders))[: total - sum(shares)]:
        shares[position] += 1
    return shares


def _member(stratum: Stratum, place: np.random.SeedSequence) -> Member:
    """Draw one member of a stratum from what its place in the cohort says."""
    seed_bits, age_bits = place.generate_state(2, np.uint64)
    seed = int(seed_bits) >> (64 - _SEED_BITS)
    step = int(age_bits) % _AGE_STEPS_PER_YEAR
    age_years = (stratum.completed_years * _AGE_STEPS_PER_YEAR + step) / _AGE_STEPS_PER_YEAR
    return Member(seed, stratum, age_years)


def _table_1() -> tuple[Stratum, ...]:
    """Strata of the paper's Table 1."""
    groups = (
        (Subset.TRAINING, HOSPITAL_A, _TABLE_1_TRAINING),
        (Subset.VALIDATION, HOSPITAL_A, _TABLE_1_VALIDATION),
        (Subset.EXTERNAL, HOSPITAL_B, _TABLE_1_EXTERNAL),
    )
    return tuple(
        Stratum(subset, hospital, Sex.MALE, years, subjects)
        for subset, hospital, counts in groups
        for years, subjects in zip(_TABLE_1_YEARS, counts, strict=True)
    )


def _forensic() -> tuple[Stratum, ...]:
    """Strata of both sexes with the same number of subjects in every year."""
    groups = (
        (Subset.TRAINING, HOSPITAL_A, _FORENSIC_TRAINING),
        (Subset.VALIDATION, HOSPITAL_A, _FORENSIC_VALIDATION),
        (Subset.EXTERNAL, HOSPITAL_B, _FORENSIC_EXTERNAL),
    )
    return tuple(
        Stratum(subset, hospital, sex, years, subjects)
        for subset, hospital, subjects in groups
        for sex in Sex
        for years in _FORENSIC_YEARS
    )


# The tight world has the subjects of `table1`, grown by a tighter law.
PRESETS = {
    name: Preset(name, strata, TABLES[name], people)
    for name, strata, people in (
        ("table1", _table_1(), 1),
        ("table1-tight", _table_1(), 1),
        ("forensic", _forensic(), 2),
    )
}
