"""Segmentations are read back with pydicom alone, and every labelled pixel is looked for in the source's world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from kneeage.core.anatomy import Label
from kneeage.core.errors import GeometryError
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report.dicom.making import SegmentationType
from kneeage.report.dicom.objects import MEASUREMENTS_FILE, SEGMENTATION_FILE, dicom_objects, write_objects
from tests.report.dicom.conftest import Case
from tests.report.dicom.sources import SOURCES, labels_of_values
from tests.report.dicom.world import Frame, frames_below, frames_of

Cases = Callable[[str], Case]


def _seg(case: Case) -> Dataset:
    return pydicom.dcmread(case.objects / SEGMENTATION_FILE)


def _labels_by_number(seg: Dataset) -> dict[int, Label]:
    return {item.SegmentNumber: Label[item.TrackingID.upper()] for item in seg.SegmentSequence if item.SegmentNumber}


def _number(frame: Frame) -> int:
    return int(frame.item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _source_of(frame: Frame) -> tuple[str, int | None]:
    """What a frame names as its source: an instance, and the frame of it where it has several."""
    (named,) = frame.item.DerivationImageSequence[0].SourceImageSequence
    number = named.get("ReferencedFrameNumber")
    return str(named.ReferencedSOPInstanceUID), None if number is None else int(number)


def _rows(points: np.ndarray) -> np.ndarray:
    """Sort points so that equal sets are equal arrays."""
    rounded = np.round(points, 3) + 0.0
    return rounded[np.lexsort(rounded.T)]


def _used(case: Case) -> list[Frame]:
    """The source's frames that were read: of two echoes, the later one."""
    frames = frames_below(case.source)
    return frames[len(frames) // 2 :] if case.name == "enhanced of two echoes" else frames


@pytest.mark.parametrize("name", SOURCES)
def test_every_labelled_pixel_lies_where_the_source_has_it(cases: Cases, name: str) -> None:
    case = cases(name)
    frames, used = list(frames_of(case.objects / SEGMENTATION_FILE)), _used(case)
    for number, label in _labels_by_number(_seg(case)).items():
        drawn = [one.world(*np.nonzero(one.pixels)) for one in frames if _number(one) == number]
        wanted = [one.world(*np.nonzero(labels_of_values(one.pixels) == label)) for one in used]
        found, expected = _rows(np.concatenate(drawn)), _rows(np.concatenate(wanted))
        assert found.shape == expected.shape
        assert len(found) > 4
        np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("name", SOURCES)
def test_every_frame_names_the_source_slice_that_it_lies_on(cases: Cases, name: str) -> None:
    case = cases(name)
    by_name = {(one.uid, one.number): one for one in _used(case)}
    labels = _labels_by_number(_seg(case))
    for frame in frames_of(case.objects / SEGMENTATION_FILE):
        source = by_name[_source_of(frame)]
        np.testing.assert_allclose(frame.position, source.position, atol=1e-6)
        np.testing.assert_allclose(frame.orientation, source.orientation, atol=1e-6)
        np.testing.assert_array_equal(frame.pixels != 0, labels_of_values(source.pixels) == labels[_number(frame)])


@pytest.mark.parametrize("name", ["coronal", "tilted oblique", "enhanced of two echoes"])
def test_references_name_the_series_and_the_instances_that_were_used(cases: Cases, name: str) -> None:
    case = cases(name)
    seg = _seg(case)
    one = pydicom.dcmread(next(case.source.iterdir()))
    assert [item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence] == [one.SeriesInstanceUID]
    referred = {
        (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert {uid for _, uid in referred} == {
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for group in seg.PerFrameFunctionalGroupsSequence
    }
    assert {sop_class for sop_class, _ in referred} == {one.SOPClassUID}
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (one.StudyInstanceUID, one.FrameOfReferenceUID)
    assert seg.SeriesInstanceUID != one.SeriesInstanceUID


@pytest.mark.parametrize("name", SOURCES)
def test_frames_are_indexed_by_segment_and_position(cases: Cases, name: str) -> None:
    seg = _seg(cases(name))
    pointers = [item.DimensionIndexPointer for item in seg.DimensionIndexSequence]
    assert pointers == [pydicom.tag.Tag("ReferencedSegmentNumber"), pydicom.tag.Tag("ImagePositionPatient")]
    organisations = {item.DimensionOrganizationUID for item in seg.DimensionIndexSequence}
    assert organisations == {seg.DimensionOrganizationSequence[0].DimensionOrganizationUID}
    indices = [
        tuple(group.FrameContentSequence[0].DimensionIndexValues) for group in seg.PerFrameFunctionalGroupsSequence
    ]
    assert len(set(indices)) == len(indices) == seg.NumberOfFrames


@pytest.mark.parametrize(("name", "code"), [("coronal", "24028007"), ("left", "7771000")])
def test_segments_are_coded_with_their_side(cases: Cases, name: str, code: str) -> None:
    segments = {item.TrackingID: item for item in _seg(cases(name)).SegmentSequence}
    plate = segments["distal_femur_physis"]
    structure, region = plate.SegmentedPropertyTypeCodeSequence[0], plate.AnatomicRegionSequence[0]
    assert (structure.CodeValue, structure.CodingSchemeDesignator) == ("711190000", "SCT")
    assert (region.CodeValue, region.CodingSchemeDesignator) == ("310652005", "SCT")
    assert structure.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == code
    assert region.AnatomicRegionModifierSequence[0].CodeValue == code
    assert segments["distal_femur_epiphysis"].SegmentedPropertyTypeCodeSequence[0].CodeValue == "24571007"
    assert plate.SegmentAlgorithmType == "AUTOMATIC"


@pytest.mark.parametrize("name", ["sagittal", "tilted oblique", "left", "enhanced", "enhanced of two echoes"])
def test_a_label_map_holds_the_permanent_values(cases: Cases, real: Result, tmp_path: Path, name: str) -> None:
    case = cases(name)
    kind = SegmentationType.LABEL_MAP
    write_objects(tmp_path, dicom_objects(real, case.series, case.labels, segmentation_type=kind))
    seg = pydicom.dcmread(tmp_path / SEGMENTATION_FILE)
    assert (seg.SOPClassUID, seg.SegmentationType) == ("1.2.840.10008.5.1.4.1.1.66.7", "LABELMAP")
    assert sorted(_labels_by_number(seg)) == sorted(int(value) for value in np.unique(case.labels.array) if value)
    by_name = {(one.uid, one.number): one for one in _used(case)}
    for frame in frames_of(tmp_path / SEGMENTATION_FILE):
        source = by_name[_source_of(frame)]
        np.testing.assert_array_equal(frame.pixels, labels_of_values(source.pixels))
        np.testing.assert_allclose(frame.position, source.position, atol=1e-6)
        np.testing.assert_allclose(frame.orientation, source.orientation, atol=1e-6)


def test_slices_without_labels_have_no_frame(cases: Cases, real: Result) -> None:
    case = cases("coronal")
    array = case.labels.array.copy()
    array[..., :4] = 0
    array[..., 6:] = 0
    seg = dicom_objects(real, case.series, case.labels.with_array(array))[SEGMENTATION_FILE]
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 2
    assert seg.NumberOfFrames == 2 * len(seg.SegmentSequence)


@pytest.mark.parametrize("nothing", [None, "all background"])
def test_where_nothing_is_labelled_there_is_no_segmentation(
    cases: Cases, abstained: Result, nothing: str | None
) -> None:
    case = cases("coronal")
    empty = None if nothing is None else case.labels.with_array(np.zeros_like(case.labels.array))
    assert list(dicom_objects(abstained, case.series, empty)) == [MEASUREMENTS_FILE]


@pytest.mark.parametrize("move", ["slice", "flip", "crop"])
def test_labels_on_another_grid_are_refused(cases: Cases, real: Result, move: str) -> None:
    case = cases("coronal")
    moved = {
        "slice": Volume(case.labels.array, _shifted(case.labels)),
        "flip": Volume(case.labels.array, case.labels.affine @ np.diag([1, -1, 1, 1])),
        "crop": Volume(case.labels.array[:, 1:], case.labels.affine),
    }
    with pytest.raises(GeometryError, match="do not lie on the grid of the source"):
        dicom_objects(real, case.series, moved[move])


def _shifted(labels: Volume) -> np.ndarray:
    """Move a grid by one slice."""
    affine = labels.affine.copy()
    affine[:3, 3] += affine[:3, 2]
    return affine


def test_the_origin_follows_the_order_of_the_volume(cases: Cases) -> None:
    case = cases("enhanced")
    positions = [frame.plane.position_mm for frame in case.series.origin.frames]
    worlds = case.series.volume.world([(0, 0, k) for k in range(len(positions))])
    np.testing.assert_allclose(np.array(positions) * [-1, -1, 1], worlds, atol=1e-6)
