"""Table 2: which values, which group first, and what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kneeage.study.metrics import Measure, cells
from kneeage.study.predictions import Group, Predictions
from kneeage.study.table2 import Table2Row, table2
from tests.study.tables import study


def rows_of(table: Predictions) -> dict[Measure, Table2Row]:
    """Table 2 by measure."""
    return {row.measure: row for row in table2(cells(table, Group.EXTERNAL), cells(table, Group.INTERNAL))}


def test_every_row_compares_45_values_with_45_the_external_group_first() -> None:
    table = study(450, 90)
    rows = rows_of(table)
    assert list(rows) == list(Measure)
    for row in rows.values():
        external = cells(table, Group.EXTERNAL)[row.measure].ravel()
        internal = cells(table, Group.INTERNAL)[row.measure].ravel()
        assert row.values == (45, 45)
        assert row.first.mean == pytest.approx(np.mean(external))
        assert row.second.sd == pytest.approx(np.std(internal, ddof=1))
        reference = stats.ttest_ind(external, internal)
        assert row.comparison is not None
        assert row.comparison.t is not None
        assert (row.comparison.t.statistic, row.comparison.t.p_value) == pytest.approx(tuple(reference))


def test_slices_and_subjects_have_tables_of_their_own() -> None:
    assert {row.values for row in rows_of(study(90, 45, slices=2)).values()} == {(45, 45)}


def test_classes_without_subjects_are_left_out_and_counted() -> None:
    table = study(450, 90)
    recall = rows_of(table.take((table.true_class > 0) | (table.fold > 0)))[Measure.RECALL]
    assert (recall.values, recall.first.n, recall.second.n) == ((45, 45), 44, 44)


def test_a_perfect_model_has_a_table_without_tests() -> None:
    table = study(450, 90, sharpness=300, seed=1)
    recall = rows_of(table.take(table.called_class == table.true_class))[Measure.RECALL]
    assert (recall.first.mean, recall.second.mean, recall.second.sd) == (1.0, 1.0, 0.0)
    assert recall.comparison is not None
    assert recall.comparison.t is None


def test_a_single_value_has_a_mean_and_nothing_else() -> None:
    table = study(9, 9, folds=1)
    recall = rows_of(table.take((table.true_class == 4) | (table.group == "external")))[Measure.RECALL]
    assert (recall.first.n, recall.second.n) == (9, 1)
    assert recall.second.mean in {0.0, 1.0}
    assert math.isnan(recall.second.sd)
    assert recall.comparison is None


def test_a_group_without_values_has_no_mean() -> None:
    nothing = {measure: np.full((1, 9), np.nan) for measure in Measure}
    (row, *_) = table2(nothing, cells(study(), Group.INTERNAL))
    assert math.isnan(row.first.mean)
    assert (row.first.n, row.second.n, row.comparison) == (0, 45, None)
