"""Simulated readers of simulated knees: fast, calibrated by construction, and blind above closure like real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest
from kneeage.study.predicted import Predicted, predicted
from tests.infer.knees import manifest

FloatArray = NDArray[np.float64]
LOW, HIGH = 8.0, 26.0
EDGES = np.arange(LOW, HIGH + 0.25, 0.5)
CLOSURE_YEARS, CLOSURE_SD, READING_SD = {Sex.FEMALE: 16.5, Sex.MALE: 18.0}, 0.7, 0.8
# Every hundredth of the distribution of closure, evenly.
_CLOSURE_SCORES = np.sqrt(2) * np.array([-1.163, -0.733, -0.477, -0.272, -0.0888, 0.0888, 0.272, 0.477, 0.733, 1.163])
BUNDLE = manifest(age_edges_years=EDGES.tolist())


def drawn_sexes(subjects: int) -> list[Sex]:
    """Every second one is female."""
    return [(Sex.MALE, Sex.FEMALE)[place % 2] for place in range(subjects)]


def log_likelihoods(
    ages_years: Sequence[float] | FloatArray,
    sexes: Sequence[Sex],
    rng: np.random.Generator,
    *,
    later_years: float = 0.0,
    sharper: float = 1.0,
    sex_given: bool = True,
) -> FloatArray:
    """Look at knees that stop changing when they close.

    Args:
        ages_years: True ages.
        sexes: True sexes.
        rng: Source of the variation.
        later_years: How much later this population matures than the reader believes.
        sharper: How much surer the reader is than it may be.
        sex_given: Whether it is told the sex.

    Returns:
        Shape (subjects, bins).
    """
    middle = np.array([CLOSURE_YEARS[sex] for sex in sexes])
    closure = middle + rng.choice(_CLOSURE_SCORES, len(middle)) * CLOSURE_SD
    seen = np.minimum(np.asarray(ages_years) - later_years, closure) + rng.normal(0, READING_SD, len(middle))
    by_sex = {sex: _likelihood(seen, CLOSURE_YEARS[sex]) for sex in Sex}
    if not sex_given:
        return np.asarray(np.log(sum(by_sex.values())) * sharper)
    female = np.array([sex is Sex.FEMALE for sex in sexes])[:, None]
    return np.asarray(np.log(np.where(female, by_sex[Sex.FEMALE], by_sex[Sex.MALE])) * sharper)


def read_subjects(
    subjects: int,
    seed: int,
    *,
    low: float = LOW,
    high: float = HIGH,
    bundle: BundleManifest = BUNDLE,
    **reader: float,
) -> list[Predicted]:
    """Draw subjects of even ages and read them."""
    rng = np.random.default_rng(seed)
    ages, sexes = rng.uniform(low, high, subjects), drawn_sexes(subjects)
    given = bool(reader.get("sex_given", True))
    return predicted(log_likelihoods(ages, sexes, rng, **reader), ages, sexes, bundle, sex_given=given)  # type: ignore[arg-type]


def _likelihood(seen: FloatArray, closure_years: float) -> FloatArray:
    """Likelihood of each age bin, the closure averaged over, shape (subjects, bins)."""
    fine = (np.arange(LOW, HIGH, 0.1) + 0.05)[:, None]
    truth = np.minimum(fine, closure_years + _CLOSURE_SCORES * CLOSURE_SD)
    density = np.exp(-(((seen[:, None, None] - truth) / READING_SD) ** 2) / 2).mean(axis=2)
    return density.reshape(len(seen), -1, 5).mean(axis=2) + 1e-12
