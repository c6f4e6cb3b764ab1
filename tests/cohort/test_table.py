"""The subject table: sound rows become entries, faults name row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kneeage.cohort.sheet import read_sheet
from kneeage.cohort.table import read_subjects, scan_sheet
from kneeage.core.anatomy import Sex, Side
from kneeage.core.errors import InputRefusedError
from tests.cohort.folders import person, write_table


def row(name: str = "S1", **cells: Any) -> dict[str, Any]:
    return person(name, image=f"subjects/{name}/image.nii.gz", **cells)


def without(column: str) -> dict[str, Any]:
    return {name: cell for name, cell in row().items() if name != column}


def test_a_sound_row_becomes_an_entry(tmp_path: Path) -> None:
    cells = {"height_cm": 160, "weight_kg": "50.5", "subset": "external", "labels": "l.nii.gz", "seed": 7, "injury": 0}
    (entry,) = read_subjects(write_table(tmp_path / "t.csv", [row(sex="F", side="", **cells)]))
    assert (entry.subject_id, entry.sex, entry.chronological_age_years, entry.site) == ("S1", Sex.FEMALE, 14.5, "A")
    assert (entry.side, entry.height_cm, entry.weight_kg, entry.subset) == (None, 160.0, 50.5, "external")
    assert (entry.labels, entry.sequence, entry.extra) == ("l.nii.gz", None, {"seed": "7", "injury": "0"})


def test_the_age_may_come_from_dates(tmp_path: Path) -> None:
    dates = {"birth_date": "2004-02-29", "study_date": "20190301", "chronological_age_years": ""}
    only_dates = {name: cell for name, cell in row("S2", **dates).items() if name != "chronological_age_years"}
    for cells in (row(**dates), only_dates):
        (entry,) = read_subjects(write_table(tmp_path / "t.csv", [cells]))
        assert entry.chronological_age_years == 15.0


def test_a_stated_age_counts_where_dates_agree_or_are_not_whole(tmp_path: Path) -> None:
    dates = {"birth_date": "2004-03-01", "study_date": "2019-03-01"}
    stated = [row(chronological_age_years=15.05, **dates), row("S2", birth_date="2004-03-01", side=Side.LEFT.value)]
    ages = [entry.chronological_age_years for entry in read_subjects(write_table(tmp_path / "t.csv", stated))]
    assert ages == [15.05, 14.5]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"chronological_age_years": 180}, "row 3, column 'chronological_age_years': must be an age in years"),
        ({"chronological_age_years": ""}, "column 'chronological_age_years': must be a number; it is empty"),
        ({"sex": 1}, "row 3, column 'sex': must be male or female"),
        ({"site": ""}, "row 3, column 'site': is empty; fill it in"),
        ({"side": "both"}, "row 3, column 'side'"),
        ({"height_cm": "1,60"}, "column 'height_cm': has a decimal comma"),
        ({"image": "../x"}, "column 'image': must be a path inside"),
        ({"injury": 1}, "row 3, column 'injury': 1 excludes a subject; take the row out"),
        ({"injury": "yes"}, "column 'injury': must be 0, 1 or empty"),
        ({"plane": "up"}, "column 'plane': must be coronal"),
        ({"subject_id": "S1"}, "row 3, column 'subject_id': 'S1' is in row 2 too; keep one row per subject"),
        ({"subject_id": "s1"}, "'s1' is in row 2 too"),
        ({"subject_id": ""}, "row 3, column 'subject_id': is empty"),
        ({"birth_date": "2010-01-02", "study_date": "2010-01-01"}, "column 'birth_date': must be before study_date"),
        ({"birth_date": "1.1.2010", "study_date": "2010-01-01"}, "column 'birth_date': must be a date such as"),
        (
            {"birth_date": "1839-03-02", "study_date": "2019-03-01", "chronological_age_years": ""},
            "column 'birth_date': lies 180 years before study_date; mend one of them",
        ),
        (
            {"birth_date": "2000-01-01", "study_date": "2015-01-01"},
            "column 'chronological_age_years': is 14.5, and the dates come to 15 years",
        ),
        (
            {"birth_date": "2000-01-01", "chronological_age_years": ""},
            "column 'study_date': is empty; fill it in",
        ),
    ],
)
def test_a_fault_names_its_row_and_column(cells: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", [row(), row("S2") | cells])
    with pytest.raises(InputRefusedError, match=words) as caught:
        read_subjects(path)
    assert str(caught.value).startswith("'t.csv', row 3, column")


def test_all_faults_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", [row(f"S{n}", sex="x") for n in range(25)])
    with pytest.raises(InputRefusedError, match="has 25 faults; mend them and run again") as caught:
        read_subjects(path)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[1][:22], lines[-1]) == (22, "row 2, column 'sex': m", "and 5 more")


def test_a_row_that_is_too_long_is_one_fault_among_others(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", [row(), row("S2", chronological_age_years=180), row(), row("S4")])
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].replace("14.5", "14,5")]), encoding="utf-8")
    with pytest.raises(InputRefusedError, match="has 3 faults; mend them and run again") as caught:
        read_subjects(path)
    _, *faults = str(caught.value).splitlines()
    assert [fault.split(": ")[0] for fault in faults] == [
        "row 3, column 'chronological_age_years'",
        "row 4, column 'subject_id'",
        "row 5",
    ]
    assert faults[-1].startswith(f"row 5: {len(lines[0].split(',')) + 1} cells, and the header has ")


@pytest.mark.parametrize("column", ["subject_id", "sex", "site", "image", "chronological_age_years"])
def test_a_missing_column_is_named(column: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=f"'t.csv': column '{column}' is missing; found "):
        read_subjects(write_table(tmp_path / "t.csv", [without(column)]))


def test_an_excluded_subject_s_other_cells_are_not_read(tmp_path: Path) -> None:
    rows = [row(), row("S2", sex="", injury=1, hormone_use=1), row("S2")]
    scan = scan_sheet(read_sheet(write_table(tmp_path / "t.csv", rows)), may_exclude=True)
    assert scan.excluded == {"S2": ["an injury of the knee", "use of hormones"]}
    assert [str(fault) for fault in scan.faults] == [
        "row 4, column 'subject_id': 'S2' is in row 3 too; keep one row per subject"
    ]


def test_an_excluded_subject_needs_a_name(tmp_path: Path) -> None:
    rows = [row(), row("", injury=1)]
    scan = scan_sheet(read_sheet(write_table(tmp_path / "t.csv", rows)), may_exclude=True)
    assert [str(fault) for fault in scan.faults] == ["row 3, column 'subject_id': is empty; fill it in"]
