"""From a table and a folder of studies to a cohort."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kneeage.cohort import importing as module
from kneeage.cohort.folder import pixel_key, read_cohort, study_key
from kneeage.cohort.importing import import_cohort
from kneeage.core.anatomy import Side
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.io.lock import only_run
from kneeage.io.nifti import write_image, write_labels
from kneeage.io.read import load
from tests.cohort.folders import (
    dicom_study,
    image,
    importing,
    labels,
    nifti_study,
    person,
    read_table,
    write_table,
)
from tests.io.support import SAGITTAL, Made, write_series


def refused_of(place: Path) -> dict[str, str]:
    return {row["subject_id"]: row["reason"] for row in read_table(place / "cohort" / "refused.csv")}


def rows_of(place: Path) -> dict[str, dict[str, str]]:
    return {row["subject_id"]: row for row in read_table(place / "cohort" / "subjects.csv")}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is read."""
    read: list[str] = []

    def note(path: Path, series: str | None = None) -> Any:
        read.append(path.name)
        return load(path, series)

    monkeypatch.setattr(module, "load", note)
    return read


def test_dicom_folders_are_found_by_the_subject_s_name(tmp_path: Path) -> None:
    dicom_study(tmp_path / "source" / "S1" / "disc" / "x", 1)
    nifti_study(tmp_path / "source", "S2", 2)
    made = importing(tmp_path, [person("S1", height_cm=160, ward="4b"), person("S2", sex="F", sequence="T1 TSE")])
    assert (made.subjects, made.kept, made.refused, made.left_over) == (2, 0, [], [])
    rows = rows_of(tmp_path)
    source = load(tmp_path / "source" / "S1")
    assert rows["S1"] == {
        "subject_id": "S1",
        "sex": "male",
        "chronological_age_years": "14.5",
        "site": "A",
        "side": "right",
        "plane": "coronal",
        "sequence": "T1",
        "height_cm": "160.0",
        "ward": "4b",
        "image": "subjects/S1/image.nii.gz",
        "pixel_sha256": pixel_key(source.volume),
        "study_key": study_key("1.2.1"),
    }
    assert (rows["S2"]["sex"], rows["S2"]["sequence"], rows["S2"]["study_key"]) == ("female", "T1 TSE", "")
    cohort = read_cohort(tmp_path / "cohort")
    read = cohort.series(cohort.entries[0]).volume
    assert np.array_equal(read.array, source.volume.array)
    assert np.allclose(read.affine, source.volume.affine, atol=1e-4)
    assert refused_of(tmp_path) == {}


def test_nothing_of_a_header_s_identity_enters_the_cohort(tmp_path: Path) -> None:
    secrets = {"PatientAge": "031Y", "PatientSex": "F", "PatientSize": 1.91, "PatientWeight": 99}
    dicom_study(tmp_path / "source" / "wards" / "Known Nobody", 1, **secrets)
    importing(
        tmp_path,
        [
            person("S1", source="wards/Known Nobody", birth_date="2004-02-29", study_date="2019-03-01")
            | {"chronological_age_years": ""}
        ],
    )
    (row,) = rows_of(tmp_path).values()
    assert (row["chronological_age_years"], row["sex"]) == ("15.0", "male")
    assert {"birth_date", "study_date", "source", "height_cm"} & set(row) == set()
    written = b"".join(path.read_bytes() for path in (tmp_path / "cohort").rglob("*") if path.is_file())
    written += gzip.decompress((tmp_path / "cohort" / "subjects" / "S1" / "image.nii.gz").read_bytes())
    words = (b"secret-1", b"Nobody", b"20010203", b"2004", b"1.2.1", b"031Y", b"cor t1")
    assert [word for word in words if word in written] == []


def test_every_subject_that_is_left_out_is_listed_with_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "source"
    dicom_study(source / "good", 1)
    nifti_study(source, "twice", 2)
    dicom_study(source / "twice", 2)
    cut = dicom_study(source / "cut", 3)
    first = sorted(cut.iterdir())[0]
    first.write_bytes(first.read_bytes()[:600])
    for uid in ("1.2.7", "1.2.8"):
        write_series(source / "tie", Made(uid=uid))
    (source / "empty").mkdir()
    write_image(source / "virtual.nii.gz", image(9), virtual=True)
    dicom_study(source / "plane", 4)
    people = [
        *(person(name) for name in ("good", "twice", "cut", "tie", "empty", "none", "virtual")),
        person("plane", plane="sagittal"),
        person("series", source="good", series="9.9"),
        person("hurt", injury=1, unclear_images=1),
        person("old", chronological_age_years=45),
        person("lost", source="no/such.zip"),
    ]
    made = importing(tmp_path, people)
    assert set(rows_of(tmp_path)) == {"good"}
    reasons = refused_of(tmp_path)
    assert [each.subject_id for each in made.refused] == list(reasons)
    assert set(reasons) == {row["subject_id"] for row in people} - {"good"}
    for name, words in {
        "twice": "holds 'twice', 'twice.nii.gz'; keep one",
        "cut": "",
        "tie": "more than one series is equally good; choose one in a column 'series': 1. 1.2.7",
        "empty": "",
        "none": "holds no folder 'none' and no file of that name",
        "virtual": "is computer-generated; import such with --population virtual",
        "plane": "the table says sagittal, and the series is coronal",
        "series": "no series '9.9' is here",
        "hurt": "excluded: the images are not clear; an injury of the knee",
        "old": "chronological age of 45 years, outside 3 to 40",
        "lost": "'such.zip' is not there",
    }.items():
        assert words in reasons[name], name
        assert reasons[name], name
        assert "\n" not in reasons[name], name
    assert sorted(path.name for path in (tmp_path / "cohort" / "subjects").iterdir()) == ["good"]


def test_a_column_chooses_the_series(tmp_path: Path) -> None:
    write_series(tmp_path / "source" / "S1", Made(uid="1.2.7"))
    write_series(tmp_path / "source" / "S1", Made(uid="1.2.8", orientation=SAGITTAL))
    importing(tmp_path, [person("S1", series="1.2.8")])
    assert rows_of(tmp_path)["S1"]["plane"] == "sagittal"
    assert "series" not in rows_of(tmp_path)["S1"]


@pytest.mark.parametrize(
    ("stated", "header", "wanted", "notes"),
    [
        ("left", "R", "left", 1),
        ("right", "R", "right", 0),
        ("", "L", "left", 0),
        ("unknown", "L", "left", 0),
        ("", None, "unknown", 0),
        ("left", None, "left", 0),
    ],
)
def test_the_table_s_side_counts(stated: str, header: str | None, wanted: str, notes: int, tmp_path: Path) -> None:
    dicom_study(tmp_path / "source" / "S1", 1, Laterality=header)
    made = importing(tmp_path, [person("S1", side=stated)])
    assert rows_of(tmp_path)["S1"]["side"] == wanted
    assert len(made.notes) == notes
    assert all("the table says left, the header right" in note for note in made.notes)
    cohort = read_cohort(tmp_path / "cohort")
    assert cohort.series(cohort.entries[0]).header.side is Side(wanted)


def test_what_is_imported_is_not_read_again(tmp_path: Path, counted: list[str]) -> None:
    people = [person("S1"), person("S2"), person("S3")]
    for number, name in enumerate(("S1", "S2")):
        dicom_study(tmp_path / "source" / name, number + 1)
    assert importing(tmp_path, people).subjects == 2
    dicom_study(tmp_path / "source" / "S3", 3)
    made = importing(tmp_path, people)
    assert (made.subjects, made.kept, made.refused) == (3, 2, [])
    assert counted == ["S1", "S2", "S3"]
    assert made.earlier_table == tmp_path / "cohort" / "subjects.earlier-1.csv"
    assert importing(tmp_path, people).earlier_table is None
    assert len(counted) == 3


def test_a_corrected_age_needs_no_reading(tmp_path: Path, counted: list[str]) -> None:
    dicom_study(tmp_path / "source" / "S1", 1)
    importing(tmp_path, [person("S1")])
    importing(tmp_path, [person("S1", chronological_age_years=15.25, side="left")])
    row = rows_of(tmp_path)["S1"]
    assert (row["chronological_age_years"], row["side"], counted) == ("15.25", "left", ["S1"])


def test_a_killed_run_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[str]) -> None:
    people = [person("S1"), person("S2")]
    for number, row in enumerate(people):
        dicom_study(tmp_path / "source" / row["subject_id"], number + 1)
    whole = module.write_image

    def die(path: Path, *arguments: Any, **options: Any) -> None:
        if len(counted) == 2:
            raise KeyboardInterrupt
        whole(path, *arguments, **options)

    monkeypatch.setattr(module, "write_image", die)
    with pytest.raises(KeyboardInterrupt):
        importing(tmp_path, people)
    with pytest.raises(InputRefusedError, match="broken off; run it again"):
        read_cohort(tmp_path / "cohort")
    (tmp_path / "cohort" / "subjects" / ".1234.part.S2").mkdir()
    monkeypatch.setattr(module, "write_image", whole)
    made = importing(tmp_path, people)
    assert (made.subjects, made.kept, counted, made.left_over) == (2, 1, ["S1", "S2", "S2"], [])


def test_a_plane_that_the_table_states_later_is_checked_too(tmp_path: Path) -> None:
    dicom_study(tmp_path / "source" / "S1", 1)
    importing(tmp_path, [person("S1")])
    made = importing(tmp_path, [person("S1", plane="axial")])
    assert (made.subjects, made.kept, [each.subject_id for each in made.refused]) == (0, 0, ["S1"])


def test_one_image_for_two_subjects_is_said(tmp_path: Path) -> None:
    nifti_study(tmp_path / "source", "S1", 1)
    made = importing(tmp_path, [person("S1"), person("S2", source="S1.nii.gz")])
    assert made.notes == ["S2: has the same pixels as S1; look which of them it is"]


def test_a_cut_image_is_made_anew(tmp_path: Path) -> None:
    dicom_study(tmp_path / "source" / "S1", 1)
    importing(tmp_path, [person("S1")])
    written = tmp_path / "cohort" / "subjects" / "S1" / "image.nii.gz"
    whole = written.read_bytes()
    written.write_bytes(whole[:100])
    assert importing(tmp_path, [person("S1")]).kept == 0
    assert written.read_bytes() == whole


def test_labels_are_never_thrown_away(tmp_path: Path) -> None:
    for number in (1, 2):
        nifti_study(tmp_path / "source", f"S{number}", number)
    importing(tmp_path, [person("S1")])
    place = tmp_path / "cohort" / "subjects" / "S1"
    write_labels(place / "labels.nii.gz", labels())
    assert importing(tmp_path, [person("S1")]).kept == 1
    assert rows_of(tmp_path)["S1"]["labels"] == "subjects/S1/labels.nii.gz"
    made = importing(tmp_path, [person("S1", source="S2.nii.gz")])
    assert [each.reason[:36] for each in made.refused] == ["its labels were drawn on an image th"]
    assert (place / "labels.nii.gz").exists()


def test_folders_of_those_who_were_taken_out_are_named(tmp_path: Path) -> None:
    for number in (1, 2):
        nifti_study(tmp_path / "source", f"S{number}", number)
    importing(tmp_path, [person("S1"), person("S2")])
    assert importing(tmp_path, [person("S1"), person("S2", hormone_use=1)]).left_over == ["S2"]


def test_a_virtual_population_takes_virtual_images_alone(tmp_path: Path) -> None:
    write_image(tmp_path / "source.nii.gz", image(1), virtual=True)
    nifti_study(tmp_path / "source", "S2", 2)
    (tmp_path / "source.nii.gz").rename(tmp_path / "source" / "S1.nii.gz")
    made = importing(tmp_path, [person("S1"), person("S2")], population="virtual")
    assert (made.subjects, refused_of(tmp_path)["S2"][:45]) == (1, "the image does not say that it is computer-ge")
    cohort = read_cohort(tmp_path / "cohort")
    assert cohort.is_virtual
    assert cohort.series(cohort.entries[0]).header.virtual
    with pytest.raises(UsageError, match="holds a cohort with population = 'virtual'; this import has 'Qingdao'"):
        importing(tmp_path, [person("S1")], population="Qingdao")


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([person("S1"), person("S1")], "row 3, column 'subject_id': 'S1' is in row 2 too"),
        ([person("S1", chronological_age_years=180)], "row 2, column 'chronological_age_years'"),
        ([person("S1", source="../x")], "row 2, column 'source': must be a path inside"),
        ([person("S1", image="x.nii.gz")], "the import itself writes column 'image'; take it out"),
        (
            [{"name": "S1"}],
            "columns 'subject_id', 'sex', 'site', 'chronological_age_years' are missing; found name; add them",
        ),
        (
            [{"subject_id": "S1", "sex": "m", "site": "A"}],
            "column 'chronological_age_years' is missing; found subject_id, sex, site; add it",
        ),
        (
            [{"subject_id": "S1", "sex": "m", "birth_date": "2004-02-29", "study_date": "2019-03-01"}],
            "column 'site' is missing; found subject_id, sex, birth_date, study_date; add it",
        ),
    ],
)
def test_a_faulty_table_imports_nothing(people: list[dict[str, Any]], words: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(InputRefusedError, match=re.escape(words)):
        importing(tmp_path, people)
    assert not (tmp_path / "cohort").exists()


def test_a_name_that_leads_outside_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(InputRefusedError) as caught:
        importing(tmp_path, [person("../../etc")])
    assert str(caught.value) == (
        "'people.csv', row 2, column 'subject_id': must have 1 to 64 letters, digits, '_', '-' or '.', and name a "
        "folder on every system; found '../../etc'"
    )


def test_faults_of_a_table_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    people = [person("S1"), person("S2", chronological_age_years=180), person("S1"), person("S3")]
    table = write_table(tmp_path / "people.csv", people)
    table.write_text(table.read_text().replace("S3,male,14.5", "S3,male,14,5"))
    with pytest.raises(InputRefusedError, match="has 3 faults; mend them") as caught:
        import_cohort(table, tmp_path / "source", tmp_path / "cohort", lambda *_: None)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        "row 3, column 'chronological_age_years'",
        "row 4, column 'subject_id'",
        "row 5",
    ]


def test_a_source_that_is_no_folder(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [person("S1")])
    with pytest.raises(UsageError, match="is no folder; give the folder that holds"):
        import_cohort(table, table, tmp_path / "cohort", lambda *_: None)


def test_another_s_folder_is_not_touched(tmp_path: Path) -> None:
    nifti_study(tmp_path / "source", "S1", 1)
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "thesis.docx").write_text("years of work", encoding="utf-8")
    with pytest.raises(OutputError, match="is a folder that is not empty"):
        importing(tmp_path, [person("S1")])


def test_two_runs_never_write_one_cohort(tmp_path: Path) -> None:
    nifti_study(tmp_path / "source", "S1", 1)
    importing(tmp_path, [person("S1")])
    with only_run(tmp_path / "cohort" / "cohort.json"), pytest.raises(OutputError, match="another run is making"):
        importing(tmp_path, [person("S1")])


def test_progress_is_told(tmp_path: Path) -> None:
    nifti_study(tmp_path / "source", "S1", 1)
    told: list[tuple[int, int]] = []
    table = write_table(tmp_path / "t.csv", [person("S1"), person("S2")])
    import_cohort(table, tmp_path / "source", tmp_path / "cohort", lambda *done: told.append(done))
    assert told == [(0, 2), (1, 2), (2, 2)]
