"""What is fitted after training, on subjects of its own: a temperature, and a scale for each plate's thickness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from kneeage.core.anatomy import PLATE_SITES, PlateSite
from kneeage.core.manifest import ThicknessScale

FloatArray = NDArray[np.float64]
# Temperatures tried: beyond these the network itself is at fault.
_TEMPERATURES = (0.3, 3.0)
# Fewer open plates than this fix no line.
_MIN_PLATES = 10


def fit_temperature(log_posteriors: FloatArray, bins: NDArray[np.intp]) -> float:
    """Find the temperature under which the true bins are most likely.

    Args:
        log_posteriors: Log-probabilities, shape (subjects, bins).
        bins: True bin of each subject, shape (subjects,).

    Returns:
        The temperature. Source: Guo et al. 2017, arXiv:1706.04599, section 4.2 (temperature scaling).
    """

    def loss(log_temperature: float) -> float:
        """Mean negative log-likelihood of the true bins."""
        scaled = log_posteriors / np.exp(log_temperature)
        scaled = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        return -float(scaled[np.arange(len(bins)), bins].mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def fit_thickness(facts: Sequence[dict[str, Any]]) -> dict[str, ThicknessScale]:
    """Fit a line from drawn to true thickness for each plate that was open often enough.

    Args:
        facts: Truth beside measurement of each subject (see ``kneeage.learn.virtual_regions``).
    """
    fits = {site.name: _thickness_line(facts, site) for site in PLATE_SITES}
    return {name: scale for name, scale in fits.items() if scale is not None}


def _thickness_line(facts: Sequence[dict[str, Any]], site: PlateSite) -> ThicknessScale | None:
    """Fit one line by least squares; None where too few plates are open."""
    plates = [fact["plates"][site.name] for fact in facts]
    pairs = [(p["found"]["thickness_mm"], p["true"]["thickness_mm"]) for p in plates]
    both = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
    if len(both) < _MIN_PLATES:
        return None
    slope, offset = np.polyfit(both[:, 0], both[:, 1], 1)
    return ThicknessScale(slope=float(slope), offset_mm=float(offset)) if slope > 0 else None


def true_places(ages_years: Sequence[float] | FloatArray, edges_years: Sequence[float]) -> NDArray[np.intp]:
    """Index of the bin that holds each age; ages outside count to the outer bins."""
    return np.clip(np.searchsorted(edges_years, ages_years, side="right") - 1, 0, len(edges_years) - 2)
