"""Metrics against loops over rows, and against scikit-learn's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from kneeage.study.metrics import (
    Measure,
    accuracy,
    cells,
    class_rates,
    confusion,
    estimated_age_years,
    fold_confusions,
    macro_recall,
    mean_absolute_error_years,
    overall,
    pooled,
    root_mean_square_error_years,
    within_one_year,
)
from kneeage.study.predictions import Group, Predictions
from tests.study.tables import CLASSES, certain, row, study


def calls(*pairs: tuple[int, int]) -> Predictions:
    """A table of certain models; true and called class of each subject."""
    rows = [
        row(subject_id=f"s{place}", chronological_age_years=true + 0.5, probability=certain(called))
        for place, (true, called) in enumerate(pairs)
    ]
    return Predictions.of(CLASSES, rows)


def test_confusion_counts_true_classes_in_rows() -> None:
    counts = confusion(calls((10, 10), (10, 11), (18, 10)))
    assert (counts[0, 0], counts[0, 1], counts[8, 0], counts.sum()) == (1, 1, 1, 3)


def test_rates_are_those_counted_row_by_row() -> None:
    table = study()
    true, called = table.true_class, table.called_class
    rates = class_rates(confusion(table))
    for place in range(len(CLASSES)):
        right = sum(t == place and c == place for t, c in zip(true, called, strict=True))
        missed = sum(t == place and c != place for t, c in zip(true, called, strict=True))
        wrong = sum(t != place and c == place for t, c in zip(true, called, strict=True))
        rest = len(table) - right - missed - wrong
        expected = {
            Measure.PUBLISHED_ACCURACY: right / (right + missed),
            Measure.ONE_VS_REST_ACCURACY: (right + rest) / len(table),
            Measure.PRECISION: right / (right + wrong),
            Measure.RECALL: right / (right + missed),
            Measure.SENSITIVITY: right / (right + missed),
            Measure.SPECIFICITY: rest / (rest + wrong),
        }
        assert {measure: rates[measure][place] for measure in Measure} == pytest.approx(expected, abs=1e-12)


def test_rates_are_scikit_learn_s() -> None:
    table = study()
    rates = class_rates(confusion(table))
    precision, recall, _, _ = reference.precision_recall_fscore_support(table.true_class, table.called_class)
    np.testing.assert_allclose(rates[Measure.PRECISION], precision, atol=1e-12)
    np.testing.assert_allclose(rates[Measure.RECALL], recall, atol=1e-12)
    assert macro_recall(table) == pytest.approx(reference.balanced_accuracy_score(table.true_class, table.called_class))


def test_forty_five_values_per_group() -> None:
    found = cells(study(450, 90), Group.EXTERNAL)
    assert {values.shape for values in found.values()} == {(5, 9)}
    third = study(450, 90).of_group(Group.EXTERNAL).of_fold(2)
    np.testing.assert_array_equal(found[Measure.RECALL][2], class_rates(confusion(third))[Measure.RECALL])


def test_a_class_without_subjects_has_no_recall() -> None:
    rates = class_rates(confusion(calls((10, 10), (11, 12))))
    assert np.isnan(rates[Measure.RECALL][2:]).all()
    assert rates[Measure.RECALL][:2].tolist() == [1, 0]


def test_a_class_that_is_never_called_has_precision_0_if_it_has_subjects() -> None:
    precision = class_rates(confusion(calls((10, 10), (11, 12))))[Measure.PRECISION]
    assert precision[:3].tolist() == [1, 0, 0]
    assert math.isnan(precision[3])


def test_specificity_of_the_only_class_is_not_defined() -> None:
    specificity = class_rates(confusion(calls((10, 10), (10, 11))))[Measure.SPECIFICITY]
    assert math.isnan(specificity[0])
    assert specificity[1:3].tolist() == [0.5, 1]


def test_accuracies_by_hand() -> None:
    table = calls((10, 10), (10, 11), (10, 12), (12, 12))
    assert accuracy(table) == 0.5
    assert within_one_year(table) == 0.75
    assert macro_recall(table) == pytest.approx((1 / 3 + 1) / 2)


def test_the_estimated_age_is_the_median_within_its_class() -> None:
    spread = (0.2, 0.6, 0.2, *(0.0,) * 6)
    tables = [certain(14), certain(10), certain(18), spread, (0.5, 0.0, 0.5, *(0.0,) * 6)]
    rows = [row(subject_id=f"s{place}", probability=each) for place, each in enumerate(tables)]
    ages = estimated_age_years(Predictions.of(CLASSES, rows))
    assert ages.tolist() == pytest.approx([14.5, 10.5, 18.5, 11.5, 11.0])


def test_the_estimated_age_halves_the_probability() -> None:
    table = study()
    for age, chances in zip(estimated_age_years(table), table.probability, strict=True):
        below = sum(p * min(max(age - year, 0.0), 1.0) for year, p in zip(CLASSES, chances, strict=True))
        assert below == pytest.approx(0.5, abs=1e-9)


def test_errors_are_scikit_learn_s() -> None:
    table = study()
    true, estimated = table.chronological_age_years, estimated_age_years(table)
    assert mean_absolute_error_years(table) == pytest.approx(reference.mean_absolute_error(true, estimated))
    assert root_mean_square_error_years(table) == pytest.approx(
        math.sqrt(reference.mean_squared_error(true, estimated))
    )


def test_overall_gathers_the_numbers() -> None:
    found = overall(calls((10, 10), (12, 13)))
    assert (found.rows, found.accuracy, found.within_one_year) == (2, 0.5, 1.0)
    assert (found.mean_absolute_error_years, found.mean_error_years) == (0.5, 0.5)
    assert found.root_mean_square_error_years == pytest.approx(math.sqrt(0.5))


def test_nothing_measured_is_nan() -> None:
    empty = study().take(np.zeros(315, dtype=bool))
    assert math.isnan(accuracy(empty))
    assert math.isnan(macro_recall(empty))


@pytest.mark.parametrize("group", list(Group))
def test_the_numbers_of_folds_pool_to_those_of_all_their_rows(group: Group) -> None:
    table = study(50, 20, folds=3, slices=2)
    own = table.of_group(group)
    parts = [overall(own.of_fold(fold)) for fold in own.folds]
    found = pooled(parts, list(fold_confusions(table, group).values()))
    assert vars(found) == pytest.approx(vars(overall(own)))
