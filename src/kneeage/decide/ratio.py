"""Likelihood ratios for named age windows: how much more probable an image is in one window than in another.

A ratio depends on the ages that are compared, so that the windows are always given beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kneeage.core.errors import UsageError
from kneeage.core.result import LikelihoodRatio
from kneeage.decide.posterior import FloatArray

# Width in years of the age windows on either side of a threshold that are compared by default. Source: ours; the ages
# that are in dispute where a threshold is, and the ages among which decision errors are limited.
WINDOW_YEARS = 2.0
# Two windows that hold less than this share of the likelihood together are both contradicted by the image: what they
# hold are tails of a learned distribution, which nobody calibrated. Source: ours.
MIN_SUPPORT = 0.01
_FORM = "give LOW-HIGH:LOW-HIGH in years, the younger window first, such as 14-18:18-22"


@dataclass(frozen=True)
class AgeWindows:
    """Two windows of age that a ratio compares; within each, every age counts the same.

    Args:
        below: Lower and upper end of the younger window, in years.
        above: The same of the older one.
    """

    below: tuple[float, float]
    above: tuple[float, float]

    def __str__(self) -> str:
        """Write the windows as a user gives them."""
        return f"{self.below[0]:g}-{self.below[1]:g}:{self.above[0]:g}-{self.above[1]:g}"


def windows_around(age_years: float) -> AgeWindows:
    """Give the windows just below and just above a threshold."""
    return AgeWindows((age_years - WINDOW_YEARS, age_years), (age_years, age_years + WINDOW_YEARS))


def parse_windows(text: str) -> tuple[AgeWindows, ...]:
    """Read windows as the user names them.

    Args:
        text: ``LOW-HIGH:LOW-HIGH`` in years, the younger window first; several are joined by commas.

    Raises:
        UsageError: The text is not of this form, or the windows overlap or are empty.

    Example:
        >>> parse_windows("14-18:18-22")[0].above
        (18.0, 22.0)
    """
    return tuple(_parse_pair(part.strip()) for part in text.split(","))


def likelihood_ratio(
    log_likelihood: FloatArray, edges_years: Sequence[float], windows: AgeWindows
) -> LikelihoodRatio | None:
    """Compare two windows of age; no prior between them enters.

    The ratio is the mean likelihood over the older window, divided by the mean over the younger; both are cut to the
    bundle's ages. None is given where the image speaks against both windows.

    Args:
        log_likelihood: Log-likelihood of each bin, up to a constant, shape (bins,).
        edges_years: Edges of the bins.
        windows: What is compared.

    Returns:
        The ratio with the windows that were compared; None when a window holds no age of the bundle, or one that it
        saw no subject of, or when both together hold less than ``MIN_SUPPORT`` of the likelihood over all ages.

    Source: Evett and Weir 1998, Interpreting DNA Evidence, chapter 2 (the ratio of the evidence's probabilities under
    two named propositions); ENFSI 2015, Guideline for evaluative reporting.
    """
    likelihood = np.where(np.isfinite(log_likelihood), np.exp(log_likelihood - log_likelihood.max()), np.nan)
    below, above = (_cut(window, edges_years) for window in (windows.below, windows.above))
    if below[0] >= below[1] or above[0] >= above[1]:
        return None
    lower, upper = (_mean_over(likelihood, edges_years, *window) for window in (below, above))
    if np.isnan(lower + upper) or _support(likelihood, edges_years, below, above) < MIN_SUPPORT:
        return None
    return LikelihoodRatio(value=upper / lower if lower > 0 else None, ages_below=below, ages_above=above)


def _cut(window: tuple[float, float], edges_years: Sequence[float]) -> tuple[float, float]:
    """Cut a window to the ages of the bundle."""
    return max(window[0], edges_years[0]), min(window[1], edges_years[-1])


def _mean_over(likelihood: FloatArray, edges_years: Sequence[float], low: float, high: float) -> float:
    """Average the likelihood over a window of ages; not a number where a bin of it is unknown."""
    edges = np.asarray(edges_years)
    overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    touched = overlap > 0
    return float(np.average(likelihood[touched], weights=overlap[touched]))


def _support(likelihood: FloatArray, edges_years: Sequence[float], *windows: tuple[float, float]) -> float:
    """Give the share of the likelihood, over all ages that the bundle knows, that windows hold together."""
    held = sum(_mean_over(likelihood, edges_years, *window) * (window[1] - window[0]) for window in windows)
    return float(held / np.nansum(likelihood * np.diff(np.asarray(edges_years))))


def _parse_pair(text: str) -> AgeWindows:
    """Read one pair of windows."""
    try:
        (low, middle), (start, high) = ([float(age) for age in part.split("-")] for part in text.split(":"))
    except ValueError:
        raise UsageError(f"the age windows {text!r} are not understood; {_FORM}") from None
    ages = (low, middle, start, high)
    if not all(map(math.isfinite, ages)) or not 0 <= low < middle <= start < high:
        raise UsageError(f"the age windows {text!r} must not be empty or overlap; {_FORM}")
    return AgeWindows((low, middle), (start, high))
