from __future__ import annotations

import pytest

from kneeage.study.predictions import Group
from kneeage.study.results import PlateDice
from kneeage.study.views import decimals, flat, metric, p_value, percent, study_views, used
from tests.study import tables
from tests.study.results import of_predictions, small


@pytest.mark.parametrize(("value", "text"), [(0.0661, ".066"), (0.9999, "1.000"), (1.0, "1.000"), (0.0004, "< .001")])
def test_p_is_written_as_in_papers(value: float, text: str) -> None:
    assert p_value(value) == text


def test_shares_are_in_percent() -> None:
    assert percent(0.85713) == "85.7"


def test_what_is_not_defined_is_a_dash() -> None:
    assert (percent(float("nan")), decimals(float("nan"))) == ("–", "–")


def test_what_is_rounded_to_zero_has_no_sign() -> None:
    assert (decimals(-0.004), decimals(-0.006)) == ("0.00", "−0.01")
    assert (metric("accuracy", 0.0004, signed=True), metric("accuracy", -0.0004, signed=True)) == ("0.0", "0.0")


def test_a_difference_has_its_sign() -> None:
    assert metric("accuracy", 0.051, signed=True) == "+5.1"
    assert metric("mean_absolute_error_years", -0.25, signed=True) == "−0.25"


def test_settings_are_listed_with_dotted_names() -> None:
    settings = {"a": {"b": {"c": 0.001}, "d": []}, "e": None}
    assert list(flat(settings)) == [("a.b.c", "0.001"), ("a.d", ""), ("e", "None")]


def test_of_a_long_list_the_ends_are_written() -> None:
    assert list(flat({"edges": list(range(8, 27))})) == [("edges", "8, 9, 10, …, 26 (19 values)")]


def test_settings_of_the_other_model_are_left_out() -> None:
    settings = {"model": "end_to_end", "segmenter": 1, "age_model": 2, "end_to_end": 3}
    assert list(used(settings)) == ["model", "segmenter", "end_to_end"]


def test_without_a_named_model_all_settings_count() -> None:
    assert used({"age_model": 2, "end_to_end": 3}) == {"age_model": 2, "end_to_end": 3}


def test_every_row_has_a_cell_for_every_heading() -> None:
    for name, view in study_views(small(folds=3)).items():
        assert {len(row) for row in view.rows} == {len(view.header)}, name


def test_table_2_has_mean_sd_and_number() -> None:
    row = study_views(small())["table2"].rows[0]
    assert row[2].endswith("(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}18)")


def test_thresholds_set_the_groups_beneath_each_other() -> None:
    rows = [row[0] for row in study_views(small())["thresholds"].rows]
    assert rows[:3] == ["12 years, internal", "12 years, external", "14 years, internal"]


def test_a_threshold_has_interval_and_counts() -> None:
    row = study_views(small())["thresholds"].rows[-1]
    assert row[2].endswith("of 3)")


def test_a_fold_without_dice_is_a_dash() -> None:
    dice = (PlateDice(1, Group.INTERNAL, "distal femur", 9, 0.9, 0.05),)
    (row,) = study_views(small(dice=dice))["dice"].rows
    assert row[:3] == ("distal femur", "internal", "–")


def test_predictions_of_subjects_have_no_table_of_slices() -> None:
    views = study_views(of_predictions(tables.study(54, 27, folds=2)))
    assert views["table2_slices"].rows == ()
    assert [row[0] for row in views["levels"].rows] == [
        *("internal, models", "internal, votes", "external, models", "external, votes")
    ]
