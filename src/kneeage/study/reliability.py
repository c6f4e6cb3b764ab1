"""Calibration curves: how often what is said with a probability is true, beside readers of whom it is true exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.study.intervals import LEVEL, Proportion, proportion
from kneeage.study.predictions import FloatArray, Predictions
from kneeage.study.thresholds import at_least, is_older

# Source: Guo et al. 2017, arXiv:1706.04599, take 15 bins for thousands of samples; here are hundreds.
BINS = 10
# Simulated perfect readers that a calibration error is compared with. Source: ours.
SIMULATED = 2000


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
    edges, place = np.linspace(0.0, 1.0, bins + 1), _places(probability, bins)
    found = []
    for each in np.unique(place):
        inside = place == each
        observed = proportion(int(true[inside].sum()), int(inside.sum()), level)
        said = float(probability[inside].mean())
        found.append(ReliabilityBin(float(edges[each]), float(edges[each + 1]), said, observed))
    return Reliability(tuple(found), expected_calibration_error(probability, true, bins=bins))


def expected_calibration_error(probability: FloatArray, true: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Average the distance of what was said from what was true, over bins, by their counts; NaN of nothing.

    Sum over bins b of (n_b / n) |mean probability_b - share true_b|.

    Args:
        probability: Shape (n,), from 0 to 1.
        true: Shape (n,).
        bins: Number of bins between 0 and 1.

    Source: Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602.
    """
    if not len(probability):
        return float("nan")
    excess = np.bincount(_places(probability, bins), weights=probability - true, minlength=bins)
    return float(np.abs(excess).sum() / len(probability))


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error beside those of perfectly calibrated readers who say the same probabilities.

    Args:
        subjects: How many rows there are.
        error: The expected calibration error.
        perfect_mean: Mean of the perfect readers' errors: what chance alone makes of so many rows.
        perfect_95: What 95 % of them stay under.
        p_value: Share of them with an error as large or larger, the one found counted as one of them.
    """

    subjects: int
    error: float
    perfect_mean: float
    perfect_95: float
    p_value: float


def calibration_error(
    probability: FloatArray, true: NDArray[np.bool_], *, simulated: int = SIMULATED, seed: int = 0
) -> CalibrationError:
    """Compare an expected calibration error with what it would be if every probability were right.

    Args:
        probability: Shape (n,), from 0 to 1; at least one.
        true: Shape (n,).
        simulated: How often truths are drawn from the probabilities.
        seed: What the draws follow from.

    Source: Broecker and Smith 2007, doi:10.1175/WAF993.1 (truths drawn from what was said); P from draws: Davison and
    Hinkley 1997, section 4.2.5.
    """
    found, rng = expected_calibration_error(probability, true), np.random.default_rng(seed)
    draws = (rng.random(len(probability)) < probability for _ in range(simulated))
    perfect = np.array([expected_calibration_error(probability, drawn) for drawn in draws])
    return CalibrationError(
        subjects=len(probability),
        error=found,
        perfect_mean=float(perfect.mean()),
        perfect_95=float(np.quantile(perfect, 0.95)),
        p_value=float((1 + np.count_nonzero(perfect >= found)) / (1 + simulated)),
    )


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


def _places(probability: FloatArray, bins: int) -> NDArray[np.intp]:
    """Give the bin of each probability; one on an edge belongs to the bin above, 1 to the last."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, bins - 1)
