"""Credible intervals of age."""

from __future__ import annotations

from kneeage.core.result import Interval
from kneeage.decide.posterior import AgeDistribution

# Source: the level that forensic age reports state (LITERATURE.md, AGFAD and EUAA reports).
LEVEL = 0.95


def credible_interval(distribution: AgeDistribution, *, calibration_subjects: int, level: float = LEVEL) -> Interval:
    """Give the central credible interval.

    Args:
        distribution: The posterior that is shown.
        calibration_subjects: How many held-out subjects the posterior's sharpness was fitted on; 0: none.
        level: Probability inside, as much below as above outside.

    Returns:
        The interval; open upwards when its upper end would lie in the last bin, because beyond that bin the bundle
        knows nothing.
    """
    tail = (1 - level) / 2
    low, high = distribution.quantile(tail), distribution.quantile(1 - tail)
    is_open = high >= distribution.edges_years[-2]
    return Interval(level=level, low=low, high=None if is_open else high, method=_method(calibration_subjects))


def reaches_first_bin(distribution: AgeDistribution, interval: Interval) -> bool:
    """Say whether an interval reaches the first bin, below which the bundle knows nothing."""
    return interval.low < distribution.edges_years[1]


def _method(calibration_subjects: int) -> str:
    """Name how the interval was made."""
    if calibration_subjects == 0:
        return "central credible interval of the posterior, uncalibrated"
    return (
        "central credible interval of the posterior, its sharpness fitted on "
        f"{calibration_subjects} held-out subjects; coverage not guaranteed"
    )
