"""Table 2: which values, which group first, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kneeage.core.errors import InputRefusedError
from kneeage.study.metrics import Measure, cells
from kneeage.study.predictions import Group
from kneeage.study.table2 import table2
from tests.study.tables import study


def test_every_row_compares_45_values_with_45_the_external_group_first() -> None:
    table = study(450, 90)
    rows = table2(table)
    assert [row.measure for row in rows] == list(Measure)
    for row in rows:
        external = cells(table, Group.EXTERNAL)[row.measure].ravel()
        internal = cells(table, Group.INTERNAL)[row.measure].ravel()
        assert row.values == (45, 45)
        assert row.comparison.first.mean == pytest.approx(np.mean(external))
        assert row.comparison.second.sd == pytest.approx(np.std(internal, ddof=1))
        reference = stats.ttest_ind(external, internal)
        assert row.comparison.t is not None
        assert (row.comparison.t.statistic, row.comparison.t.p_value) == pytest.approx(tuple(reference))


def test_slices_and_subjects_have_tables_of_their_own() -> None:
    by_slice = table2(study(90, 45, slices=2))
    assert {row.values for row in by_slice} == {(45, 45)}


def test_classes_without_subjects_are_left_out_and_counted() -> None:
    table = study(450, 90)
    rows = {row.measure: row for row in table2(table.take((table.true_class > 0) | (table.fold > 0)))}
    recall = rows[Measure.RECALL]
    assert (recall.values, recall.comparison.first.n, recall.comparison.second.n) == ((45, 45), 44, 44)


def test_a_perfect_model_has_a_table_without_tests() -> None:
    rows = table2(
        study(450, 90, sharpness=300, seed=1).take(np.flatnonzero(_right(study(450, 90, sharpness=300, seed=1))))
    )
    assert {row.comparison.second.mean for row in rows if row.measure is Measure.RECALL} == {1.0}
    assert {row.comparison.t for row in rows} == {None}


def _right(table: object) -> np.ndarray:
    """Rows that are told right."""
    return table.called_class == table.true_class  # type: ignore[attr-defined]


def test_a_group_that_is_missing_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="2 values or more; found 0"):
        table2(study().of_group(Group.INTERNAL))
