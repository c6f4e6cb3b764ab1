"""How well a study's models tell who is past a legal age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kneeage.core.errors import InputRefusedError
from kneeage.study.intervals import LEVEL, Proportion, proportion
from kneeage.study.predictions import FloatArray, Predictions

# Ages at which criminal responsibility changes in Chinese law. Source: Gao et al., introduction.
THRESHOLDS_YEARS = (12, 14, 16, 18)
# A subject is called older when it is more probable than not.
CALLED_FROM = 0.5


@dataclass(frozen=True)
class ThresholdNumbers:
    """Numbers at one age threshold.

    Args:
        age_years: The threshold.
        auc: Area under the ROC curve of the probability to be older; NaN where one side has no subject.
        sensitivity: Share of those past the threshold who are called so.
        specificity: Share of those below it who are called so.
        false_adult: Share of those below it who are called older.
        false_minor: Share of those past it who are called younger.
    """

    age_years: int
    auc: float
    sensitivity: Proportion
    specificity: Proportion
    false_adult: Proportion
    false_minor: Proportion


def threshold_numbers(
    predictions: Predictions, age_years: int, *, called_from: float = CALLED_FROM, level: float = LEVEL
) -> ThresholdNumbers:
    """Give the numbers at one threshold.

    Args:
        predictions: One row per subject, as ``one_vote`` gives them.
        age_years: The threshold, above the youngest class.
        called_from: Probability to be older from which a subject is called so; a cautious reader takes more.
        level: Level of the Wilson intervals.

    Raises:
        InputRefusedError: A subject has more than one row, so that intervals over rows would be too narrow; or there is
            no class on one side of the threshold.
    """
    if len(predictions) > predictions.subjects:
        found = f"{len(predictions)} rows of {predictions.subjects} subjects"
        raise InputRefusedError(f"intervals need one row per subject; found {found}; average them with one_vote first")
    older = is_older(predictions, age_years)
    called = at_least(predictions, age_years) >= called_from
    return ThresholdNumbers(
        age_years=age_years,
        auc=threshold_auc(predictions, age_years),
        sensitivity=_share(called[older], level),
        specificity=_share(~called[~older], level),
        false_adult=_share(called[~older], level),
        false_minor=_share(~called[older], level),
    )


def at_least(predictions: Predictions, age_years: int) -> FloatArray:
    """Give the probabilities to be past a threshold, shape (n,).

    Raises:
        InputRefusedError: There is no class on one side of it.
    """
    first, last = predictions.classes[0], predictions.classes[-1]
    if not first < age_years <= last:
        raise InputRefusedError(f"a threshold must lie between the classes {first} to {last}; found {age_years}")
    total = predictions.probability.sum(axis=1)
    older = predictions.probability[:, age_years - first :].sum(axis=1)
    return np.asarray(older / total, dtype=np.float64)


def is_older(predictions: Predictions, age_years: int) -> NDArray[np.bool_]:
    """Say who is past a threshold, shape (n,)."""
    return predictions.chronological_age_years >= age_years


def threshold_auc(predictions: Predictions, age_years: int) -> float:
    """Give the area under the ROC curve of the probability to be past a threshold; every row counts once.

    Returns:
        From 0 to 1; NaN where one side of the threshold has no subject.

    Raises:
        InputRefusedError: There is no class on one side of it.
    """
    chance, older = at_least(predictions, age_years), is_older(predictions, age_years)
    if older.all() or not older.any():
        return float("nan")
    return float(roc_auc_score(older, chance))


def _share(having: NDArray[np.bool_], level: float) -> Proportion:
    """Give the share of those who have a property."""
    return proportion(int(np.count_nonzero(having)), len(having), level)
