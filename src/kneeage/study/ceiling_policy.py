"""What the best readers of virtual knees reach with the threshold rule, under the same limit as a bundle.

The rule is tuned and counted for them as it is for a bundle; only the reader differs, and the number of subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ThresholdPolicy
from kneeage.decide.posterior import AgeDistribution
from kneeage.phantom.cohort.body import Body
from kneeage.phantom.cohort.ceiling import Reader, Seen, World, posterior
from kneeage.phantom.cohort.presets import Preset
from kneeage.phantom.growth.age_law import Ages
from kneeage.phantom.growth.law import FloatArray, grow
from kneeage.phantom.growth.measured import measure
from kneeage.phantom.growth.population import draw_covariates
from kneeage.study.predicted import Predicted
from kneeage.study.tuning import LIMIT, WINDOW_YEARS, count_errors, tune_policy

# The readers by the letters of the documents; see `kneeage.phantom.cohort.ceiling`.
READERS = {"a": Reader.LATENTS, "b": Reader.PLATES}
_CHUNK = 500


@dataclass(frozen=True)
class Simulation:
    """A virtual population without images.

    Args:
        preset: The cohort whose law of growth and ages the readers know.
        edges_years: Edges of the age bins that the readers answer in.
        seed: What the simulation follows from.
    """

    preset: Preset
    edges_years: Sequence[float]
    seed: int

    def read(self, reader: Reader, subjects: int, ages_years: tuple[float, float]) -> list[Predicted]:
        """Draw subjects and let a reader say their ages.

        Args:
            reader: What is known of them.
            subjects: How many, half of them of each sex.
            ages_years: Ages are uniform from the first to the second.
        """
        rng = np.random.default_rng(self.seed)
        world = World.of(self.preset)
        ages = rng.uniform(*ages_years, subjects)
        covariates = draw_covariates(np.arange(subjects) % 2 == 1, rng, world.table)
        sample = grow(ages, covariates, rng, world.table)
        seen = Seen(sample.latents | measure(sample.latents, rng), covariates, Body.of(ages, covariates))
        return read_seen(reader, seen, ages, world, self.edges_years)


def read_seen(
    reader: Reader,
    seen: Seen,
    ages_years: FloatArray,
    world: World,
    edges_years: Sequence[float],
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Predicted]:
    """Let a reader say the ages of subjects, under the reference prior.

    Args:
        reader: What is known of them.
        seen: All that there is to know of them.
        ages_years: Their chronological ages, shape (n,).
        world: What the readers know of growth.
        edges_years: Edges of the age bins.
        advance: Told how many subjects are read, chunk by chunk, and how many there are.
    """
    sexes = [Sex.FEMALE if female else Sex.MALE for female in seen.covariates.female]
    edges = tuple(edges_years)
    found: list[AgeDistribution] = []
    for start in range(0, len(ages_years), _CHUNK):
        chances = posterior(reader, seen.part(slice(start, start + _CHUNK)), world)
        found += [AgeDistribution(edges, tuple(map(float, row))) for row in on_bins(chances, world.ages, edges)]
        advance(len(found), len(ages_years))
    return [
        Predicted(float(age), sex, distribution)
        for age, sex, distribution in zip(ages_years, sexes, found, strict=True)
    ]


def on_bins(chances: FloatArray, ages: Ages, edges_years: Sequence[float]) -> FloatArray:
    """Turn a reader's posterior under a cohort's ages into one under the reference prior.

    Args:
        chances: Probability of each cell of ``ages``, shape (n, cells).
        ages: The cohort's ages.
        edges_years: Edges of the bins.

    Returns:
        Shape (n, bins), each row summing to 1.
    """
    likelihood = np.divide(chances, ages.prior, out=np.zeros_like(chances), where=ages.prior > 0)
    place = np.searchsorted(edges_years, ages.points, side="right") - 1
    bins = np.arange(len(edges_years) - 1)
    masses: FloatArray = likelihood @ (place[:, None] == bins).astype(np.float64)
    return np.asarray(masses / masses.sum(axis=1, keepdims=True))


def ceiling_policies(
    preset: Preset,
    edges_years: Sequence[float],
    thresholds_years: Sequence[float],
    *,
    subjects: int,
    seeds: tuple[int, int],
    limit: float = LIMIT,
) -> dict[str, ThresholdPolicy]:
    """Tune and count the rule for the best readers.

    Args:
        preset: The cohort that a bundle was trained on.
        edges_years: Edges of its age bins.
        thresholds_years: Ages asked about.
        subjects: Simulated subjects, for tuning and for counting each; their ages are uniform from two years below the
            lowest threshold to two years above the highest.
        seeds: Of the subjects that the rule is tuned on, and of those that it is counted on.
        limit: As in `tune_policy`.

    Returns:
        The counted policy of each reader, by its letter.
    """
    ages = (min(thresholds_years) - WINDOW_YEARS, max(thresholds_years) + WINDOW_YEARS)
    tuned_on, counted_on = (Simulation(preset, edges_years, seed) for seed in seeds)
    return {
        letter: count_errors(
            tune_policy(tuned_on.read(reader, subjects, ages), thresholds_years, limit=limit),
            counted_on.read(reader, subjects, ages),
        )
        for letter, reader in READERS.items()
    }
