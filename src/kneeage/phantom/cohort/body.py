"""Height and weight of a virtual subject, from its percentiles for age and sex.

The growth law knows them as percentiles, which tell nothing of age by themselves, and no image shows them otherwise. In
cm and kg they follow age and sex by the charts: who knows them, knows something of age, and ``Body`` turns the charts
round for such readers (``docs/growth.md``, Ceilings). Who knows both, cm and percentile, can look age up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.law import TABLE1, Covariates, FloatArray, GrowthTable, normal_score
from kneeage.phantom.growth.population import draw_covariates

_Rows = tuple[tuple[float, ...], ...]
_AGES_YEARS = (8, 10, 12, 14, 16, 18, 20)
# L (power), M (median) and S (coefficient of variation) of height in cm and of weight in kg at these ages; they are
# kept at the values of 8 and 20 years beyond them. The population is that of the United States.
# Source: Kuczmarski RJ et al., 2000 CDC growth charts for the United States, Vital Health Stat 11(246), 2002, data
# files statage and wtage, rounded. The power of height lies near 1 and is taken as 1.
_HEIGHT: dict[Sex, _Rows] = {
    Sex.MALE: (
        (1.0,) * 7,
        (127.9, 138.6, 149.0, 163.8, 173.5, 176.2, 176.8),
        (0.045, 0.048, 0.050, 0.049, 0.043, 0.041, 0.040),
    ),
    Sex.FEMALE: (
        (1.0,) * 7,
        (127.6, 138.0, 151.2, 160.4, 162.5, 163.1, 163.3),
        (0.046, 0.049, 0.049, 0.041, 0.040, 0.040, 0.040),
    ),
}
_WEIGHT: dict[Sex, _Rows] = {
    Sex.MALE: (
        (-1.35, -1.21, -0.84, -0.63, -0.80, -1.07, -0.92),
        (25.9, 31.9, 40.5, 51.0, 60.9, 67.2, 70.6),
        (0.156, 0.178, 0.196, 0.191, 0.173, 0.162, 0.161),
    ),
    Sex.FEMALE: (
        (-1.13, -0.85, -0.81, -1.10, -1.64, -1.86, -1.51),
        (25.6, 32.9, 41.6, 49.4, 53.9, 56.1, 58.2),
        (0.172, 0.196, 0.202, 0.189, 0.169, 0.160, 0.167),
    ),
}


@dataclass(frozen=True)
class Percentiles:
    """Rank of a subject among those of its age and sex, 0 to 100."""

    height: float
    weight: float

    @staticmethod
    def draw(rng: np.random.Generator, table: GrowthTable = TABLE1) -> Percentiles:
        """Draw a pair as the growth law does; tall subjects are heavier.

        Args:
            rng: Source of the variation.
            table: Constants of the law.
        """
        drawn = draw_covariates(np.array([False]), rng, table)
        height, weight = (round(100 * float(ndtr(score[0])), 2) for score in (drawn.height_score, drawn.weight_score))
        return Percentiles(height, weight)


@dataclass(frozen=True, eq=False)
class Body:
    """Height and weight of n subjects as they are measured; arrays of shape (n,).

    Args:
        female: Whether the subject is female, bool.
        height_cm: Height in cm.
        weight_kg: Weight in kg.
    """

    female: NDArray[np.bool_]
    height_cm: FloatArray
    weight_kg: FloatArray

    @staticmethod
    def of(age_years: FloatArray, covariates: Covariates) -> Body:
        """Give the bodies of subjects of known ages, with height and weight for age."""
        female = covariates.female
        height, weight = (
            np.where(female, *(_charts(rows, age_years, sex).value(scores) for sex in (Sex.FEMALE, Sex.MALE)))
            for rows, scores in ((_HEIGHT, covariates.height_score), (_WEIGHT, covariates.weight_score))
        )
        return Body(female, height, weight)

    def covariates_at(self, age_years: FloatArray) -> tuple[Covariates, FloatArray]:
        """Give what the subjects would be for their age, were they of each of some ages.

        Args:
            age_years: Shape (a,).

        Returns:
            Height and weight for age, shape (n, a) with ``female`` (n, 1); and how many standard deviations squared one
            cm times one kg is there, shape (n, a), which a density per cm and kg is multiplied by.
        """
        female = self.female[:, None]
        scores, steps = [], np.ones(1)
        for rows, measured in ((_HEIGHT, self.height_cm[:, None]), (_WEIGHT, self.weight_kg[:, None])):
            charts = [_charts(rows, age_years, sex) for sex in (Sex.FEMALE, Sex.MALE)]
            scores.append(np.where(female, *(chart.score(measured) for chart in charts)))
            steps = steps * np.where(female, *(chart.score_per_unit(measured) for chart in charts))
        return Covariates(female, *scores), steps


@dataclass(frozen=True, eq=False)
class _Chart:
    """A growth chart at some ages. Source: Cole TJ, Green PJ, Stat Med 1992;11:1305-1319, doi:10.1002/sim.4780111005.

    Args:
        power: L of the chart, shape (a,).
        median: M, in cm or kg.
        variation: S.
    """

    power: FloatArray
    median: FloatArray
    variation: FloatArray

    def value(self, score: FloatArray) -> FloatArray:
        """Give cm or kg of a score."""
        return np.asarray(self.median * (1 + self.power * self.variation * score) ** (1 / self.power))

    def score(self, value: FloatArray) -> FloatArray:
        """Give the score of a value in cm or kg."""
        return np.asarray(((value / self.median) ** self.power - 1) / (self.power * self.variation))

    def score_per_unit(self, value: FloatArray) -> FloatArray:
        """Give by how much the score rises per cm or kg."""
        return np.asarray((value / self.median) ** self.power / (value * self.variation))


def height_cm(chronological_age_years: float, sex: Sex, percentile: float) -> float:
    """Height of a subject in cm.

    Args:
        chronological_age_years: Decimal age.
        sex: Sex of the subject.
        percentile: Rank of its height for age and sex, 0 to 100.
    """
    return _value(_HEIGHT, chronological_age_years, sex, percentile)


def weight_kg(chronological_age_years: float, sex: Sex, percentile: float) -> float:
    """Weight of a subject in kg; arguments as for :func:`height_cm`."""
    return _value(_WEIGHT, chronological_age_years, sex, percentile)


def _value(charts: Mapping[Sex, _Rows], age_years: float, sex: Sex, percentile: float) -> float:
    """Read a chart, to the tenth."""
    score = normal_score(np.array([percentile]), TABLE1)
    return round(float(_charts(charts, np.array([age_years]), sex).value(score)[0]), 1)


def _charts(rows: Mapping[Sex, _Rows], age_years: FloatArray, sex: Sex) -> _Chart:
    """Give the charts of one sex at some ages."""
    return _Chart(*(np.interp(age_years, _AGES_YEARS, values) for values in rows[sex]))
