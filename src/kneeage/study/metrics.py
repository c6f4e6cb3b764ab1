"""What a prediction table is worth: rates per class, as the paper counts them, and what the paper lacks.

A share without a denominator is NaN and is left out of every mean. Precision of a class that has subjects and is never
called is 0, not undefined: a model must not gain by never calling a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from kneeage.study.predictions import FloatArray, Group, IntArray, Predictions


class Measure(str, Enum):
    """What is measured of one class in one fold.

    ``PUBLISHED_ACCURACY`` is the diagonal of the row-normalised confusion matrix, that is recall; one class against the
    rest, accuracy counts the right negatives too.

    Source: Gao et al., Table 2: the rows of accuracy and recall agree in all digits.
    """

    PUBLISHED_ACCURACY = "published_accuracy"
    ONE_VS_REST_ACCURACY = "one_vs_rest_accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


@dataclass(frozen=True)
class Overall:
    """Numbers over all rows of a table; each row counts once.

    Args:
        rows: Subjects, or slices.
        accuracy: Share whose most probable class is the true one.
        macro_recall: Mean over the classes of that share.
        within_one_year: Share whose most probable class is the true one or its neighbour.
        mean_absolute_error_years: Of the estimated from the chronological age.
        root_mean_square_error_years: Of the same.
        mean_error_years: Estimated less chronological age; above 0: called too old.
    """

    rows: int
    accuracy: float
    macro_recall: float
    within_one_year: float
    mean_absolute_error_years: float
    root_mean_square_error_years: float
    mean_error_years: float


def confusion(predictions: Predictions) -> IntArray:
    """Count true against most probable classes.

    Returns:
        Shape (c, c): rows are true classes, columns called ones.
    """
    places = np.arange(len(predictions.classes))
    counts = confusion_matrix(predictions.true_class, predictions.called_class, labels=places)
    return np.asarray(counts, dtype=np.intp)


def class_rates(counts: IntArray) -> dict[Measure, FloatArray]:
    """Measure every class of a confusion matrix.

    Args:
        counts: Shape (c, c): rows are true classes.

    Returns:
        Of every measure an array of shape (c,), from 0 to 1; NaN where it is not defined.
    """
    total, hits = counts.sum(), np.diagonal(counts)
    true, called = counts.sum(axis=1), counts.sum(axis=0)
    right_negatives = total - true - called + hits
    recall = _share(hits, true)
    precision = np.where((called == 0) & (true > 0), 0.0, _share(hits, called))
    return {
        Measure.PUBLISHED_ACCURACY: recall,
        Measure.ONE_VS_REST_ACCURACY: _share(hits + right_negatives, np.full_like(true, total)),
        Measure.PRECISION: precision,
        Measure.RECALL: recall,
        Measure.SENSITIVITY: recall,
        Measure.SPECIFICITY: _share(right_negatives, total - true),
    }


def cells(predictions: Predictions, group: Group) -> dict[Measure, FloatArray]:
    """Measure every class in every fold, as in the paper: nine classes and five folds are 45 values.

    Args:
        predictions: Of all folds, slice-level or subject-level.
        group: Whose values.

    Returns:
        Of every measure an array of shape (folds, c).
    """
    return cells_of(list(fold_confusions(predictions, group).values()))


def fold_confusions(predictions: Predictions, group: Group) -> dict[int, IntArray]:
    """Count true against most probable classes in every fold.

    Returns:
        By fold, see `confusion`.
    """
    own = predictions.of_group(group)
    return {fold: confusion(own.of_fold(fold)) for fold in own.folds}


def cells_of(confusions: Sequence[IntArray]) -> dict[Measure, FloatArray]:
    """Measure every class in every fold, from the folds' confusion matrices.

    Args:
        confusions: One per fold, shape (c, c) each: rows are true classes.

    Returns:
        Of every measure an array of shape (folds, c).
    """
    by_fold = [class_rates(counts) for counts in confusions]
    return {measure: np.array([rates[measure] for rates in by_fold]) for measure in Measure}


def accuracy(predictions: Predictions) -> float:
    """Give the share of rows whose most probable class is the true one."""
    return _mean(predictions.called_class == predictions.true_class)


def macro_recall(predictions: Predictions) -> float:
    """Give the mean over the classes of the share of rows told right; classes without rows are left out."""
    true = predictions.true_class
    counts = np.bincount(true, minlength=len(predictions.classes))
    hits = np.bincount(true[predictions.called_class == true], minlength=len(counts))
    return _mean(hits[counts > 0] / counts[counts > 0])


def within_one_year(predictions: Predictions) -> float:
    """Give the share of rows whose most probable class is the true one or its neighbour."""
    return _mean(np.abs(predictions.called_class - predictions.true_class) <= 1)


def estimated_age_years(predictions: Predictions) -> FloatArray:
    """Estimate decimal ages: the median of the age, which is spread evenly within each class.

    The median is the estimate whose absolute error is the least to be expected.

    Returns:
        Shape (n,).
    """
    reached = np.cumsum(predictions.probability, axis=1)
    reached /= reached[:, -1:]
    rows, place = np.arange(len(predictions)), (reached >= 0.5).argmax(axis=1)
    upper = reached[rows, place]
    lower = np.where(place > 0, reached[rows, place - 1], 0.0)
    return np.asarray(predictions.classes[0] + place + (0.5 - lower) / (upper - lower), dtype=np.float64)


def age_errors_years(predictions: Predictions) -> FloatArray:
    """Give estimated less chronological ages, shape (n,)."""
    return estimated_age_years(predictions) - predictions.chronological_age_years


def mean_absolute_error_years(predictions: Predictions) -> float:
    """Give the mean distance of the estimated from the chronological age."""
    return _mean(np.abs(age_errors_years(predictions)))


def root_mean_square_error_years(predictions: Predictions) -> float:
    """Give the root of the mean squared distance of the estimated from the chronological age."""
    return float(np.sqrt(_mean(age_errors_years(predictions) ** 2)))


def overall(predictions: Predictions) -> Overall:
    """Give the numbers over all rows.

    Args:
        predictions: Of one group. ``one_vote`` of it makes every subject count once.
    """
    return Overall(
        rows=len(predictions),
        accuracy=accuracy(predictions),
        macro_recall=macro_recall(predictions),
        within_one_year=within_one_year(predictions),
        mean_absolute_error_years=mean_absolute_error_years(predictions),
        root_mean_square_error_years=root_mean_square_error_years(predictions),
        mean_error_years=_mean(age_errors_years(predictions)),
    )


def pooled(parts: Sequence[Overall], confusions: Sequence[IntArray]) -> Overall:
    """Put the numbers of folds together, as `overall` of all their rows would find them.

    Args:
        parts: Of every fold.
        confusions: Of the same folds and rows.
    """
    counts = np.sum(confusions, axis=0)
    true, rows = counts.sum(axis=1), int(counts.sum())
    apart = np.abs(np.subtract.outer(np.arange(len(counts)), np.arange(len(counts))))

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=[part.rows for part in parts]))

    return Overall(
        rows=rows,
        accuracy=float(np.trace(counts) / rows),
        macro_recall=_mean(np.diagonal(counts)[true > 0] / true[true > 0]),
        within_one_year=float(counts[apart <= 1].sum() / rows),
        mean_absolute_error_years=mean([part.mean_absolute_error_years for part in parts]),
        root_mean_square_error_years=mean([part.root_mean_square_error_years**2 for part in parts]) ** 0.5,
        mean_error_years=mean([part.mean_error_years for part in parts]),
    )


def _share(part: IntArray, whole: IntArray) -> FloatArray:
    """Divide counts, shape (c,); NaN where there is nothing to divide by."""
    unknown = np.full(len(part), np.nan)
    return np.asarray(np.divide(part, whole, out=unknown, where=whole > 0), dtype=np.float64)


def _mean(values: FloatArray | NDArray[np.bool_]) -> float:
    """Give a mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
