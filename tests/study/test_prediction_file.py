"""Prediction tables as CSV files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from kneeage.study.prediction_file import read_predictions, write_predictions
from kneeage.study.predictions import PredictionError, Predictions, one_vote
from tests.study.tables import CLASSES, row, study

HEADER = "subject_id,slice_index,fold,group,site,sex,chronological_age_years,age_class,probability_14,probability_15"
GOOD = "s1,,0,internal,A,male,14.25,14,0.75,0.25"


def written(tmp_path: Path, *lines: str) -> Path:
    """A file of these lines, with a name that is not ASCII."""
    path = tmp_path / "Vörhersagen 预测.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("table", [study(), study(slices=2), one_vote(study())], ids=["subjects", "slices", "votes"])
def test_what_is_written_is_read(table: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "t.csv", table)
    read = read_predictions(tmp_path / "t.csv")
    for each in fields(table):
        if each.name == "probability":
            np.testing.assert_allclose(read.probability, table.probability, atol=5.1e-7)
        else:
            assert np.array_equal(getattr(read, each.name), getattr(table, each.name)), each.name


def test_an_age_just_below_a_birthday_keeps_its_class(tmp_path: Path) -> None:
    age = float(np.nextafter(15.0, 0.0))
    write_predictions(tmp_path / "t.csv", Predictions.of(CLASSES, [row(chronological_age_years=age)]))
    assert read_predictions(tmp_path / "t.csv").chronological_age_years[0] == age


def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER}\r\n{GOOD}\r\n", encoding="utf-8-sig")
    assert read_predictions(path).probability.tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("s1,,0,internal,A,male,14.25,14,0.75", "row 3 must have 10 cells, as the header has; found 9"),
        ("s2,,x,internal,A,male,14.25,14,0.75,0.25", "row 3: fold must be a number; found 'x'"),
        ("s2,,-1,internal,A,male,14.25,14,0.75,0.25", "row 3: fold must be a number; found '-1'"),
        ("s2,-1,0,internal,A,male,14.25,14,0.75,0.25", "row 3: slice_index must be a number; found '-1'"),
        ("s2,,0,test,A,male,14.25,14,0.75,0.25", "row 3: group must be internal or external; found 'test'"),
        ("s2,,0,internal,A,m,14.25,14,0.75,0.25", "row 3: sex must be male or female; found 'm'"),
        ("s2,,0,internal,A,male,180,180,0.75,0.25", "row 3: chronological_age_years must be 0 to 120; found 180"),
        ("s2,,0,internal,A,male,14y,14,0.75,0.25", "row 3: chronological_age_years must be a number; found '14y'"),
        (
            "s2,,0,internal,A,male,14.25,15,0.75,0.25",
            "row 3: age_class must be the completed years of 14.25, 14; found 15",
        ),
        ("s2,,0,internal,A,male,14.25,14,0.75,", "row 3: probability_15 must be a number; found ''"),
        ("s2,,0,internal,A,male,14.25,14,0.75,0.75", "row 3: probability must have the sum 1; found 1.5"),
        ("s2,,0,internal,A,male,16.5,16,0.75,0.25", "row 3: .*16.5 is in none of the classes 14 to 15"),
        (GOOD, "row 3: subject_id, fold and slice_index are those of row 2"),
        ("", "row 3 must have 10 cells"),
    ],
)
def test_errors_name_row_and_column(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=words):
        read_predictions(written(tmp_path, HEADER, GOOD, line))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace("site,", ""), "column 'site' is missing"),
        (HEADER.replace("slice_index", "site"), "column 'slice_index' is missing"),
        (HEADER + ",site", "column 'site' is there twice"),
        (HEADER + ",weight", "column 'weight' is not known"),
        (HEADER + ",probability_1a", "column 'probability_1a' is not known"),
        (HEADER.replace(",probability_14,probability_15", ""), "column 'probability_YEAR' is missing"),
        (HEADER.replace("probability_14", "probability_"), "column 'probability_YEAR' is missing"),
        (HEADER.replace("probability_14", "probability_16"), "two or more consecutive years"),
    ],
)
def test_errors_name_the_column(header: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=words):
        read_predictions(written(tmp_path, header, *([GOOD] if header.count(",") == 9 else [])))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("t.csv", "none.csv"):
        with pytest.raises(PredictionError, match=f"'{name}' cannot be read as CSV"):
            read_predictions(tmp_path / name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(PredictionError, match="is empty"):
        read_predictions(tmp_path / "t.csv")
    with pytest.raises(PredictionError, match="no predictions"):
        read_predictions(written(tmp_path, HEADER))
