from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ImplicitVRLittleEndian, JPEG2000Lossless

from kneeage.cohort.deidentify import deidentify, read_codes
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.read import load
from kneeage.io.write import DicomHeader, write_dicom_series
from tests.cohort.identities import BIRTH_DATE, IDENTIFIER, NAME, Marks, fill, fill_oddly
from tests.io.support import Made, dataset, enhanced, save, write_series

WHO = {"PatientName": NAME, "PatientID": IDENTIFIER, "PatientBirthDate": BIRTH_DATE}
NAMED = Made(extra=WHO)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read_all(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in _files(folder)]


def _found(folder: Path, marks: list[bytes]) -> set[bytes]:
    """Look for marks in all bytes and all names, whatever their case."""
    everything = [path.read_bytes() for path in _files(folder)]
    names = [str(path.relative_to(folder)).encode() for path in folder.rglob("*")]
    text = b"\0".join([*everything, *names]).lower()
    return {mark for mark in marks if mark.lower() in text}


@pytest.fixture
def short_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number new UIDs from 1: in the thousands of random digits of real ones, chance writes a date now and then."""
    numbers: dict[str, int] = {}
    name = "kneeage.cohort.deidentify.deterministic_uid"
    monkeypatch.setattr(name, lambda _, uid: UID(f"2.25.{numbers.setdefault(uid, len(numbers) + 1)}"))


@pytest.mark.usefixtures("short_uids")
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_no_identifying_value_is_left_in_any_byte(tmp_path: Path, syntax: str | None) -> None:
    marks = Marks()
    made = NAMED.but(SOPInstanceUID=marks.value("UI"), FrameOfReferenceUID=marks.value("UI"))
    one = dataset(made, 0)
    one.StudyInstanceUID, one.SeriesInstanceUID = marks.value("UI"), marks.value("UI")
    fill(one, marks)
    fill_oddly(one, marks)
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    if syntax is not None:
        one.file_meta.TransferSyntaxUID = syntax
    source = save(one, tmp_path / "in" / f"Zyxwvutsson {IDENTIFIER}" / "Quillon.dcm")
    given = [*marks.given, *(part.encode() for part in (*NAME.split("^"), IDENTIFIER, BIRTH_DATE))]
    assert len(given) > 2000
    assert _found(tmp_path / "in", given) == set(given)
    done = deidentify(tmp_path / "in", tmp_path / "out")
    assert (done.subjects, done.files, done.refused) == (1, 1, ())
    assert _found(tmp_path / "out", given) == set()
    assert source.exists()


@pytest.mark.usefixtures("short_uids")
def test_age_size_and_dates_leave(tmp_path: Path) -> None:
    more = {
        "PatientAge": "014Y",
        "PatientSize": "1.655",
        "PatientWeight": "52.25",
        "PatientSex": "M",
        "StudyDate": "20150304",
        "SeriesDate": "20150304",
        "AcquisitionDateTime": "20150304101112",
        "DateOfLastCalibration": "20150303",
    }
    write_series(tmp_path / "in", NAMED.but(**more))
    deidentify(tmp_path / "in", tmp_path / "out")
    for one in _read_all(tmp_path / "out"):
        assert not {"PatientAge", "PatientSize", "PatientWeight", "DateOfLastCalibration"} & set(one.dir())
        assert [one.PatientBirthDate, one.PatientSex, one.StudyDate] == ["", "", ""]
        assert one.SeriesDate == "19000101"
        assert b"2015" not in one.to_json().encode()


def test_written_file_is_valid_dicom(tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; it is in the package dicom3tools")
    header = DicomHeader(uid_seed="any", subject_id=IDENTIFIER, study_date=date(2015, 3, 4), description=NAME)
    volume = Volume(np.arange(96.0).reshape(1, 8, 6, 2), np.diag([0.5, 0.5, 4.0, 1.0]))
    write_dicom_series(tmp_path / "in", volume, header=header)
    deidentify(tmp_path / "in", tmp_path / "out")
    for path in _files(tmp_path / "out"):
        told = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, timeout=60).stderr
        assert [line for line in told.splitlines() if line.startswith("Error")] == []


def test_pixels_and_geometry_are_untouched(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED)
    deidentify(tmp_path / "in", tmp_path / "out")
    before, after = load(tmp_path / "in"), load(tmp_path / "out")
    assert after.pixel_sha256 == before.pixel_sha256
    assert (after.plane, after.header.weighting, after.header.body_parts) == (
        before.plane,
        before.header.weighting,
        before.header.body_parts,
    )
    stored = {one.InstanceNumber: one.PixelData for one in _read_all(tmp_path / "in")}
    assert {one.InstanceNumber: one.PixelData for one in _read_all(tmp_path / "out")} == stored


def test_compressed_pixels_are_not_opened(tmp_path: Path) -> None:
    one = dataset(NAMED, 0)
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.PixelData = encapsulate([b"\xff\x4f\xff\x51 any bytes at all"])
    save(one, tmp_path / "in" / "a.dcm")
    deidentify(tmp_path / "in", tmp_path / "out")
    (after,) = _read_all(tmp_path / "out")
    assert after.PixelData == one.PixelData
    assert after.file_meta.TransferSyntaxUID == JPEG2000Lossless


@pytest.mark.usefixtures("short_uids")
def test_enhanced_image_keeps_its_frames(tmp_path: Path) -> None:
    one = enhanced(NAMED)
    for frame in one.PerFrameFunctionalGroupsSequence:
        item = Dataset()
        item.FrameReferenceDateTime, item.FrameComments = "20150304101112", "Zyxwvutsson"
        frame.FrameContentSequence = Sequence([item])
    save(one, tmp_path / "in" / "a.dcm")
    deidentify(tmp_path / "in", tmp_path / "out")
    assert load(tmp_path / "out").pixel_sha256 == load(tmp_path / "in").pixel_sha256
    assert _found(tmp_path / "out", [b"20150304", b"Zyxwvutsson"]) == set()


def test_uids_are_new_and_the_same_within_a_run(tmp_path: Path) -> None:
    for uid in ("1.2.3", "1.2.4"):
        write_series(tmp_path / "in" / uid, Made(slices=3, uid=uid, extra={**WHO, "FrameOfReferenceUID": "1.2.9"}))
    for name in ("one", "two"):
        deidentify(tmp_path / "in", tmp_path / name)
    first, second = (_read_all(tmp_path / name) for name in ("one", "two"))
    assert len({one.StudyInstanceUID for one in first}) == len({one.FrameOfReferenceUID for one in first}) == 1
    assert len({one.SeriesInstanceUID for one in first}) == 2
    assert len({one.SOPInstanceUID for one in first}) == 6
    assert all(one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID for one in first)
    assert all(str(one.SOPInstanceUID).startswith("2.25.") for one in first)
    assert not {one.SOPInstanceUID for one in first} & {one.SOPInstanceUID for one in second}
    assert {one.SOPClassUID for one in first} == {dataset(Made(), 0).SOPClassUID}


def test_file_says_how_it_was_done(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED.but(DeidentificationMethod=f"by hand, {NAME}"))
    deidentify(tmp_path / "in", tmp_path / "out")
    for one in _read_all(tmp_path / "out"):
        assert one.PatientIdentityRemoved == "YES"
        assert one.DeidentificationMethod[0] == "DICOM PS3.15 2026c Basic Application Level Confidentiality"
        assert all(len(words) <= 64 for words in one.DeidentificationMethod)
        assert [item.CodeValue for item in one.DeidentificationMethodCodeSequence] == ["113100"]
        assert one.LongitudinalTemporalInformationModified == "REMOVED"


def test_files_are_named_by_code_and_number(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "Zyxwvutsson", NAMED)
    write_series(tmp_path / "in" / "Zyxwvutsson", Made(slices=1, uid="1.2.4", extra=WHO))
    write_series(tmp_path / "in" / "later", Made(slices=1, uid="1.2.5", study="1.9", extra=WHO))
    deidentify(tmp_path / "in", tmp_path / "out", codes={IDENTIFIER: "K7"})
    names = [path.relative_to(tmp_path / "out").as_posix() for path in _files(tmp_path / "out")]
    expected = [f"K7/study_1/series_1/{n:04d}.dcm" for n in range(1, 13)]
    assert names == [*expected, "K7/study_1/series_2/0001.dcm", "K7/study_2/series_1/0001.dcm"]
    assert {(one.PatientID, str(one.PatientName)) for one in _read_all(tmp_path / "out")} == {("K7", "K7^")}


def _many(folder: Path, people: int) -> None:
    for n in range(people):
        who = {"PatientID": f"{IDENTIFIER}-{n}", "PatientName": f"{NAME}{chr(65 + n)}"}
        write_series(folder / str(n), Made(slices=1, uid=f"1.2.{n}", study=f"1.3.{n}", extra=who))


def test_key_tells_who_is_who_and_serves_as_the_next_table(tmp_path: Path) -> None:
    _many(tmp_path / "in", 5)
    deidentify(tmp_path / "in", tmp_path / "out", key=tmp_path / "key.csv")
    codes = read_codes(tmp_path / "key.csv")
    assert set(codes) == {f"{IDENTIFIER}-{n}" for n in range(5)}
    assert sorted(codes.values()) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert sorted(codes.values()) == ["S0001", "S0002", "S0003", "S0004", "S0005"]
    deidentify(tmp_path / "in", tmp_path / "again", codes=codes)
    pixels = [{one.PatientID: one.PixelData for one in _read_all(tmp_path / name)} for name in ("out", "again")]
    assert pixels[0] == pixels[1]


def test_order_of_the_codes_is_left_to_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _many(tmp_path / "in", 3)
    monkeypatch.setattr("kneeage.cohort.deidentify.SystemRandom.shuffle", lambda _self, subjects: subjects.reverse())
    deidentify(tmp_path / "in", tmp_path / "out", key=tmp_path / "key.csv")
    assert read_codes(tmp_path / "key.csv") == {f"{IDENTIFIER}-{n}": f"S000{3 - n}" for n in range(3)}


def test_code_is_nobody_s_identifier(tmp_path: Path) -> None:
    write_series(tmp_path / "in", Made(slices=1, extra={"PatientID": "S0001", "PatientName": None}))
    deidentify(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["S0002"]


def test_subject_without_a_code_is_left_out(tmp_path: Path) -> None:
    _many(tmp_path / "in", 2)
    done = deidentify(tmp_path / "in", tmp_path / "out", codes={f"{IDENTIFIER}-1": "B", "somebody else": "C"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["B"]
    (refused,) = done.refused
    assert refused.file.startswith("0/")
    assert "not in the table of codes" in refused.reason


def test_burned_in_text_is_refused_and_silence_is_counted(tmp_path: Path) -> None:
    def edit(one: Dataset, k: int) -> None:
        if k < 2:
            one.BurnedInAnnotation = ("YES", "NO")[k]

    write_series(tmp_path / "in", NAMED, edit)
    done = deidentify(tmp_path / "in", tmp_path / "out")
    assert (done.files, done.unstated) == (11, 10)
    assert [refused.reason[:29] for refused in done.refused] == ["text is burned into its pixel"]


def test_other_files_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    paths = write_series(folder, NAMED)
    (folder / "notes.txt").write_text("hello", encoding="utf-8")
    (folder / "cut.dcm").write_bytes(paths[0].read_bytes()[:400])
    save(dataset(NAMED.but(Modality="OT"), 0), folder / "other.dcm")
    save(dataset(Made(study="", extra={"PatientID": "", "PatientName": ""}), 0), folder / "whose.dcm")
    done = deidentify(folder, tmp_path / "out")
    assert {refused.file: refused.reason.partition(";")[0] for refused in done.refused} == {
        "notes.txt": "it is no DICOM image",
        "cut.dcm": "is cut short inside its DICOM header",
        "other.dcm": "its modality is OT",
        "whose.dcm": "it names no subject and no study",
    }


def test_several_names_of_one_subject_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED, lambda one, k: setattr(one, "PatientName", NAME if k else "Maiden^Quillon"))
    assert deidentify(tmp_path / "in", tmp_path / "out").renamed == 1


def test_name_in_a_text_that_stays_is_removed(tmp_path: Path) -> None:
    more = {"SequenceName": "se_zyxwvutsson", "ReceiveCoilName": "Knee 15", "Manufacturer": "Quillon Imaging"}
    write_series(tmp_path / "in", NAMED.but(BodyPartExamined="KNEE", **more))
    deidentify(tmp_path / "in", tmp_path / "out")
    for one in _read_all(tmp_path / "out"):
        assert "SequenceName" not in one
        assert "Manufacturer" not in one
        assert (one.ReceiveCoilName, one.BodyPartExamined) == ("Knee 15", "KNEE")


def test_chinese_name_is_found_in_any_encoding(tmp_path: Path) -> None:
    more = {"SpecificCharacterSet": "GB18030", "PatientName": "测试甲^乙丙", "Manufacturer": "测试甲"}
    write_series(tmp_path / "in", NAMED.but(**more))
    deidentify(tmp_path / "in", tmp_path / "out")
    assert _found(tmp_path / "out", ["测试甲".encode(code) for code in ("utf-8", "gb18030")]) == set()


def test_identifier_among_the_pixels_is_refused(tmp_path: Path) -> None:
    mark = f"  {IDENTIFIER}".encode()
    plain = bytes(2 * 6 * 8)
    write_series(
        tmp_path / "in",
        NAMED,
        lambda one, k: setattr(one, "PixelData", mark + plain[len(mark) :] if k == 3 else plain),
    )
    done = deidentify(tmp_path / "in", tmp_path / "out")
    assert done.files == 11
    assert [refused.reason for refused in done.refused] == [
        "a name or identifier is left in it after all, perhaps among its pixels"
    ]


def test_virtual_image_stays_marked(tmp_path: Path) -> None:
    who = {"PatientID": "virtual-000001", "PatientName": "virtual^kneeage"}
    write_series(tmp_path / "in", Made(extra={**who, "Manufacturer": VIRTUAL_IMAGE_MARK}))
    deidentify(tmp_path / "in", tmp_path / "out")
    assert load(tmp_path / "out").header.virtual


def test_damaged_value_goes_and_the_image_stays(tmp_path: Path) -> None:
    for path in write_series(tmp_path / "in", NAMED.but(ImagingFrequency="63")):
        path.write_bytes(path.read_bytes().replace(b"DS\x02\x0063", b"DS\x02\x00QQ", 1))
    done = deidentify(tmp_path / "in", tmp_path / "out")
    assert (done.files, done.refused) == (12, ())
    assert not any("ImagingFrequency" in one for one in _read_all(tmp_path / "out"))


def test_zip_is_read_too(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", NAMED)
    with zipfile.ZipFile(tmp_path / "Zyxwvutsson.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"Zyxwvutsson/{path.name}")
    assert deidentify(tmp_path / "Zyxwvutsson.zip", tmp_path / "out").files == 12
    assert _found(tmp_path / "out", [b"Zyxwvutsson"]) == set()


def test_nothing_to_do_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Quillon.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(InputRefusedError, match="none of the 1 files can be de-identified: it is no DICOM") as caught:
        deidentify(tmp_path / "in", tmp_path / "out", key=tmp_path / "key.csv")
    assert "Quillon" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_broken_run_leaves_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED)

    def stop(done: int, _total: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deidentify(tmp_path / "in", tmp_path / "out", key=tmp_path / "key.csv", tell=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_progress_is_told(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED)
    told: list[tuple[int, int]] = []
    deidentify(tmp_path / "in", tmp_path / "out", tell=lambda done, total: told.append((done, total)))
    assert told == [(n, 24) for n in range(1, 25)]


def test_places_must_lie_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "in", NAMED)
    with pytest.raises(UsageError, match="lies inside the source"):
        deidentify(tmp_path / "in", tmp_path / "in" / "out")
    with pytest.raises(UsageError, match="outside of the output folder"):
        deidentify(tmp_path / "in", tmp_path / "out", key=tmp_path / "out" / "key.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(OutputError, match="not empty"):
        deidentify(tmp_path / "in", tmp_path / "out")


def test_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dicomanonymizer", None)
    with pytest.raises(UsageError, match=r"pip install 'kneeage\[cohort\]'"):
        deidentify(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("patient_id,code\n1,a\n", "column 'subject_id' is missing"),
        ("patient_id,subject_id\n1,a\n1,b\n", "row 3: this patient_id is there twice"),
        ("patient_id,subject_id\n1,a\n2,a\n", "row 3: subject_id 'a' is there twice"),
        ("patient_id,subject_id\n,a\n", "row 2: patient_id is empty"),
        ("patient_id,subject_id\nx17,17\n17,x\n", "row 2: subject_id is a patient_id as well"),
        ("patient_id,subject_id\n1,../a\n", "row 2: subject_id must have"),
        ("patient_id,subject_id\n1,\n", "row 2: subject_id is empty"),
    ],
)
def test_faulty_table_of_codes_is_refused(tmp_path: Path, rows: str, words: str) -> None:
    (tmp_path / "codes.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(InputRefusedError, match=words):
        read_codes(tmp_path / "codes.csv")


@pytest.mark.skipif("KNEEAGE_REALDATA" not in os.environ, reason="KNEEAGE_REALDATA is not set")
def test_real_series_reads_the_same(tmp_path: Path) -> None:
    source = Path(os.environ["KNEEAGE_REALDATA"]) / "knee_t1_coronal_philips"
    done = deidentify(source, tmp_path / "out")
    before, after = load(source), load(tmp_path / "out")
    assert after.pixel_sha256 == before.pixel_sha256
    assert np.allclose(after.volume.affine, before.volume.affine)
    assert after.header.weighting == before.header.weighting == "T1"
    facts: Any = {one.PatientID for one in _read_all(tmp_path / "out")}
    assert (done.subjects, facts) == (1, {"S0001"})
