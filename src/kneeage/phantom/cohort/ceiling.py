"""The ceiling: how well the best reader could tell ages in a virtual cohort, by the known law of growth.

Three readers of the image: ``latents`` knows every latent, sex, height and weight; ``plates`` knows the plates' latents
alone; ``measured`` knows thickness and openness of the femoral and tibial plates as measured on true labels at image
resolution, with sex, height and weight. They know height and weight for age, as percentiles. In cm and kg these tell
age besides, so whoever is given those is compared with ``latents and body`` and ``measured and body``, which know them
so; ``body`` knows sex, cm and kg and sees no image at all. Each holds the right posterior of age, with the cohort's own
ages as its prior, and for every measure takes the decision that is best for that measure. No other reader of the same
things does better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.body import Body
from kneeage.phantom.cohort.presets import Preset
from kneeage.phantom.growth.age_law import (
    Ages,
    MaturityGrid,
    PlateEvidence,
    TruePlates,
    age_posterior,
    age_posterior_blind,
    age_posterior_of_bodies,
    body_likelihood,
    body_likelihood_by_height,
    closed_form_age,
    plates_likelihood,
    points_per_year,
)
from kneeage.phantom.growth.law import TABLE1, Covariates, FloatArray, GrowthTable, Latents, Sample, grow
from kneeage.phantom.growth.measured import MeasuredPlates, measure
from kneeage.phantom.growth.population import covariate_density, draw_covariates
from kneeage.phantom.growth.table import between_subjects

THRESHOLDS_YEARS = (12, 14, 16, 18)
# A cautious reader calls a subject adult only from this probability on. Source: ours.
CAUTIOUS_PROBABILITY = 0.95
# Mean absolute errors of published knee MRI readers, least and largest. Source: Proeve 2019, Dallora 2019.
PUBLISHED_MAE_YEARS = (0.48, 0.988)
SUBJECTS = 20_000
# Whole years, so that every place within a year is equally frequent.
_EVEN_AGES_YEARS = (8.0, 26.0)
# Subjects that are worked on at once, so that the grids stay in the processor's caches.
_CHUNK = 1000
# What would be printed as 0.0 %.
_SMALL_PERCENT = 0.05


class Reader(str, Enum):
    """What a reader knows of a subject."""

    LATENTS = "latents"
    PLATES = "plates"
    MEASURED = "measured"
    LATENTS_AND_BODY = "latents and body"
    MEASURED_AND_BODY = "measured and body"
    BODY = "body"


@dataclass(frozen=True)
class Estimate:
    """A number found by simulation.

    Args:
        value: The number.
        error: Its Monte Carlo standard error.
        subjects: Subjects that it is the mean of.
    """

    value: float
    error: float
    subjects: int

    def percent(self) -> str:
        """Write a share in percent with its error; where next to none or all were counted, its bound."""
        value, error = 100 * self.value, 100 * self.error
        if error >= _SMALL_PERCENT:
            return f"{value:.1f} ± {error:.1f} %"
        if _SMALL_PERCENT <= value <= 100 - _SMALL_PERCENT:
            return f"{value:.2f} ± {error:.2f} %"
        bound = 100 * self._bound(min(self.value, 1 - self.value))
        return f"< {bound:.2f} %" if value < 50 else f"> {100 - bound:.2f} %"

    def years(self) -> str:
        """Write a number of years with its error."""
        return f"{self.value:.3f} ± {self.error:.3f} y"

    def _bound(self, share: float) -> float:
        """Give the upper end of the exact one-sided 95 % interval of a share. Source: Clopper and Pearson 1934."""
        counted = round(share * self.subjects)
        return float(special.betaincinv(counted + 1, self.subjects - counted, 0.95))


@dataclass(frozen=True)
class ThresholdCeiling:
    """Least errors at one age threshold.

    Args:
        age_years: The threshold.
        false_adult: Share of subjects below it who are called older, by a reader who calls what is more probable.
        false_minor: Share of subjects above it who are called younger, by the same reader.
        cautious_false_adult: The first share, of a reader who calls older only what is 95 % probable.
        cautious_false_minor: The second share, of that reader.
        last_year_false_adult: The first share, of subjects in the last year below the threshold alone.
        last_year_cautious_false_adult: The same of the cautious reader.
    """

    age_years: int
    false_adult: Estimate
    false_minor: Estimate
    cautious_false_adult: Estimate
    cautious_false_minor: Estimate
    last_year_false_adult: Estimate
    last_year_cautious_false_adult: Estimate


@dataclass(frozen=True)
class Ceiling:
    """The best that a reader can do; each measure under the decision that is best for it.

    Args:
        reader: What is known.
        subjects: Simulated subjects.
        exact_year: Share of subjects whose completed year is told (the most probable year).
        macro_recall: Mean over the completed years of the share told (the year of the largest likelihood).
        within_one_year: Share whose completed year is told or missed by one (the most probable three years' middle).
        mean_absolute_error_years: Mean distance of decimal age from the posterior's median.
        posterior_sd_years: Mean SD of the posterior.
        thresholds: Errors at 12, 14, 16 and 18 years, where the cohort has subjects on both sides.
    """

    reader: Reader
    subjects: int
    exact_year: Estimate
    macro_recall: Estimate
    within_one_year: Estimate
    mean_absolute_error_years: Estimate
    posterior_sd_years: Estimate
    thresholds: tuple[ThresholdCeiling, ...]


def preset_ages(preset: Preset, table: GrowthTable) -> Ages:
    """Give how frequent each completed year is among a preset's subjects."""
    first = min(stratum.completed_years for stratum in preset.strata)
    counts = np.zeros(max(stratum.completed_years for stratum in preset.strata) - first + 1)
    for stratum in preset.strata:
        counts[stratum.completed_years - first] += stratum.subjects
    return Ages(first, counts / counts.sum(), points_per_year(table))


def female_share(preset: Preset) -> float:
    """Give the share of a preset's subjects who are female."""
    return sum(stratum.subjects for stratum in preset.strata if stratum.sex is Sex.FEMALE) / preset.subjects


def draw_subjects(preset: Preset, subjects: int, rng: np.random.Generator, table: GrowthTable) -> Sample:
    """Draw subjects with a preset's ages and sexes.

    Args:
        preset: Who is in the cohort.
        subjects: How many; more than the preset has, to make the ceiling exact.
        rng: Source of the variation.
        table: Constants of the growth law.
    """
    ages = preset_ages(preset, table)
    years = ages.first_year + rng.choice(len(ages.year_weights), subjects, p=ages.year_weights)
    covariates = draw_covariates(rng.random(subjects) < female_share(preset), rng, table)
    return grow(years + rng.random(subjects), covariates, rng, table)


@dataclass(frozen=True, eq=False)
class World:
    """What every reader of a cohort knows: its law, its ages and its sexes."""

    table: GrowthTable
    ages: Ages
    female_share: float
    grid: MaturityGrid

    @staticmethod
    def of(preset: Preset, table: GrowthTable | None = None) -> World:
        """Make the world of a preset, with its own growth table or another."""
        table = table or preset.growth
        ages = preset_ages(preset, table)
        return World(table, ages, female_share(preset), MaturityGrid.around(ages, table))


@dataclass(frozen=True, eq=False)
class Seen:
    """All that there is to know of n subjects; what a reader looks at is the reader's.

    Args:
        latents: Of their knees, and the measurements that ``measured.measure`` adds to them.
        covariates: Sex, and height and weight for age.
        body: Sex, and height and weight in cm and kg.
    """

    latents: Latents
    covariates: Covariates
    body: Body

    def part(self, chunk: slice) -> Seen:
        """Give some of the subjects."""
        return Seen(
            {name: values[chunk] for name, values in self.latents.items()},
            Covariates(*(values[chunk] for values in vars(self.covariates).values())),
            Body(*(values[chunk] for values in vars(self.body).values())),
        )


def posterior(reader: Reader, seen: Seen, world: World) -> FloatArray:
    """Give a reader's probability of each age.

    Args:
        reader: What is known.
        seen: The n subjects.
        world: The cohort.

    Returns:
        Shape (n, a): probability of each cell of ``world.ages``.
    """
    table, grid, covariates = world.table, world.grid, seen.covariates
    if reader in _WITH_BODY:
        return _posterior_of_bodies(reader, seen, world)
    if reader is Reader.PLATES:
        plates = TruePlates(seen.latents, table)
        by_sex = {sex: plates_likelihood(plates, grid, table, np.full(covariates.female.shape, sex)) for sex in _SEXES}
        return age_posterior_blind(by_sex, grid, world.ages, world.female_share, table)
    likelihood = plates_likelihood(_plates(reader, seen, table), grid, table, covariates.female)
    if reader is Reader.LATENTS:
        likelihood = likelihood * body_likelihood(seen.latents, covariates, grid, table)
    return age_posterior(likelihood, grid, world.ages, covariates, table)


def ceiling(
    preset: Preset,
    reader: Reader,
    subjects: int = SUBJECTS,
    seed: int = 0,
    *,
    table: GrowthTable | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Ceiling:
    """Find by simulation how well a reader can tell ages in a cohort.

    Args:
        preset: The cohort.
        reader: What the reader knows.
        subjects: Simulated subjects.
        seed: What the simulation follows from.
        table: Another growth law than the preset's.
        advance: Told how many subjects are done, chunk by chunk.
    """
    world = World.of(preset, table)
    rng = np.random.default_rng(seed)
    sample = draw_subjects(preset, subjects, rng, world.table)
    seen = Seen(
        sample.latents | measure(sample.latents, rng), sample.covariates, Body.of(sample.age_years, sample.covariates)
    )
    return score(reader, seen, sample.age_years, world, advance=advance)


def score(
    reader: Reader,
    seen: Seen,
    age_years: FloatArray,
    world: World,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Ceiling:
    """Find how well a reader tells the ages of given subjects, such as a benchmark's.

    Args:
        reader: What the reader knows.
        seen: The n subjects.
        age_years: Their true ages.
        world: The cohort that they come from.
        advance: Told how many subjects are done, chunk by chunk.
    """
    return _ceiling(reader, _read(reader, seen, world, advance), age_years, world.ages)


def told_years(reader: Reader, seen: Seen, world: World) -> NDArray[np.intp]:
    """Give what a reader calls: of each subject the most probable completed year.

    Args:
        reader: What the reader knows.
        seen: The n subjects.
        world: The cohort that they come from.

    Returns:
        Shape (n,).
    """
    return np.asarray(world.ages.first_year + _read(reader, seen, world)["year"], dtype=np.intp)


def closed_form_exact_year(sd_years: float) -> float:
    """Give the exact-year accuracy when age is known with a normal error and all ages are equally frequent.

    The mean over all places of the year's edges of the probability that a normal error does not cross them:
    2 Phi(1/s) - 1 - 2 s (phi(0) - phi(1/s)).
    """
    reach = 1.0 / sd_years
    falls = (1.0 - np.exp(-0.5 * reach**2)) / np.sqrt(2 * np.pi)
    return float(2 * special.ndtr(reach) - 1 - 2 * sd_years * falls)


def closed_form_absolute_error(sd_years: float) -> float:
    """Give the mean absolute error of a normal error: s sqrt(2 / pi)."""
    return float(sd_years * np.sqrt(2 / np.pi))


def sd_of_absolute_error(mae_years: float) -> float:
    """Give the SD of a normal error with a mean absolute error: MAE sqrt(pi / 2)."""
    return float(mae_years * np.sqrt(np.pi / 2))


def simulated_exact_year(sd_years: float, subjects: int, seed: int = 0) -> Estimate:
    """Find by simulation what ``closed_form_exact_year`` says, through the growth law.

    The reader knows the years left of the femoral plate, whose closure varies between subjects by the SD.

    Args:
        sd_years: SD of tempo and own deviation together.
        subjects: Simulated subjects.
        seed: What the simulation follows from.
    """
    rng = np.random.default_rng(seed)
    table = between_subjects(TABLE1, sd_years)
    covariates = draw_covariates(np.zeros(subjects, dtype=bool), rng, table)
    sample = grow(rng.uniform(*_EVEN_AGES_YEARS, subjects), covariates, rng, table)
    read = closed_form_age(sample.years_left["femur"], "femur", covariates, table)
    return _mean(np.floor(read) == np.floor(sample.age_years))


def sd_for_exact_year(accuracy: float) -> float:
    """Give the SD in years at which ``closed_form_exact_year`` gives an accuracy."""
    low, high = 1e-3, 10.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if closed_form_exact_year(middle) > accuracy else (low, middle)
    return low


# Readers who know height and weight in cm and kg.
_WITH_BODY = (Reader.LATENTS_AND_BODY, Reader.MEASURED_AND_BODY, Reader.BODY)
# Whether a subject is taken as female.
_SEXES = (False, True)


def _plates(reader: Reader, seen: Seen, table: GrowthTable) -> PlateEvidence:
    """Give what a reader knows of the plates."""
    if reader in (Reader.MEASURED, Reader.MEASURED_AND_BODY):
        return MeasuredPlates(seen.latents, table)
    return TruePlates(seen.latents, table)


def _posterior_of_bodies(reader: Reader, seen: Seen, world: World) -> FloatArray:
    """Give the probability of each age for a reader who knows cm and kg, shape (n, a)."""
    table, grid, female = world.table, world.grid, seen.body.female
    covariates, steps = seen.body.covariates_at(world.ages.points)
    likelihood: FloatArray = np.ones((1, len(female), len(grid.points)))
    if reader is not Reader.BODY:
        likelihood = plates_likelihood(_plates(reader, seen, table), grid, table, female)[None]
    if reader is Reader.LATENTS_AND_BODY:
        likelihood = likelihood * body_likelihood_by_height(seen.latents, female, grid, table)
    density = covariate_density(covariates, table) * steps
    return age_posterior_of_bodies(likelihood, grid, world.ages, covariates=covariates, density=density, table=table)


def _read(
    reader: Reader, seen: Seen, world: World, advance: Callable[[int], None] = lambda _: None
) -> dict[str, FloatArray]:
    """Give every decision and summary of a reader, arrays of shape (n,)."""
    parts = []
    for chunk in _chunks(len(seen.covariates.female)):
        chances = posterior(reader, seen.part(chunk), world)
        parts.append(_readings(chances, world.ages))
        advance(len(chances))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _chunks(count: int) -> Iterator[slice]:
    """Part many subjects into few at a time."""
    for start in range(0, count, _CHUNK):
        yield slice(start, start + _CHUNK)


def _readings(chances: FloatArray, ages: Ages) -> dict[str, FloatArray]:
    """Give every decision and summary of posteriors, shape (n, a); arrays of shape (n,)."""
    points, years = ages.points, len(ages.year_weights)
    by_year = chances.reshape(len(chances), years, ages.per_year).sum(axis=2)
    # A year without subjects is nobody's, whatever its chances are divided by.
    shares = np.where(ages.year_weights > 0, ages.year_weights, np.inf)
    cumulated = np.cumsum(chances, axis=1)
    mean = chances @ points
    readings = {
        "year": by_year.argmax(axis=1),
        "balanced_year": (by_year / shares).argmax(axis=1),
        "middle_year": _middle_year(by_year),
        "median": points[np.argmax(cumulated >= 0.5, axis=1)],
        "sd": np.sqrt(np.maximum(chances @ points**2 - mean**2, 0.0)),
    }
    for threshold in _thresholds(ages):
        readings[f"at_least_{threshold}"] = chances[:, points >= threshold].sum(axis=1)
    return readings


def _middle_year(by_year: FloatArray) -> NDArray[np.intp]:
    """Give the year that is with its neighbours the most probable."""
    padded = np.pad(by_year, ((0, 0), (1, 1)))
    return np.asarray((padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]).argmax(axis=1))


def _thresholds(ages: Ages) -> list[int]:
    """Give the thresholds with subjects on both sides."""
    last = ages.first_year + len(ages.year_weights)
    return [threshold for threshold in THRESHOLDS_YEARS if ages.first_year < threshold < last]


def _ceiling(reader: Reader, readings: dict[str, FloatArray], age_years: FloatArray, ages: Ages) -> Ceiling:
    """Score every decision against the true ages."""
    year = np.floor(age_years).astype(int) - ages.first_year
    return Ceiling(
        reader=reader,
        subjects=len(age_years),
        exact_year=_mean(readings["year"] == year),
        macro_recall=_macro(readings["balanced_year"] == year, year),
        within_one_year=_mean(np.abs(readings["middle_year"] - year) <= 1),
        mean_absolute_error_years=_mean(np.abs(readings["median"] - age_years)),
        posterior_sd_years=_mean(readings["sd"]),
        thresholds=tuple(
            _threshold(threshold, readings[f"at_least_{threshold}"], age_years) for threshold in _thresholds(ages)
        ),
    )


def _threshold(threshold: int, at_least: FloatArray, age_years: FloatArray) -> ThresholdCeiling:
    """Score the decisions about one threshold."""
    older, last = age_years >= threshold, np.floor(age_years) == threshold - 1
    called, cautious = at_least >= 0.5, at_least >= CAUTIOUS_PROBABILITY
    return ThresholdCeiling(
        age_years=threshold,
        false_adult=_mean(called[~older]),
        false_minor=_mean(~called[older]),
        cautious_false_adult=_mean(cautious[~older]),
        cautious_false_minor=_mean(~cautious[older]),
        last_year_false_adult=_mean(called[last]),
        last_year_cautious_false_adult=_mean(cautious[last]),
    )


def _mean(values: NDArray[np.bool_] | FloatArray) -> Estimate:
    """Give a mean with its standard error."""
    return Estimate(float(np.mean(values)), float(np.std(values) / np.sqrt(len(values))), len(values))


def _macro(hit: NDArray[np.bool_], year: NDArray[np.intp]) -> Estimate:
    """Give the mean over years of the share of hits, with its standard error."""
    recalls = [_mean(hit[year == each]) for each in np.unique(year)]
    error = np.sqrt(sum(recall.error**2 for recall in recalls)) / len(recalls)
    return Estimate(float(np.mean([recall.value for recall in recalls])), float(error), len(hit))
