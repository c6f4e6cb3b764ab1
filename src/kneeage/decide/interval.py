"""Credible intervals of age."""

from __future__ import annotations

import numpy as np

from kneeage.core.result import Interval
from kneeage.decide.posterior import AgeDistribution

# Source: ours; the level that readers of forensic reports are used to.
LEVEL = 0.95
# A distribution that still has this share of its peak density in the last bin would go on beyond it. Source: ours; a
# matured knee is as likely at 26 years as at 22.
DIED_DOWN_SHARE = 0.1


def credible_interval(
    distribution: AgeDistribution, *, calibration_subjects: int, virtual: bool = False, level: float = LEVEL
) -> Interval:
    """Give the central credible interval.

    Args:
        distribution: The posterior that is shown.
        calibration_subjects: How many subjects the posterior's sharpness was fitted on; 0: none.
        virtual: Whether these were computer-generated.
        level: Probability inside, as much below as above outside.

    Returns:
        The interval; open upwards when the end of the ages considered, and not the image, would set its upper end:
        when that lies in the last bin, or when the distribution has not died down there.
    """
    tail = (1 - level) / 2
    low, high = distribution.quantile(tail), distribution.quantile(1 - tail)
    is_open = high >= distribution.edges_years[-2] or not dies_down(distribution)
    return Interval(
        level=level, low=low, high=None if is_open else high, method=_method(calibration_subjects, virtual=virtual)
    )


def reaches_first_bin(distribution: AgeDistribution, interval: Interval) -> bool:
    """Say whether an interval reaches the first bin, below which nothing is considered."""
    return interval.low < distribution.edges_years[1]


def dies_down(distribution: AgeDistribution) -> bool:
    """Say whether the density of the last bin is small beside the peak; where not, the age has no end upwards."""
    density = np.array(distribution.masses) / np.diff(distribution.edges_years)
    return bool(density[-1] < DIED_DOWN_SHARE * density.max())


def _method(calibration_subjects: int, *, virtual: bool = False) -> str:
    """Name how the interval was made."""
    if calibration_subjects == 0:
        return "central credible interval of the posterior, uncalibrated"
    return (
        "central credible interval of the posterior, its sharpness fitted on "
        f"{calibration_subjects} {'virtual ' if virtual else ''}calibration subjects; coverage not guaranteed"
    )
