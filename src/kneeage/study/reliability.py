"""Calibration curves: how often what is said with a probability is true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.study.intervals import LEVEL, Proportion, proportion
from kneeage.study.predictions import FloatArray, Predictions
from kneeage.study.thresholds import at_least, is_older

# Source: Guo et al. 2017, arXiv:1706.04599, take 15 bins for thousands of samples; here are hundreds.
BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """What was said with probabilities of one bin.

    Args:
        low: Lower edge.
        high: Upper edge; a probability on an edge belongs to the bin above, 1 to the last.
        mean_probability: Mean of what was said.
        observed: Share of which it was true.
    """

    low: float
    high: float
    mean_probability: float
    observed: Proportion


@dataclass(frozen=True)
class Reliability:
    """A calibration curve.

    Args:
        bins: Bins of equal width that anything fell into, in order.
        expected_calibration_error: Mean distance of what was said from what was true, over bins, by their counts. It
            is above 0 even for perfect probabilities, the more so the fewer rows there are.
    """

    bins: tuple[ReliabilityBin, ...]
    expected_calibration_error: float


def reliability(
    probability: FloatArray, true: NDArray[np.bool_], *, bins: int = BINS, level: float = LEVEL
) -> Reliability:
    """Compare probabilities with what was true.

    Args:
        probability: Shape (n,), from 0 to 1.
        true: Shape (n,).
        bins: Number of bins between 0 and 1.
        level: Level of the Wilson intervals; they hold for one row per subject.

    Source: Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602 (expected calibration error).
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, bins - 1)
    found = []
    for each in np.unique(place):
        inside = place == each
        observed = proportion(int(true[inside].sum()), int(inside.sum()), level)
        said = float(probability[inside].mean())
        found.append(ReliabilityBin(float(edges[each]), float(edges[each + 1]), said, observed))
    return Reliability(tuple(found), _expected_error(found))


def class_reliability(predictions: Predictions, *, bins: int = BINS) -> Reliability:
    """Compare the probability of the most probable class with how often it is the true one."""
    said = predictions.probability.max(axis=1)
    return reliability(np.minimum(said, 1.0), predictions.called_class == predictions.true_class, bins=bins)


def threshold_reliability(predictions: Predictions, age_years: int, *, bins: int = BINS) -> Reliability:
    """Compare the probability to be past a threshold with how often that is true.

    Raises:
        InputRefusedError: There is no class on one side of the threshold.
    """
    return reliability(at_least(predictions, age_years), is_older(predictions, age_years), bins=bins)


def _expected_error(bins: list[ReliabilityBin]) -> float:
    """Weigh the distances by the counts; NaN of nothing."""
    total = sum(each.observed.total for each in bins)
    distances = sum(each.observed.total * abs(each.observed.value - each.mean_probability) for each in bins)
    return distances / total if total else float("nan")
