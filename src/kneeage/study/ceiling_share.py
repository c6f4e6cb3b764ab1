"""How much of what is possible was reached, on a virtual cohort, where the best reader is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kneeage.phantom.cohort.ceiling import Ceiling
from kneeage.study.metrics import Overall
from kneeage.study.predictions import Predictions
from kneeage.study.resampling import RESAMPLING, Bootstrapped, Resampling, bootstrap_ratio


@dataclass(frozen=True)
class CeilingShares:
    """Parts of a ceiling; 1 is all that the best reader does, above 1 is luck of the sample.

    Args:
        accuracy: Share of the best exact-year accuracy.
        macro_recall: Share of the best macro recall.
        within_one_year: Share of the best within-one-year accuracy. The best reader calls the year that is the most
            probable together with its neighbours, the model the most probable one.
        mean_absolute_error: The least mean absolute error over the model's: here too 1 is the best.
    """

    accuracy: float
    macro_recall: float
    within_one_year: float
    mean_absolute_error: float


def ceiling_shares(reached: Overall, ceiling: Ceiling) -> CeilingShares:
    """Divide a model's numbers by the best reader's.

    Args:
        reached: One vote per subject.
        ceiling: Of the same subjects, as ``kneeage.phantom.cohort.ceiling.score`` finds it.
    """
    return CeilingShares(
        accuracy=_share(reached.accuracy, ceiling.exact_year.value),
        macro_recall=_share(reached.macro_recall, ceiling.macro_recall.value),
        within_one_year=_share(reached.within_one_year, ceiling.within_one_year.value),
        mean_absolute_error=_share(ceiling.mean_absolute_error_years.value, reached.mean_absolute_error_years),
    )


def accuracy_share(votes: Predictions, told: Mapping[str, int], resampling: Resampling = RESAMPLING) -> Bootstrapped:
    """Give the share of the best reader's accuracy that was reached, with its interval over subjects.

    Args:
        votes: One row per subject.
        told: Completed years that the best reader calls of these subjects. Model and reader are judged on the same
            drawn subjects, so that who is hard for both widens nothing.
        resampling: How it is done.
    """
    years = np.array([told[str(subject)] for subject in votes.subject_id])
    best = years - votes.classes[0] == votes.true_class
    return bootstrap_ratio(votes.called_class == votes.true_class, best, resampling)


def _share(part: float, whole: float) -> float:
    """Divide; NaN where there is nothing to divide by."""
    return part / whole if whole else math.nan
