"""All objects of an examination: conformance, identity, UIDs, dates, and sources that cannot be referred to."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.result import Result
from kneeage.io.read import load
from kneeage.report.dicom.objects import MEASUREMENTS_FILE, SEGMENTATION_FILE, dicom_objects, write_objects
from tests.io.support import Edit, Made, write_series
from tests.report.conftest import bundle
from tests.report.dicom.conftest import PDF, Case, preview
from tests.report.dicom.sources import HEADER, SOURCES, labels_of, source
from tests.report.dicom.world import frames_of

Cases = Callable[[str], Case]
# What an empty identity brings with it, and a side that nobody states.
_NO_DICOMDIR = "Missing attribute or value that would be needed to build DICOMDIR"
_NO_SIDE = "is only permitted to be empty when actually unknown"
_DATES = {
    "InstanceCreationDate",
    "InstanceCreationTime",
    "SeriesDate",
    "SeriesTime",
    "ContentDate",
    "ContentTime",
    "DateOfSecondaryCapture",
    "TimeOfSecondaryCapture",
    "ContributionDateTime",
}


def _require(tool: str, package: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; it is in the package {package}")


def _complaints(path: Path, *also_fine: str) -> list[str]:
    """What dciodvfy says against a file, but for the codes of our own scheme."""
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=600).stderr
    lines = [line for line in told.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in lines if not any(words in line for words in ("99KNEEAGE", *also_fine))]


def _made(made: Made, result: Result, folder: Path, edit: Edit | None = None) -> dict[str, Dataset]:
    """Write a source, make all its objects, write them and read them back."""
    write_series(folder / "source", made, edit)
    series = load(folder / "source")
    objects = dicom_objects(result, series, labels_of(series), preview_png=preview(), report_pdf=PDF)
    write_objects(folder / "objects", objects)
    return {path.name: pydicom.dcmread(path) for path in sorted((folder / "objects").iterdir())}


def _all_elements(dataset: Dataset) -> Iterator[pydicom.DataElement]:
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _all_elements(item)


@pytest.mark.parametrize("name", SOURCES)
def test_dciodvfy_has_nothing_against_any_object(cases: Cases, name: str) -> None:
    _require("dciodvfy", "dicom3tools")
    paths = sorted(cases(name).objects.iterdir())
    assert len(paths) == 4
    assert {path.name: _complaints(path) for path in paths} == {path.name: [] for path in paths}


def test_dciodvfy_has_nothing_against_objects_of_a_bare_source(real: Result, tmp_path: Path) -> None:
    _require("dciodvfy", "dicom3tools")
    bare = {keyword: None for keyword in HEADER if keyword != "FrameOfReferenceUID"}
    bare |= dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "SliceThickness"))
    objects = _made(source(**bare), real, tmp_path)
    for name, made in objects.items():
        assert _complaints(tmp_path / "objects" / name, _NO_DICOMDIR, _NO_SIDE) == []
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
            assert made[keyword].is_empty


@pytest.mark.parametrize("labelled", [True, False])
def test_dciodvfy_has_nothing_against_objects_of_an_abstention(
    abstained: Result, tmp_path: Path, labelled: bool
) -> None:
    _require("dciodvfy", "dicom3tools")
    series = SOURCES["enhanced oblique left"](tmp_path / "source")
    labels = labels_of(series) if labelled else None
    write_objects(tmp_path / "objects", dicom_objects(abstained, series, labels, preview_png=preview(), report_pdf=PDF))
    paths = sorted((tmp_path / "objects").iterdir())
    assert len(paths) == 3 + labelled
    assert {path.name: _complaints(path) for path in paths} == {path.name: [] for path in paths}


def test_objects_lie_in_the_study_of_their_source_each_in_its_own_series(cases: Cases) -> None:
    case = cases("left")
    one = pydicom.dcmread(next(case.source.iterdir()))
    objects = [pydicom.dcmread(path) for path in case.objects.iterdir()]
    for made in objects:
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
            assert made[keyword].value == one[keyword].value
        assert "PatientAge" not in made
    assert len({made.SeriesInstanceUID for made in objects} | {one.SeriesInstanceUID}) == 5
    assert sorted(made.SeriesNumber for made in objects) == [40101, 40102, 40103, 40104]


def test_an_invalid_value_is_left_out_but_what_the_archive_needs_is_repeated(real: Result, tmp_path: Path) -> None:
    long = "A" * 30
    made = source(PatientSex="0000", StudyTime="noon", AccessionNumber=long, PatientID="1" * 70, PatientName="Knee")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        objects = _made(made, real, tmp_path)
        for one in objects.values():
            assert (one.AccessionNumber, one.PatientID, one.PatientName) == (long, "1" * 70, "Knee")
            assert one["PatientSex"].is_empty
            assert one["StudyTime"].is_empty


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
        ("ISO_IR 192", "Müller^Jürgen".encode()),
        (None, "王^小".encode()),
        (None, "Müller^J".encode("latin-1")),
        ("ISO_IR 999", b"Plain^Name"),
    ],
)
def test_the_name_is_repeated_byte_for_byte(real: Result, tmp_path: Path, charset: str | None, name: bytes) -> None:
    def edit(one: Dataset, _: int) -> None:
        one.PatientName = b"x" * len(name)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tmp_path / "source"
        for path in write_series(folder, source(SpecificCharacterSet=charset), edit):
            path.write_bytes(path.read_bytes().replace(b"x" * len(name), name))
        series = load(folder)
        write_objects(tmp_path, dicom_objects(real, series, labels_of(series)))
        for file in (SEGMENTATION_FILE, MEASUREMENTS_FILE):
            again = pydicom.dcmread(tmp_path / file)
            assert again.get_item("PatientName").value.rstrip() == name
            assert again.get("SpecificCharacterSet") == (None if charset == "ISO_IR 999" else charset)


def test_nothing_of_the_subject_is_printed(
    real: Result, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = {"PatientName": "Geheim", "PatientID": "G" + "eheim" * 20, "PatientBirthDate": "Geheim2001"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path / "source", source(**secret))
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        series = load(tmp_path / "source")
        write_objects(tmp_path, dicom_objects(real, series, labels_of(series)))
    said = [repr(series), repr(series.origin), caplog.text, *capfd.readouterr(), *(str(one.message) for one in warned)]
    assert not [text for text in said if "eheim" in text]


def test_the_same_inputs_give_the_same_bytes(cases: Cases, real: Result, tmp_path: Path) -> None:
    case = cases("coronal")
    for run in ("a", "b"):
        objects = dicom_objects(real, case.series, case.labels, preview_png=preview(), report_pdf=PDF)
        write_objects(tmp_path / run, objects)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes() == (case.objects / path.name).read_bytes()


def test_at_another_hour_only_dates_differ(cases: Cases, real: Result) -> None:
    case = cases("coronal")
    later = real.software.model_copy(update={"result_created_utc": "2026-01-02T03:04:05+00:00"})
    made = [
        dicom_objects(one, case.series, case.labels, preview_png=preview(), report_pdf=PDF)
        for one in (real, real.model_copy(update={"software": later}))
    ]
    for name, first in made[0].items():
        pairs = zip(_all_elements(first), _all_elements(made[1][name]), strict=True)
        differing = {one.keyword for one, other in pairs if one.VR != "SQ" and one.value != other.value}
        assert {"ContentDate", "ContentTime"} <= differing <= _DATES


def test_other_inputs_give_other_uids(cases: Cases, real: Result) -> None:
    case = cases("coronal")
    array = case.labels.array.copy()
    array[0, 0, 0, 0] ^= 1
    other_bundle = real.model_copy(update={"bundle": bundle("hospital A").model_copy(update={"sha256": "ef" * 32})})
    uids = {
        str(dicom_objects(result, series, labels)[MEASUREMENTS_FILE].SOPInstanceUID)
        for result, series, labels in (
            (real, case.series, case.labels),
            (other_bundle, case.series, case.labels),
            (real.model_copy(update={"estimated_age_years": 17.0}), case.series, case.labels),
            (real, case.series, case.labels.with_array(array)),
            (real, cases("sagittal").series, cases("sagittal").labels),
        )
    }
    assert len(uids) == 5
    assert all(uid.startswith("2.25.") and pydicom.uid.UID(uid).is_valid for uid in uids)


def test_every_uid_of_its_own_is_under_the_root_for_uuids(cases: Cases) -> None:
    case = cases("coronal")
    foreign = {"1.2", "1.2.3", "1.2.7", *(f"1.2.3.{k + 1}" for k in range(9))}
    for path in case.objects.iterdir():
        for element in _all_elements(pydicom.dcmread(path)):
            uid = str(element.value)
            if element.VR == "UI" and not uid.startswith("1.2.840.10008.") and uid not in foreign:
                assert uid.startswith("2.25."), element.keyword


@pytest.mark.parametrize(("offset", "date", "hour"), [("+0800", "20251123", "002105"), ("-0330", "20251122", "125105")])
def test_dates_are_in_the_zone_that_the_source_states(
    real: Result, tmp_path: Path, offset: str, date: str, hour: str
) -> None:
    for made in _made(source(TimezoneOffsetFromUTC=offset), real, tmp_path).values():
        assert made.TimezoneOffsetFromUTC == offset
        assert (made.ContentDate, made.ContentTime) == (date, hour)
        assert (made.StudyDate, made.StudyTime) == ("20240229", "101112")


def test_where_the_source_states_no_zone_dates_are_local_and_no_zone_is_claimed(
    cases: Cases, real: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "XYZ-5:45")
    time.tzset()
    try:
        made = dicom_objects(real, cases("coronal").series, None)[MEASUREMENTS_FILE]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (made.ContentDate, made.ContentTime) == ("20251122", "220605")
    assert "TimezoneOffsetFromUTC" not in made


def test_a_lossy_source_is_said_to_be_one(real: Result, tmp_path: Path) -> None:
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12",
        "LossyImageCompressionMethod": "ISO_15444_1",
    }
    seg = _made(source(**lossy), real, tmp_path)[SEGMENTATION_FILE]
    assert (seg.LossyImageCompression, seg.LossyImageCompressionRatio) == ("01", 12)


def test_a_nifti_source_is_refused(real: Result, tmp_path: Path) -> None:
    values = np.arange(6 * 7 * 5, dtype=np.int16).reshape(6, 7, 5)
    nib.save(nib.Nifti1Image(values, np.diag([0.5, 3.0, 0.5, 1.0])), tmp_path / "knee.nii.gz")
    with pytest.raises(UsageError, match="the source is NIfTI: give the DICOM series, or leave out --dicom"):
        dicom_objects(real, load(tmp_path / "knee.nii.gz"), None)


def _other_frame(one: Dataset, k: int) -> None:
    one.FrameOfReferenceUID = f"1.2.{k + 1}"


def _same_uid(one: Dataset, _: int) -> None:
    one.SOPInstanceUID = "1.2.3.1"


@pytest.mark.parametrize(
    ("made", "edit", "words"),
    [
        (source(FrameOfReferenceUID=None), None, "the source has no Frame of Reference UID"),
        (source(), _other_frame, "the source has several Frame of Reference UIDs"),
        (source(StudyInstanceUID=None), None, "the source has no Study Instance UID"),
        (source(), _same_uid, "no SOP Instance UID of their own"),
    ],
)
def test_a_source_that_cannot_be_referred_to_is_refused(
    real: Result, tmp_path: Path, made: Made, edit: Edit | None, words: str
) -> None:
    with pytest.raises(InputRefusedError, match=words):
        _made(made, real, tmp_path, edit)


@pytest.mark.parametrize(
    ("folder", "key"), [("knee_t1_coronal_philips", None), ("knee_multiecho_sagittal_ge", "#echo2")]
)
def test_a_real_series_gets_objects_in_its_place(
    realdata: Path, real: Result, tmp_path: Path, folder: str, key: str | None
) -> None:
    _require("dciodvfy", "dicom3tools")
    uid = pydicom.dcmread(next((realdata / folder).iterdir()), stop_before_pixels=True).SeriesInstanceUID
    series = load(realdata / folder, None if key is None else f"{uid}{key}")
    labels = labels_of(series)
    write_objects(tmp_path, dicom_objects(real, series, labels, preview_png=preview(), report_pdf=PDF))
    of_the_source = set(_complaints(next((realdata / folder).iterdir())))
    for path in tmp_path.iterdir():
        assert set(_complaints(path, _NO_DICOMDIR, _NO_SIDE)) <= of_the_source
    drawn = [
        frame.world(*np.nonzero(frame.pixels)).mean(axis=0) * len(np.nonzero(frame.pixels)[0])
        for frame in frames_of(tmp_path / SEGMENTATION_FILE)
    ]
    places = np.argwhere(labels.array[0])
    wanted = series.volume.world(places).mean(axis=0) * [-1, -1, 1]
    np.testing.assert_allclose(np.sum(drawn, axis=0) / len(places), wanted, atol=0.01)
