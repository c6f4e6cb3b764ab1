"""What likelihood ratios are worth: their cost, what of it is calibration, and how often they mislead.

A ratio compares two propositions that are named beforehand, here two windows of age; what is judged are ratios of
subjects of whom it is known which of the two is true.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from kneeage.study.intervals import Proportion, proportion
from kneeage.study.predictions import FloatArray, IntArray
from kneeage.study.resampling import RESAMPLING, BoolArray, Bootstrapped, Resampling, bootstrap_places

# A ratio beyond this, on the wrong side, misleads strongly: ten times more probable under the wrong proposition.
# Source: ENFSI 2015, Guideline for evaluative reporting, scale of conclusions (moderate support begins at 10).
STRONG = 10.0


@dataclass(frozen=True)
class RatioPerformance:
    """How good the ratios of one pair of propositions are; NaN where nobody of one of them was there.

    Args:
        cost: Log-likelihood-ratio cost, with its interval over subjects.
        least_cost: What it would be if every ratio were moved to its best value and none changed places: what is lost
            by telling the propositions apart. The rest of the cost is lost by calibration.
        younger_misled: Share of the truly younger with a ratio above 1.
        younger_misled_strongly: Share of them with a ratio above 10.
        older_misled: Share of the truly older with a ratio below 1.
        older_misled_strongly: Share of them with a ratio below 0.1.
    """

    cost: Bootstrapped
    least_cost: float
    younger_misled: Proportion
    younger_misled_strongly: Proportion
    older_misled: Proportion
    older_misled_strongly: Proportion


def ratio_performance(younger: FloatArray, older: FloatArray, resampling: Resampling = RESAMPLING) -> RatioPerformance:
    """Judge ratios of "older" against "younger".

    Args:
        younger: Ratios of those who are truly younger, 0 to infinity, shape (n,).
        older: Ratios of those who are truly older, shape (m,).
        resampling: How the interval of the cost is found.
    """
    return RatioPerformance(
        cost=_bootstrapped_cost(younger, older, resampling),
        least_cost=least_ratio_cost(younger, older),
        younger_misled=_share(younger > 1),
        younger_misled_strongly=_share(younger > STRONG),
        older_misled=_share(older < 1),
        older_misled_strongly=_share(older < 1 / STRONG),
    )


def ratio_cost(younger: FloatArray, older: FloatArray) -> float:
    """Give the log-likelihood-ratio cost of ratios, Cllr.

    (mean over older of log2(1 + 1/LR) + mean over younger of log2(1 + LR)) / 2: the bits that who
    believes the ratios still lacks, at even odds beforehand. 0: all is known; 1: as good as a ratio of 1 for everyone;
    above 1: worse than to say nothing. A ratio of 0 of an older one, or an infinite one of a younger one,
    costs infinitely much.

    Args:
        younger: Ratios of those who are truly younger, 0 to infinity, shape (n,).
        older: Ratios of those who are truly older, shape (m,).

    Returns:
        The cost in bits; NaN where one of the two is empty.

    Source: Brummer and du Preez 2006, doi:10.1016/j.csl.2005.08.001.
    """
    if not len(younger) or not len(older):
        return float("nan")
    with np.errstate(divide="ignore"):
        return float((_bits(-np.log(older)).mean() + _bits(np.log(younger)).mean()) / 2)


def least_ratio_cost(younger: FloatArray, older: FloatArray) -> float:
    """Give the cost that is left when the ratios are calibrated as well as their order allows, by the true answers.

    The best rising step function of the ratios is found by pool adjacent violators.

    Args:
        younger: As in `ratio_cost`.
        older: As in `ratio_cost`.

    Source: Brummer and du Preez 2006, doi:10.1016/j.csl.2005.08.001 (minimum Cllr).
    """
    if not len(younger) or not len(older):
        return float("nan")
    # Places in their order, so that ratios of 0 and infinity count too; equal ratios keep equal.
    _, places = np.unique(np.concatenate([younger, older]), return_inverse=True)
    is_older = np.repeat([0.0, 1.0], [len(younger), len(older)])
    # Each side counts as much as the other, so that the odds are the ratio.
    weights = np.repeat([1 / len(younger), 1 / len(older)], [len(younger), len(older)])
    order = places.astype(np.float64)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(order, is_older, sample_weight=weights).predict(order)
    with np.errstate(divide="ignore"):
        ratios = fitted / (1 - fitted)
    return ratio_cost(ratios[: len(younger)], ratios[len(younger) :])


def _bits(log_ratios: FloatArray) -> FloatArray:
    """Give log2(1 + ratio), also where the ratio itself is too large a number."""
    return np.asarray(np.logaddexp(0.0, log_ratios) / np.log(2))


def _bootstrapped_cost(younger: FloatArray, older: FloatArray, resampling: Resampling) -> Bootstrapped:
    """Give the cost with its interval; all subjects are drawn together."""
    ratios = np.concatenate([younger, older])
    is_older = np.repeat([False, True], [len(younger), len(older)])

    def cost(drawn: IntArray) -> float:
        """Give the cost of some of them."""
        return ratio_cost(ratios[drawn][~is_older[drawn]], ratios[drawn][is_older[drawn]])

    return bootstrap_places(len(ratios), cost, resampling)


def _share(misled: BoolArray) -> Proportion:
    """Give a share with its Wilson interval."""
    return proportion(int(np.count_nonzero(misled)), len(misled))
