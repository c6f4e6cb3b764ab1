"""The front door: all DICOM objects of one examination, made and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom import Dataset

from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.io.facts import quietly
from kneeage.io.series import LoadedSeries
from kneeage.report.dicom.documents import encapsulated_pdf, secondary_capture
from kneeage.report.dicom.making import SegmentationType, making_of
from kneeage.report.dicom.measurements import measurements
from kneeage.report.dicom.segmentation import segmentation

SEGMENTATION_FILE, MEASUREMENTS_FILE = "segmentation.dcm", "measurements.dcm"
PREVIEW_FILE, REPORT_FILE = "preview.dcm", "report.dcm"


def dicom_objects(
    result: Result,
    series: LoadedSeries,
    labels: Volume | None,
    *,
    preview_png: bytes | None = None,
    report_pdf: bytes | None = None,
    lang: str = "en",
    segmentation_type: SegmentationType = SegmentationType.BINARY,
) -> dict[str, Dataset]:
    """Make the DICOM objects of an examination, in the study of its source series.

    Args:
        result: The answer, estimated or abstained from.
        series: The series, read from DICOM files.
        labels: Labels on its grid, uint8; None or all background where nothing was labelled: no segmentation then.
        preview_png: The preview; None: no secondary capture.
        report_pdf: The report; None: no encapsulated PDF.
        lang: Language of the report.
        segmentation_type: How the segmentation is encoded.

    Returns:
        The objects by file name, the segmentation before the measurements that refer to it.

    Raises:
        UsageError: The series was not read from DICOM files, or the report is not a PDF.
        InputRefusedError: The source lacks what objects must refer to.
        GeometryError: The labels lie on another grid than the series.
    """
    making = making_of(result, series, labels)
    segments = None if making.labels is None else segmentation(making, making.labels, segmentation_type)
    objects = {} if segments is None else {SEGMENTATION_FILE: segments.object}
    objects[MEASUREMENTS_FILE] = measurements(making, segments)
    if preview_png is not None:
        objects[PREVIEW_FILE] = secondary_capture(making, preview_png)
    if report_pdf is not None:
        objects[REPORT_FILE] = encapsulated_pdf(making, report_pdf, lang)
    return objects


def write_objects(folder: Path, objects: Mapping[str, Dataset]) -> None:
    """Write objects as files of PS3.10.

    Args:
        folder: Where to; it is made if it is not there.
        objects: The objects by file name.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in objects.items():
        with quietly(), (folder / name).open("wb") as file:
            made.save_as(file, enforce_file_format=True)
