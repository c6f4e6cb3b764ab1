"""What single cells may hold."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.cohort import cells
from kneeage.core.anatomy import Sex, Side


@pytest.mark.parametrize("text", ["male", "Male", "M", "m", "男"])
def test_male_in_its_forms(text: str) -> None:
    assert cells.sex(text) is Sex.MALE


@pytest.mark.parametrize("text", ["female", "FEMALE", "F", "女"])
def test_female_in_its_forms(text: str) -> None:
    assert cells.sex(text) is Sex.FEMALE


@pytest.mark.parametrize("text", ["1", "2", "0", "w", "unknown", ""])
def test_other_sexes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be male or female"):
        cells.sex(text)


def test_sides() -> None:
    assert [cells.side(text) for text in ("L", "rechts"[0], "Unknown", "左")] == [
        Side.LEFT,
        Side.RIGHT,
        Side.UNKNOWN,
        Side.LEFT,
    ]
    with pytest.raises(ValueError, match="must be left, right or unknown"):
        cells.side("both")


@pytest.mark.parametrize("text", ["S-001", "kind_3", "a.b", "孩1", "x" * 64])
def test_identifiers(text: str) -> None:
    assert cells.subject_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "../x", "a/b", ".hidden", "a b", "con", "LPT1.x", "end.", "x" * 65, "a\\b", "-rf"]
)
def test_identifiers_that_name_no_folder(text: str) -> None:
    with pytest.raises(ValueError, match=r"must have 1 to 64|is empty"):
        cells.subject_id(text)


@pytest.mark.parametrize("text", ["180", "0", "-3", "120"])
def test_an_impossible_age(text: str) -> None:
    with pytest.raises(ValueError, match=f"above 0 and below 120; found '{text}'"):
        cells.chronological_age_years(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("14,5", "has a decimal comma: '14,5'; write '14.5'"),
        ("1O", "must be a number; found '1O'"),
        ("nan", "must be a number"),
        ("inf", "must be a number"),
        ("", "must be a number; it is empty"),
    ],
)
def test_an_age_that_is_no_number(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cells.chronological_age_years(text)


@pytest.mark.parametrize("text", ["1.72", "300"])
def test_a_height_in_metres_or_beyond_anybody(text: str) -> None:
    with pytest.raises(ValueError, match="must be 70 to 240 cm"):
        cells.height_cm(text)


def test_a_weight() -> None:
    assert cells.weight_kg("55.5") == 55.5
    with pytest.raises(ValueError, match="must be 8 to 250 kg"):
        cells.weight_kg("5")


@pytest.mark.parametrize("text", ["/etc/passwd", "a/../../b", "~/x", "C:/x", "a\\b", ""])
def test_paths_that_lead_out(text: str) -> None:
    with pytest.raises(ValueError, match="must be a path inside the folder"):
        cells.relative_path(text)


def test_dates_as_iso_and_as_dicom_write_them() -> None:
    assert cells.day("2008-03-31") == cells.day("20080331") == date(2008, 3, 31)


@pytest.mark.parametrize("text", ["31.03.2008", "03/31/2008", "2008-02-30", "2008-W10-1", "2010-0331"])
def test_other_dates_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="must be a date such as 2008-03-31") as caught:
        cells.day(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("birth", "study", "years"),
    [
        (date(2000, 1, 1), date(2014, 1, 1), 14.0),
        (date(2000, 1, 1), date(2013, 12, 31), 13 + 364 / 365),
        (date(2001, 7, 2), date(2016, 1, 1), 14 + 183 / 366),
        (date(2004, 2, 29), date(2019, 2, 28), 14 + 364 / 365),
        (date(2004, 2, 29), date(2019, 3, 1), 15.0),
        (date(2004, 2, 29), date(2020, 2, 29), 16.0),
    ],
)
def test_age_from_dates(birth: date, study: date, years: float) -> None:
    assert cells.decimal_age_years(birth, study) == pytest.approx(years, abs=5e-5)


@given(st.dates(date(1980, 1, 1), date(2015, 1, 1)), st.integers(1, 12000))
def test_completed_years_are_birthdays_passed(birth: date, days: int) -> None:
    study = birth + timedelta(days)
    age_years = cells.decimal_age_years(birth, study)
    had_birthday = (study.month, study.day) >= (birth.month, birth.day)
    assert int(age_years) == study.year - birth.year - (not had_birthday)
    assert age_years == pytest.approx(days / 365.25, abs=0.01)


@pytest.mark.parametrize("study", [date(2000, 1, 1), date(1999, 1, 1)])
def test_a_birth_that_is_not_before_the_study(study: date) -> None:
    with pytest.raises(ValueError, match="must be before study_date"):
        cells.decimal_age_years(date(2000, 1, 1), study)


def test_flags_hashes_and_planes() -> None:
    assert [cells.flag(text) for text in ("1", "0", "")] == [True, False, False]
    with pytest.raises(ValueError, match="must be 0, 1 or empty; found 'yes'"):
        cells.flag("yes")
    with pytest.raises(ValueError, match="SHA-256"):
        cells.sha256("abc")
    with pytest.raises(ValueError, match="coronal, sagittal or axial"):
        cells.plane("oblique")
