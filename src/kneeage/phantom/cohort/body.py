"""Height and weight of a virtual subject, from its percentiles for age and sex.

The growth law knows them as percentiles, which tell nothing of age by themselves, and no image shows them otherwise. In
cm and kg they follow age and sex by the charts: who knows them, knows something of age (``docs/growth.md``, Ceilings).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.population import HEIGHT_WEIGHT_CORRELATION

# The charts' power transform has no value far out in the tails.
LARGEST_Z_SCORE = 2.5

_AGES_YEARS = (8, 10, 12, 14, 16, 18, 20)
# L (power), M (median) and S (coefficient of variation) of height in cm and of weight in kg at these ages; they are
# kept at the values of 8 and 20 years beyond them. The population is that of the United States.
# Source: Kuczmarski RJ et al., 2000 CDC growth charts for the United States, Vital Health Stat 11(246), 2002, data
# files statage and wtage, rounded. The power of height lies near 1 and is taken as 1.
_HEIGHT = {
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
_WEIGHT = {
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
    def draw(rng: np.random.Generator) -> Percentiles:
        """Draw a pair; tall subjects are heavier."""
        height, own = rng.normal(size=2)
        weight = HEIGHT_WEIGHT_CORRELATION * height + np.sqrt(1 - HEIGHT_WEIGHT_CORRELATION**2) * own
        return Percentiles(round(100 * float(ndtr(height)), 2), round(100 * float(ndtr(weight)), 2))


def height_cm(chronological_age_years: float, sex: Sex, percentile: float) -> float:
    """Height of a subject in cm.

    Args:
        chronological_age_years: Decimal age.
        sex: Sex of the subject.
        percentile: Rank of its height for age and sex, 0 to 100.
    """
    return _value(_HEIGHT[sex], chronological_age_years, percentile)


def weight_kg(chronological_age_years: float, sex: Sex, percentile: float) -> float:
    """Weight of a subject in kg; arguments as for :func:`height_cm`."""
    return _value(_WEIGHT[sex], chronological_age_years, percentile)


def _value(chart: tuple[tuple[float, ...], ...], age_years: float, percentile: float) -> float:
    """Read a chart. Source: Cole TJ, Green PJ, Stat Med 1992;11:1305-1319, doi:10.1002/sim.4780111005."""
    power, median, variation = (float(np.interp(age_years, _AGES_YEARS, values)) for values in chart)
    z_score = float(np.clip(ndtri(percentile / 100), -LARGEST_Z_SCORE, LARGEST_Z_SCORE))
    return round(float(median * (1 + power * variation * z_score) ** (1 / power)), 1)
