"""Structured reports, read back with pydicom alone and with dcmtk's dsrdump."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pydicom
import pytest
from pydicom import Dataset

from kneeage.core.result import Result, SkeletalStages
from kneeage.report.dicom.measurements import NO_AGE_WORDS
from kneeage.report.dicom.objects import MEASUREMENTS_FILE, SEGMENTATION_FILE, dicom_objects
from tests.report.conftest import bundle
from tests.report.dicom.conftest import Case

Cases = Callable[[str], Case]
_OF_AGE = ("AGE_ESTIMATE", "AGE_INTERVAL", "AGE_THRESHOLD", "AGE_MODE", "P_AT_LEAST")


def _items(level: Dataset) -> Iterator[Dataset]:
    """Walk the content tree."""
    for item in level.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _name(item: Dataset) -> str:
    code = item.ConceptNameCodeSequence[0]
    return str(code.get("CodeValue") or code.get("LongCodeValue"))


def _groups(report: Dataset) -> dict[str, Dataset]:
    """Measurement groups by what tracks them."""
    groups = [item for item in _items(report) if item.ValueType == "CONTAINER" and _name(item) == "125007"]
    return {next(_texts(group, "112039")): group for group in groups}


def _texts(level: Dataset, code: str) -> Iterator[str]:
    yield from (item.TextValue for item in level.ContentSequence if item.ValueType == "TEXT" and _name(item) == code)


def _numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    """Numbers of a group with their units."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            value = item.MeasuredValueSequence[0]
            unit = value.MeasurementUnitsCodeSequence[0]
            assert unit.CodingSchemeDesignator == "UCUM"
            found[_name(item)] = (float(value.NumericValue), unit.CodeValue)
    return found


def _codes(group: Dataset) -> dict[str, str]:
    items = [item for item in group.ContentSequence if item.ValueType == "CODE"]
    return {_name(item): item.ConceptCodeSequence[0].CodeValue for item in items}


def _report(case: Case, result: Result) -> Dataset:
    return dicom_objects(result, case.series, case.labels)[MEASUREMENTS_FILE]


def test_each_plate_has_its_measurements_with_units(cases: Cases) -> None:
    groups = _groups(pydicom.dcmread(cases("coronal").objects / MEASUREMENTS_FILE))
    femur, tibia = groups["distal_femur growth plate"], groups["proximal_tibia growth plate"]
    assert _numbers(femur) == {
        "OPENNESS": (0.5, "{ratio}"),
        "59089-3": (2.4, "mm"),
        "42798000": (1230.4, "mm2"),
        "118565006": (2950.0, "mm3"),
    }
    assert _numbers(tibia) == {"OPENNESS": (0.0, "{ratio}")}
    assert _codes(femur)["SITE_SEEN"] == "373066001"
    assert _codes(femur)["121071"] == "711190000"
    assert (_codes(femur)["363698007"], _codes(tibia)["363698007"]) == ("310652005", "12611008")


def test_a_plate_refers_to_its_segment_and_the_slices_that_show_it(cases: Cases) -> None:
    case = cases("enhanced of two echoes")
    seg = pydicom.dcmread(case.objects / SEGMENTATION_FILE)
    numbers = {item.TrackingID: item.SegmentNumber for item in seg.SegmentSequence}
    groups = _groups(pydicom.dcmread(case.objects / MEASUREMENTS_FILE))
    for plate, segment in (
        ("distal_femur growth plate", "distal_femur_physis"),
        ("proximal_tibia growth plate", "proximal_tibia_physeal_scar"),
    ):
        images = [item.ReferencedSOPSequence[0] for item in groups[plate].ContentSequence if item.ValueType == "IMAGE"]
        assert images[0].ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert images[0].ReferencedSegmentNumber == numbers[segment]
        frames = [
            int(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
            for group in seg.PerFrameFunctionalGroupsSequence
            if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == numbers[segment]
        ]
        assert len(images) == 2
        assert sorted(int(number) for number in images[1].ReferencedFrameNumber) == sorted(frames)


def test_the_evidence_is_the_source_and_the_segmentation(cases: Cases) -> None:
    case = cases("coronal")
    report = pydicom.dcmread(case.objects / MEASUREMENTS_FILE)
    seg = pydicom.dcmread(case.objects / SEGMENTATION_FILE)
    sources = {str(pydicom.dcmread(path).SOPInstanceUID) for path in case.source.iterdir()}
    study = report.CurrentRequestedProcedureEvidenceSequence
    assert [item.StudyInstanceUID for item in study] == [seg.StudyInstanceUID]
    found = {
        item.SeriesInstanceUID: {one.ReferencedSOPInstanceUID for one in item.ReferencedSOPSequence}
        for item in study[0].ReferencedSeriesSequence
    }
    assert found == {"1.2.3": sources, seg.SeriesInstanceUID: {seg.SOPInstanceUID}}


def test_age_interval_and_thresholds_come_from_a_bundle_of_real_subjects(cases: Cases, real: Result) -> None:
    groups = _groups(_report(cases("coronal"), real))
    assert _numbers(groups["age estimate"]) == {"AGE_MODE": (16.5, "a")}
    assert _numbers(groups["age interval 1"]) == {
        "INTERVAL_LEVEL": (0.95, "1"),
        "INTERVAL_LOW": (13.97, "a"),
        "INTERVAL_HIGH": (19.31, "a"),
    }
    assert _numbers(groups["age threshold 14"]) == {"AGE_THRESHOLD": (14.0, "a"), "P_AT_LEAST": (0.951, "1")}
    assert _codes(groups["age threshold 14"])["DECISION"] == "UNDETERMINED"
    assert [name for name in groups if name.startswith("age threshold")] == [
        f"age threshold {age}" for age in (12, 14, 16, 18)
    ]


def test_an_interval_that_is_open_upwards_has_no_upper_end(cases: Cases, real: Result) -> None:
    interval = real.interval_years[0].model_copy(update={"high": None})
    groups = _groups(_report(cases("coronal"), real.model_copy(update={"interval_years": [interval]})))
    assert "INTERVAL_HIGH" not in _numbers(groups["age interval 1"])


@pytest.mark.parametrize("population", ["virtual", None])
def test_no_age_comes_from_a_virtual_bundle_or_an_unknown_one(
    cases: Cases, estimated: Result, population: str | None
) -> None:
    said = None if population is None else bundle(population)
    warning = "the most probable age is the oldest that is considered"
    report = _report(cases("coronal"), estimated.model_copy(update={"bundle": said, "warnings": [warning]}))
    words = report.to_json()
    assert not [code for code in (*_OF_AGE, warning) if code in words]
    assert set(_groups(report)) == {"examination", "distal_femur growth plate", "proximal_tibia growth plate"}
    assert NO_AGE_WORDS in _texts(_groups(report)["examination"], "121106")
    assert "demonstration only" in report.SeriesDescription


def test_an_abstention_says_why_and_gives_no_age(cases: Cases, abstained: Result) -> None:
    result = abstained.model_copy(update={"bundle": bundle("hospital A")})
    report = dicom_objects(result, cases("coronal").series, None)[MEASUREMENTS_FILE]
    groups = _groups(report)
    assert list(groups) == ["examination"]
    assert _codes(groups["examination"])["OUTCOME"] == "ABSTAINED"
    assert any(text.startswith("plate_site_not_seen: ") for text in _texts(groups["examination"], "121106"))


def test_stages_are_coded_where_they_were_graded(cases: Cases, real: Result) -> None:
    stages = SkeletalStages(dedouit="3", schmeling_kellinghaus="2c")
    femur = real.plates["distal_femur"].model_copy(update={"stages": stages})
    groups = _groups(_report(cases("coronal"), real.model_copy(update={"plates": {"distal_femur": femur}})))
    codes = _codes(groups["distal_femur growth plate"])
    assert (codes["STAGE_DEDOUIT"], codes["STAGE_SCHMELING"]) == ("DEDOUIT_3", "SCHMELING_2C")


def test_two_intervals_of_one_level_are_told_apart(cases: Cases, real: Result) -> None:
    report = _report(cases("coronal"), real.model_copy(update={"interval_years": real.interval_years * 2}))
    groups = [item for item in _items(report) if item.ValueType == "CONTAINER" and _name(item) == "125007"]
    tracked = [item.UID for group in groups for item in group.ContentSequence if item.ValueType == "UIDREF"]
    assert len(tracked) == len(set(tracked)) == len(_groups(report)) == len(groups)


def test_a_plate_that_was_not_drawn_is_measured_without_a_segment(cases: Cases, real: Result) -> None:
    report = dicom_objects(real, cases("coronal").series, None)[MEASUREMENTS_FILE]
    group = _groups(report)["distal_femur growth plate"]
    assert not [item for item in group.ContentSequence if item.ValueType == "IMAGE"]
    assert _numbers(group)["OPENNESS"] == (0.5, "{ratio}")


def test_it_is_an_unsigned_draft_by_a_device(cases: Cases) -> None:
    report = pydicom.dcmread(cases("coronal").objects / MEASUREMENTS_FILE)
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    observer = {_name(item): item for item in report.ContentSequence}
    assert observer["121005"].ConceptCodeSequence[0].CodeValue == "121007"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    group = _groups(report)["examination"]
    assert list(_texts(group, "111001")) == ["virtual-knee"]
    assert f"bundle SHA-256 {'cd' * 32}" in _texts(group, "111002")


def test_own_code_values_are_short_enough_for_every_reader(cases: Cases) -> None:
    report = pydicom.dcmread(cases("coronal").objects / MEASUREMENTS_FILE)
    assert "00080119" not in report.to_json()  # Long Code Value
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99KNEEAGE"


def test_words_are_written_in_the_plainest_characters(cases: Cases, real: Result) -> None:
    report = _report(cases("coronal"), real.model_copy(update={"warnings": ["膝 a\\b"]}))
    assert "? a/b" in _texts(_groups(report)["examination"], "121106")


@pytest.mark.parametrize("name", ["coronal", "left", "enhanced of two echoes"])
def test_dsrdump_reads_the_whole_tree(cases: Cases, name: str) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed; it is in the package dcmtk")
    path = cases(name).objects / MEASUREMENTS_FILE
    done = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    words = (
        '"Thickness")="2.4" (mm,UCUM',
        '"Area")="1230.4" (mm2,UCUM',
        '"Most probable chronological age")="16.5" (a',
    )
    assert [word for word in words if word not in done.stdout] == []
