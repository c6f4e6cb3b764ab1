"""Simulated populations, and how far they lie from what studies saw.

A minimum age is compared at the study's own number of subjects: the youngest of 371 is older than the youngest of
20,000. Nothing here is fitted to mean ages of subjects in a stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, singledispatch

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.law import Covariates, FloatArray, GrowthTable, Sample, grow
from kneeage.phantom.growth.literature import AttainmentRow, ClosedRow, Relation, Row, Stage, Study, YoungestRow, rows
from kneeage.phantom.growth.stages import (
    DEDOUIT,
    SCHMELING_KELLINGHAUS,
    Dedouit,
    dedouit_index,
    schmeling_kellinghaus_index,
)

# How often each study is repeated on new virtual subjects.
REPETITIONS = 400
# The range that a published figure must lie in: nine of ten repetitions.
_RANGE = (0.05, 0.5, 0.95)
# An age of attainment without a known number of subjects must be met within this. Source: ours, half a year of age.
ATTAINMENT_TOLERANCE_YEARS = 0.5
# Age range that ages of attainment are sought in.
_GROWING_YEARS = (8.0, 26.0)
_ATTAINMENT_SUBJECTS = 40_000
# Height and weight that are written to the tenth may lie so much further out than they were drawn. Source: half a tenth
# of a kg, in the lower tail of the youngest girls.
_ROUNDING_SCORE = 0.03


@dataclass(frozen=True)
class Comparison:
    """One row of the literature against a simulated population.

    Args:
        row: What was published.
        low: Lower end of the range of the simulated figure (5 % of repetitions lie below).
        middle: Its median.
        high: Its upper end.
        outside_by: How far the published figure lies outside the range, with its sign (negative: the study saw less);
            0 inside.
    """

    row: Row
    low: float
    middle: float
    high: float
    outside_by: float

    @property
    def inside(self) -> bool:
        """Whether the simulated population agrees with the published figure."""
        return self.outside_by == 0.0


def draw_covariates(female: NDArray[np.bool_], rng: np.random.Generator, table: GrowthTable) -> Covariates:
    """Draw height and weight of subjects; tall subjects are heavier, and who lies too far out is drawn again.

    Args:
        female: Shape (n,).
        rng: Source of the variation.
        table: Constants of the growth law.
    """
    correlation, largest = table.covariates.height_weight_correlation.value, table.covariates.largest_score.value
    scores = np.full((2, len(female)), np.inf)
    while (beyond := np.abs(scores).max(axis=0) > largest).any():
        height, own = rng.normal(size=(2, np.count_nonzero(beyond)))
        scores[:, beyond] = height, correlation * height + np.sqrt(1 - correlation**2) * own
    return Covariates(female, *scores)


def covariate_density(covariates: Covariates, table: GrowthTable) -> FloatArray:
    """Give the density that ``draw_covariates`` draws height and weight for age from, up to a factor.

    Args:
        covariates: Of any shape.
        table: Constants of the growth law.
    """
    correlation, largest = table.covariates.height_weight_correlation.value, table.covariates.largest_score.value
    height, weight = covariates.height_score, covariates.weight_score
    own = (weight - correlation * height) / np.sqrt(1 - correlation**2)
    within = np.maximum(np.abs(height), np.abs(weight)) <= largest + _ROUNDING_SCORE
    return np.asarray(np.where(within, np.exp(-0.5 * (height**2 + own**2)), 0.0))


def simulate(
    subjects: int, ages_years: tuple[float, float], sex: Sex, rng: np.random.Generator, table: GrowthTable
) -> Sample:
    """Draw a population of one sex, ages uniform over a range.

    Args:
        subjects: How many.
        ages_years: Youngest and oldest.
        sex: Their sex.
        rng: Source of the variation.
        table: Constants of the growth law.
    """
    covariates = draw_covariates(np.full(subjects, sex is Sex.FEMALE), rng, table)
    return grow(rng.uniform(*ages_years, subjects), covariates, rng, table)


def minimum_ages(sample: Sample, plate: str) -> dict[str, float]:
    """Give the age of the youngest subject in each Dedouit stage; infinite where there is none."""
    index = _dedouit(sample, plate)
    return {
        stage.value: float(np.min(sample.age_years, where=index == place, initial=np.inf))
        for place, stage in enumerate(DEDOUIT)
    }


def closed_share(sample: Sample, plate: str) -> float:
    """Give the share of subjects whose plate is closed."""
    return float(np.mean(_dedouit(sample, plate) == DEDOUIT.index(Dedouit.V)))


def compare_all(table: GrowthTable, repetitions: int = REPETITIONS, seed: int = 0) -> list[Comparison]:
    """Compare a simulated population with every row of the literature.

    Args:
        table: Constants of the growth law.
        repetitions: How often each study is repeated.
        seed: What the simulation follows from.
    """
    world = _World(table, repetitions, seed)
    return [compare(row, world) for row in rows()]


@dataclass(frozen=True)
class _World:
    """A growth law and the simulations drawn from it; each study is simulated once."""

    table: GrowthTable
    repetitions: int
    seed: int

    def repeated(self, study: Study) -> Sample:
        """Simulate a study many times over; arrays of shape (repetitions x subjects,)."""
        return _repeated(self, study.subjects * self.repetitions, study.ages_years, study.sex)

    def growing(self, sex: Sex) -> Sample:
        """Simulate a population over all years of growth."""
        return _repeated(self, _ATTAINMENT_SUBJECTS, _GROWING_YEARS, sex)


# Samples are large, and the rows of a study stand together.
@lru_cache(maxsize=3)
def _repeated(world: _World, subjects: int, ages_years: tuple[float, float], sex: Sex) -> Sample:
    """Simulate once what several rows need."""
    return simulate(subjects, ages_years, sex, np.random.default_rng(world.seed), world.table)


@singledispatch
def compare(row: Row, world: _World) -> Comparison:
    """Compare one row of the literature with a world."""
    raise NotImplementedError


@compare.register
def _(row: YoungestRow, world: _World) -> Comparison:
    sample = world.repeated(row.study)
    ranges = [
        np.quantile(_youngest(row, sample, world, later), _RANGE, method="nearest")
        for later in sorted(set(row.study.later_years))
    ]
    low, middle, high = ranges[0][0], np.mean([each[1] for each in ranges]), ranges[-1][2]
    if row.relation is Relation.NOT_BEFORE:
        outside = max(row.age_years - high, 0.0)
    elif row.relation is Relation.BEFORE:
        outside = min(row.age_years - low, 0.0)
    else:
        outside = _outside(row.age_years, low, high)
    return Comparison(row, float(low), float(middle), float(high), float(outside))


@compare.register
def _(row: ClosedRow, world: _World) -> Comparison:
    closed = _dedouit(world.repeated(row.study), row.plate) == DEDOUIT.index(Dedouit.V)
    shares = closed.reshape(world.repetitions, -1).mean(axis=1)
    low, middle, high = np.quantile(shares, _RANGE)
    return Comparison(row, float(low), float(middle), float(high), _outside(row.share, low, high))


@compare.register
def _(row: AttainmentRow, world: _World) -> Comparison:
    age = attainment_age(world.growing(row.sex), row.plate, row.stage, row.share)
    low, high = age - ATTAINMENT_TOLERANCE_YEARS, age + ATTAINMENT_TOLERANCE_YEARS
    return Comparison(row, low, age, high, _outside(row.age_years, low, high))


def attainment_age(sample: Sample, plate: str, stage: Dedouit, share: float) -> float:
    """Give the age by which a share of subjects has reached a stage or gone beyond it.

    Counted in narrow age bins of a sample whose ages are uniform, made monotonic, and interpolated.
    """
    reached = _dedouit(sample, plate) >= DEDOUIT.index(stage)
    edges = np.arange(np.floor(sample.age_years.min()), sample.age_years.max(), 0.1)
    place = np.digitize(sample.age_years, edges) - 1
    counts = np.bincount(place, minlength=len(edges))
    shares = np.bincount(place, reached, minlength=len(edges)) / np.maximum(counts, 1)
    return float(np.interp(share, np.maximum.accumulate(_smooth(shares)), edges + 0.05))


def _smooth(shares: FloatArray) -> FloatArray:
    """Average over half a year, ends held."""
    padded = np.pad(shares, 2, mode="edge")
    return np.convolve(padded, np.full(5, 0.2), mode="valid")


def _outside(value: float, low: float, high: float) -> float:
    """Say how far a value lies outside a range, with its sign."""
    return float(max(value - high, 0.0) + min(value - low, 0.0))


def _youngest(row: YoungestRow, sample: Sample, world: _World, later_years: float) -> FloatArray:
    """Give the youngest subject of the row's stage in each repetition; shape (repetitions,)."""
    if later_years > 0:
        seen = sample.years_left[row.plate] <= -later_years
    else:
        index, place = _staged(sample, row.plate, row.stage)
        seen = index >= place if row.and_later else index == place
    ages = np.where(seen, sample.age_years, np.inf)
    return np.asarray(ages.reshape(world.repetitions, -1).min(axis=1))


def _staged(sample: Sample, plate: str, stage: Stage) -> tuple[NDArray[np.intp], int]:
    """Grade a plate in the system of a stage; the stages' places and that of the stage."""
    if isinstance(stage, Dedouit):
        return _dedouit(sample, plate), DEDOUIT.index(stage)
    bridged, scar = sample.latents[f"{plate}.bridged"], sample.latents[f"{plate}.scar"]
    return schmeling_kellinghaus_index(bridged, scar), SCHMELING_KELLINGHAUS.index(stage)


def _dedouit(sample: Sample, plate: str) -> NDArray[np.intp]:
    """Grade a plate after Dedouit."""
    return dedouit_index(sample.latents[f"{plate}.thickness_mm"], sample.latents[f"{plate}.bridged"])
