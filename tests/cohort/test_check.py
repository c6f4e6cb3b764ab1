"""What a check finds in a cohort that somebody spoilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kneeage.cohort.check import Severity, check_cohort
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image, write_labels
from tests.cohort.folders import AFFINE, SHAPE, cohort_of, image, labels, person, read_table, write_table

Found = list[tuple[str, str, tuple[str, ...], str]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    people = [person(f"S{n}", chronological_age_years=12.5 + n) for n in range(3)]
    return cohort_of(tmp_path_factory.mktemp("sound"), people)


@pytest.fixture
def cohort(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "cohort")
    return tmp_path / "cohort"


def check(folder: Path, against: Path | None = None) -> Found:
    findings = check_cohort(folder, lambda _done, _total: None, against)
    return [(each.severity.value, each.about, each.subjects, each.words) for each in findings]


def edit(folder: Path, number: int, **cells: Any) -> None:
    """Change cells of a row of the table."""
    rows = read_table(folder / "subjects.csv")
    write_table(folder / "subjects.csv", [row | (cells if n == number else {}) for n, row in enumerate(rows)])


def split(folder: Path, *rows: tuple[str, str, object]) -> None:
    (folder / "splits").mkdir(exist_ok=True)
    names = ("subject_id", "group", "fold")
    write_table(folder / "splits" / "main.csv", [dict(zip(names, row, strict=True)) for row in rows])


def place(folder: Path, name: str) -> Path:
    return folder / "subjects" / name


def test_a_sound_cohort_is_clean(cohort: Path) -> None:
    split(cohort, ("S0", "training", ""), ("S1", "training", ""), ("S2", "validation", ""))
    told: list[tuple[int, int]] = []
    assert check_cohort(cohort, lambda *done: told.append(done)) == []
    assert (told[0], told[-1]) == ((0, 3), (3, 3))


def test_the_same_pixels_under_two_names_in_two_groups(cohort: Path) -> None:
    shutil.copy(place(cohort, "S0") / "image.nii.gz", place(cohort, "S2") / "image.nii.gz")
    edit(cohort, 2, pixel_sha256="")
    split(cohort, ("S0", "training", ""), ("S1", "training", ""), ("S2", "validation", ""))
    assert check(cohort) == [
        ("mend", "duplicate", ("S0", "S2"), "the same pixels"),
        ("mend", "split", ("S0", "S2"), "split 'main': the same pixels, in training and in validation"),
    ]
    split(cohort, ("S0", "training", 0), ("S1", "training", 1), ("S2", "training", 0))
    assert [each[1] for each in check(cohort)] == ["duplicate"]
    split(cohort, ("S0", "training", 0), ("S1", "training", 1), ("S2", "training", 1))
    assert check(cohort)[1][3] == "split 'main': the same pixels, in training, fold 0 and in training, fold 1"


def test_the_same_pixels_on_reversed_axes(cohort: Path) -> None:
    (place(cohort, "S1") / "image.nii.gz").unlink()
    (place(cohort, "S1") / "labels.nii.gz").unlink()
    write_image(place(cohort, "S1") / "image.nii.gz", image(0).reoriented("PSR"))
    edit(cohort, 1, pixel_sha256="")
    assert check(cohort) == [("mend", "duplicate", ("S0", "S1"), "the same pixels")]


def test_one_study_under_two_names(cohort: Path) -> None:
    for number in (0, 1):
        edit(cohort, number, study_key="ab" * 32)
    assert check(cohort) == [("mend", "duplicate", ("S0", "S1"), "the same study")]


def test_a_changed_image(cohort: Path) -> None:
    edit(cohort, 0, pixel_sha256="cd" * 32)
    assert check(cohort) == [("mend", "image", ("S0",), "the image is not the one that was imported: its hash differs")]


def test_an_image_that_is_not_there(cohort: Path) -> None:
    (place(cohort, "S0") / "image.nii.gz").unlink()
    ((severity, about, subjects, words),) = check(cohort)
    assert (severity, about, subjects) == ("mend", "image", ("S0",))
    assert "is not there" in words


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (lambda: Volume(np.zeros(SHAPE, np.uint8), AFFINE), "nothing is labelled"),
        (lambda: Volume(labels().array + labels(200).array, AFFINE), "the value 201 is none of the permanent labels"),
        (
            lambda: Volume(labels().array[..., :-1], AFFINE),
            "have (10, 9, 11) voxels and the image (10, 9, 12)",
        ),
    ],
)
def test_misfit_labels(drawn: Callable[[], Volume], words: str, cohort: Path) -> None:
    (place(cohort, "S1") / "labels.nii.gz").unlink()
    write_labels(place(cohort, "S1") / "labels.nii.gz", drawn())
    found = check(cohort)
    assert {each[:3] for each in found} == {("mend", "labels", ("S1",))}
    assert words in found[0][3]


def test_labels_without_a_plate_are_a_note(cohort: Path) -> None:
    (place(cohort, "S1") / "labels.nii.gz").unlink()
    write_labels(place(cohort, "S1") / "labels.nii.gz", labels(3))
    assert ("note", "labels", ("S1",), "no growth plate and no scar is labelled") in check(cohort)


def test_labels_are_not_needed(cohort: Path) -> None:
    (place(cohort, "S1") / "labels.nii.gz").unlink()
    assert check(cohort) == []


def test_labels_that_the_table_names_and_nobody_drew(cohort: Path) -> None:
    edit(cohort, 1, labels="subjects/S1/drawn.nii.gz")
    ((_, about, subjects, words),) = check(cohort)
    assert (about, subjects) == ("labels", ("S1",))
    assert "'drawn.nii.gz'" in words


@pytest.mark.parametrize(
    ("cells", "about", "words"),
    [
        ({"site": ""}, "table", "row 2, column 'site': is empty; fill it in"),
        ({"sex": ""}, "table", "row 2, column 'sex': must be male or female (or m, f, 男, 女); it is empty"),
        (
            {"birth_date": "2000-01-01", "study_date": "2015-01-01"},
            "table",
            "row 2, column 'chronological_age_years': is 12.5, and the dates come to 15 years; mend one of them",
        ),
        ({"injury": "1"}, "table", "row 2, column 'injury': 1 excludes a subject; take the row out of the table"),
        ({"chronological_age_years": "52"}, "age", "chronological age of 52 years, outside 3 to 40"),
    ],
)
def test_faults_of_the_table_are_findings(cells: dict[str, str], about: str, words: str, cohort: Path) -> None:
    edit(cohort, 0, **cells)
    split(cohort, ("S0", "training", ""), ("S1", "training", ""), ("S2", "validation", ""))
    assert check(cohort) == [("mend", about, ("S0",), words)]


def test_a_split_that_does_not_fit(cohort: Path) -> None:
    split(cohort, ("S0", "training", 0), ("S0", "validation", ""), ("S1", "training", ""), ("S8", "training", ""))
    assert check(cohort) == [
        ("mend", "split", ("S0",), "split 'main': is in training, fold 0 and in validation"),
        ("mend", "split", ("S8",), "split 'main' names subjects who are not in the cohort; make it anew"),
        ("mend", "split", ("S2",), "split 'main' has no place for these subjects; make it anew"),
    ]


def test_a_split_that_cannot_be_read(cohort: Path) -> None:
    (cohort / "splits").mkdir()
    (cohort / "splits" / "main.csv").write_text("a;b\n", encoding="utf-8")
    assert check(cohort)[0][:3] == ("mend", "split", ())


def test_whole_years_and_folders_without_a_row_are_notes(cohort: Path) -> None:
    for number in range(3):
        edit(cohort, number, chronological_age_years=12 + number)
    place(cohort, "gone").mkdir()
    assert check(cohort) == [
        ("note", "age", (), "all ages are whole years; errors in years need decimal ages"),
        ("note", "folder", ("gone",), "folders in subjects/ without a row in the table"),
    ]


def test_two_cohorts_that_share_nobody(cohort: Path, tmp_path: Path) -> None:
    other = cohort_of(tmp_path / "B", [person("T1", chronological_age_years=15.5)])
    shutil.copy(place(cohort, "S0") / "image.nii.gz", tmp_path / "kept.nii.gz")
    (place(other, "T1") / "image.nii.gz").unlink()
    write_image(place(other, "T1") / "image.nii.gz", image(40))
    edit(other, 0, pixel_sha256="")
    assert check(cohort, other) == []


def test_two_cohorts_that_share_an_image_or_a_name(cohort: Path, tmp_path: Path) -> None:
    other = cohort_of(tmp_path / "B", [person("T1", chronological_age_years=15.5)])
    assert check(cohort, other) == [("mend", "duplicate", ("S0", "T1"), "the same pixels in 'cohort'")]
    edit(other, 0, subject_id="S2")
    assert ("mend", "duplicate", ("S2", "S2"), "one subject_id in 'cohort'") in check(cohort, other)


def test_a_missing_column_is_one_error(cohort: Path) -> None:
    rows = read_table(cohort / "subjects.csv")
    write_table(cohort / "subjects.csv", [{name: cell for name, cell in row.items() if name != "site"} for row in rows])
    with pytest.raises(Exception, match="column 'site' is missing"):
        check(cohort)


def test_severities_are_two() -> None:
    assert [each.value for each in Severity] == ["mend", "note"]
