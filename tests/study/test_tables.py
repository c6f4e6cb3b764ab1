from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kneeage.study.metrics import Measure, cells
from kneeage.study.predictions import Group, subject_level
from kneeage.study.results import StudyResults
from kneeage.study.table2 import table2
from kneeage.study.tables import Table, lettered_panels, panel_letter, study_tables, write_table
from tests.study import tables
from tests.study.results import of_predictions, small


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return small()


@pytest.fixture(scope="module")
def made(study: StudyResults) -> dict[str, Table]:
    return {table.name: table for table in study_tables(study)}


def _records(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_every_table_is_there(made: dict[str, Table]) -> None:
    assert set(made) == {
        *("table1", "table2_subjects", "table2_slices", "cells", "confusion", "levels", "thresholds", "sites"),
        *("differences", "equivalence", "calibration", "roc_areas", "dice", "ceiling", "audit"),
    }


def test_what_nothing_is_known_of_has_no_table() -> None:
    names = {table.name for table in study_tables(small(dice=(), ceilings=(), audit=()))}
    assert not names & {"dice", "ceiling", "audit"}


def test_a_table_of_subjects_has_none_of_slices() -> None:
    results = of_predictions(tables.study(54, 27, folds=2))
    names = {table.name for table in study_tables(results)}
    assert "table2_slices" not in names


def test_table_1_counts_every_group(made: dict[str, Table]) -> None:
    assert made["table1"].columns == ("completed_years", "training", "validation", "external")
    assert ("14", "3", "3", "3") in made["table1"].rows


def test_table_2_is_of_subjects(made: dict[str, Table], study: StudyResults) -> None:
    recall = next(row for row in _records(made["table2_subjects"]) if row["measure"] == "recall")
    models = subject_level(study.predictions)
    made_again = table2(cells(models, Group.EXTERNAL), cells(models, Group.INTERNAL))
    expected = next(row for row in made_again if row.measure is Measure.RECALL)
    assert recall["external_mean"] == expected.first.mean
    assert recall["internal_sd"] == expected.second.sd


@pytest.mark.parametrize(("measure", "row"), [("sensitivity", "specificity"), ("specificity", "sensitivity")])
def test_table_2_names_the_swapped_rows_of_the_paper(made: dict[str, Table], measure: str, row: str) -> None:
    found = next(each for each in _records(made["table2_slices"]) if each["measure"] == measure)
    assert found["row_in_the_paper"] == f"{row} (swapped)"


def test_the_paper_s_specificity_is_the_row_it_calls_sensitivity(made: dict[str, Table]) -> None:
    found = next(each for each in _records(made["table2_slices"]) if each["measure"] == "specificity")
    assert (found["paper_external_mean"], found["paper_internal_mean"]) == (0.97442, 0.97729)


def test_cells_are_of_every_level_group_fold_and_class(made: dict[str, Table]) -> None:
    assert len(made["cells"].rows) == 2 * 2 * 2 * 9


def test_cells_are_those_of_table_2(made: dict[str, Table], study: StudyResults) -> None:
    expected = cells(study.predictions, Group.EXTERNAL)[Measure.PRECISION]
    found = [
        row["precision"] for row in _records(made["cells"]) if (row["rows_are"], row["group"]) == ("slices", "external")
    ]
    np.testing.assert_array_equal(found, expected.ravel())


def test_cells_count_their_rows(made: dict[str, Table], study: StudyResults) -> None:
    assert sum(row["rows"] for row in _records(made["cells"]) if row["rows_are"] == "slices") == len(study.predictions)


def test_confusion_counts_every_subject(made: dict[str, Table]) -> None:
    rows = _records(made["confusion"])
    counts = {
        group: sum(row["subjects"] for row in rows if row["group"] == group) for group in ("internal", "external")
    }
    assert counts == {"internal": 54, "external": 27}


def test_confusion_shares_are_of_the_true_class(made: dict[str, Table]) -> None:
    for row in _records(made["confusion"]):
        assert sum(row[f"share_called_{age}"] for age in tables.CLASSES) == pytest.approx(1)


def test_a_true_class_without_subjects_has_no_shares() -> None:
    predictions = tables.study(54, 27, folds=2)
    results = of_predictions(predictions.take(predictions.true_class != 3))
    rows = _records(next(table for table in study_tables(results) if table.name == "confusion"))
    assert [row["share_called_10"] for row in rows if row["true_age_years"] == 13] == [None, None]


def test_levels_stand_beside_each_other(made: dict[str, Table]) -> None:
    rows = [(row["group"], row["rows_are"], row["rows"]) for row in _records(made["levels"])]
    assert rows == [
        *[("internal", "slices", 108), ("internal", "models", 54), ("internal", "votes", 54)],
        *[("external", "slices", 108), ("external", "models", 54), ("external", "votes", 27)],
    ]


def test_slices_have_no_interval(made: dict[str, Table]) -> None:
    row = _records(made["levels"])[0]
    assert row["accuracy"] is not None
    assert row["accuracy_low"] is None


def test_false_adults_are_the_rest_of_specificity(made: dict[str, Table]) -> None:
    for row in _records(made["thresholds"]):
        assert row["false_adult_value"] + row["specificity_value"] == pytest.approx(1)
        assert row["false_minor_count"] + row["sensitivity_count"] == row["sensitivity_of"]


def test_thresholds_are_of_subjects_not_of_votes_of_models(made: dict[str, Table]) -> None:
    for row in _records(made["thresholds"]):
        subjects = {"internal": 54, "external": 27}[row["group"]]
        assert row["sensitivity_of"] + row["specificity_of"] == subjects


def test_the_margin_stands_beside_the_verdict(made: dict[str, Table]) -> None:
    (row,) = _records(made["equivalence"])
    assert row["margin"] == 0.1
    assert row["level"] == pytest.approx(0.9)
    assert row["equivalent"] in {"yes", "not shown"}


def test_the_ceiling_s_share_is_what_was_reached(made: dict[str, Table]) -> None:
    rows = [row for row in _records(made["ceiling"]) if row["measure"] == "accuracy"]
    assert all(row["share_of_best"] == pytest.approx(row["reached"] / row["best"]) for row in rows)


def test_the_share_of_accuracy_alone_has_an_interval(made: dict[str, Table]) -> None:
    for row in _records(made["ceiling"]):
        assert (row["share_low"] is not None) is (row["measure"] == "accuracy")


def test_the_ceiling_of_an_error_is_divided_the_other_way(made: dict[str, Table]) -> None:
    rows = [row for row in _records(made["ceiling"]) if row["measure"] == "mean_absolute_error_years"]
    assert all(row["share_of_best"] == pytest.approx(row["best"] / row["reached"]) for row in rows)


def test_calibration_bins_hold_every_subject(made: dict[str, Table]) -> None:
    rows = [row for row in _records(made["calibration"]) if row["probability_of"] == "14 years or more"]
    assert sum(row["of"] for row in rows) == 54 + 27


def test_panels_are_lettered_by_the_folds_that_are_planned() -> None:
    letters = {(panel.group, panel.fold): panel.letter for panel in lettered_panels(small(folds=5))}
    assert letters[Group.INTERNAL, 1] == "B"
    assert letters[Group.EXTERNAL, 0] == "F"


def test_letters_end_in_numbers() -> None:
    assert [panel_letter(place) for place in (0, 25, 26)] == ["A", "Z", "27"]


def test_no_subject_is_named(made: dict[str, Table], study: StudyResults) -> None:
    subjects = set(study.predictions.subject_id)
    named = {cell for table in made.values() for row in table.rows for cell in row if isinstance(cell, str)}
    assert not named & subjects


def test_what_is_not_defined_is_empty(tmp_path: Path) -> None:
    write_table(tmp_path, Table("t", ("a", "b", "c", "d"), ((None, float("nan"), 1, 1 / 3),)))
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a,b,c,d\n,,1,0.333333\n"


def test_tables_are_read_back_as_they_were(tmp_path: Path, made: dict[str, Table]) -> None:
    for table in made.values():
        write_table(tmp_path, table)
        with (tmp_path / f"{table.name}.csv").open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        assert tuple(header) == table.columns
        assert len(rows) == len(table.rows)
        assert {len(row) for row in rows} == {len(header)}


def test_sites_are_apart(study: StudyResults) -> None:
    site = np.where(study.predictions.true_class > 4, "old", "young")
    results = of_predictions(replace(study.predictions, site=site))
    rows = _records(next(table for table in study_tables(results) if table.name == "sites"))
    assert [(row["group"], row["site"]) for row in rows] == [
        *[("internal", "old"), ("internal", "young"), ("external", "old"), ("external", "young")]
    ]
