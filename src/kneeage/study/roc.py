"""ROC curves of one age class against the rest, and the ten panels of the paper's figure."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from sklearn.metrics import auc, roc_curve

from kneeage.study.predictions import FloatArray, Group, Predictions


@dataclass(frozen=True, eq=False)
class RocCurve:
    """A ROC curve.

    Args:
        false_positive_rate: Shape (p,), rising from 0 to 1.
        true_positive_rate: Shape (p,), rising from 0 to 1.
        area: Area under it.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    area: float


@dataclass(frozen=True, eq=False)
class RocPanel:
    """One panel of the figure.

    Args:
        letter: A, B and so on; empty where there are more than 26 panels.
        group: Whose subjects.
        fold: Whose model.
        curves: By age class; a class without a subject, or with all of them, has none.
        macro: Mean of the curves; None where there is none.
    """

    letter: str
    group: Group
    fold: int
    curves: dict[int, RocCurve]
    macro: RocCurve | None


def roc_curves(predictions: Predictions) -> dict[int, RocCurve]:
    """Give the ROC curve of every age class against the rest.

    Args:
        predictions: Of one group and one fold, slice-level or subject-level.

    Returns:
        By age class; a class without rows, or with all of them, has no curve and is left out.
    """
    found: dict[int, RocCurve] = {}
    for place, age_class in enumerate(predictions.classes):
        positive = predictions.true_class == place
        if positive.any() and not positive.all():
            false_rate, true_rate, _ = roc_curve(positive, predictions.probability[:, place])
            found[age_class] = RocCurve(false_rate, true_rate, float(auc(false_rate, true_rate)))
    return found


def macro_average(curves: dict[int, RocCurve]) -> RocCurve | None:
    """Average curves over all their false positive rates; its area is the mean of theirs.

    Where a curve climbs straight up, both ends of the climb are averaged.
    """
    if not curves:
        return None
    rates = np.unique(np.concatenate([curve.false_positive_rate for curve in curves.values()]))
    below, above = np.mean([_ends(curve, rates) for curve in curves.values()], axis=0)
    false_rate = np.concatenate([[0.0], np.repeat(rates, 2)])
    true_rate = np.concatenate([[0.0], np.stack([below, above], axis=1).ravel()])
    return RocCurve(false_rate, true_rate, float(auc(false_rate, true_rate)))


def roc_panels(predictions: Predictions) -> tuple[RocPanel, ...]:
    """Make the panels of the paper's figure: every fold's internal rows, then every fold's external rows.

    Args:
        predictions: Of both groups and all folds, slice-level or subject-level; with five folds panels A to E are
            internal and F to J external.

    Source: Gao et al., figure of ten ROC panels.
    """
    places = [(group, fold) for group in Group for fold in predictions.of_group(group).folds]
    letters = ascii_uppercase if len(places) <= len(ascii_uppercase) else [""] * len(places)
    return tuple(
        _panel(predictions.of_group(group).of_fold(fold), letter, group, fold)
        for letter, (group, fold) in zip(letters, places, strict=False)
    )


def _panel(predictions: Predictions, letter: str, group: Group, fold: int) -> RocPanel:
    """Make one panel."""
    curves = roc_curves(predictions)
    return RocPanel(letter, group, fold, curves, macro_average(curves))


def _ends(curve: RocCurve, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the lowest and the highest true positive rate at false positive rates, shapes (r,).

    Of places that occur twice, ``numpy.interp`` takes the last; read backwards, the first.
    """
    false_rate, true_rate = curve.false_positive_rate, curve.true_positive_rate
    below = np.interp(-rates, -false_rate[::-1], true_rate[::-1])
    return below, np.interp(rates, false_rate, true_rate)
