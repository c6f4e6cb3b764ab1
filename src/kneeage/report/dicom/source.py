"""The source series as derived objects see it: its references, its geometry, and the identity that they repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset, config
from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.uid import MRImageStorage
from pydicom.valuerep import DSfloat, validate_value

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.io.facts import READ_ERRORS, Facts
from kneeage.io.origin import LOSSY, REPEATED, DicomOrigin, OriginFrame
from kneeage.io.series import LoadedSeries
from kneeage.io.write import slice_distance

# Every object has these, empty where the source has no value (type 2).
# Source: DICOM PS3.3 sections C.7.1.1 (Patient) and C.7.2.1 (General Study).
_ALWAYS_THERE = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
# The archive finds the study by these, so they are repeated even where the source breaks the standard.
_AS_WRITTEN = frozenset(
    {"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName"}
)
# No real object has such a UID: it is never written.
_STAND_IN_ROOT = "2.25."


@dataclass(frozen=True)
class SourceInstance:
    """One instance of the source, with the frames that were used.

    Args:
        sop_class_uid: SOP Class UID.
        sop_instance_uid: SOP Instance UID.
        frame_numbers: From 1; empty for a single-frame instance.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_numbers: tuple[int, ...] = ()

    def reference(self) -> Dataset:
        """Make an item that refers to it as a whole."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.sop_class_uid
        item.ReferencedSOPInstanceUID = self.sop_instance_uid
        return item

    def frame_reference(self) -> Dataset:
        """Make an item that refers to its frames that were used."""
        item = self.reference()
        if self.frame_numbers:
            item.ReferencedFrameNumber = list(self.frame_numbers)
        return item


@dataclass(frozen=True, eq=False)
class Source:
    """A DICOM series that objects are derived from.

    Args:
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        frame_of_reference_uid: Frame of Reference UID.
        frames: What each slice was read from, in the order of the volume's K axis.
        rows: Rows of a slice.
        columns: Columns of a slice.
        spacing_mm: Distance of neighbouring slices along their normal.
        header: Attributes that the objects repeat, the subject's identity among them.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    frames: tuple[OriginFrame, ...]
    rows: int
    columns: int
    spacing_mm: float
    header: Dataset = field(repr=False)

    @property
    def number(self) -> int:
        """The source's series number, 0 where it has none."""
        return Facts(self.header).whole("SeriesNumber") or 0

    def instances(self, slices: Sequence[int] | None = None) -> list[SourceInstance]:
        """List the instances of some slices (None: of all), each once, in the order of the slices."""
        found: dict[str, SourceInstance] = {}
        for k in range(len(self.frames)) if slices is None else slices:
            frame = self.frames[k]
            uid, number = str(frame.sop_instance_uid), frame.frame_number
            numbers = (*(found[uid].frame_numbers if uid in found else ()), *(() if number is None else (number,)))
            found[uid] = SourceInstance(str(frame.sop_class_uid), uid, numbers)
        return list(found.values())

    def series_reference(self, slices: Sequence[int] | None = None) -> Dataset:
        """Make an item of the Referenced Series Sequence. Source: DICOM PS3.3 section C.12.2."""
        item = Dataset()
        item.SeriesInstanceUID = self.series_uid
        item.ReferencedInstanceSequence = [one.reference() for one in self.instances(slices)]
        return item


def source_of(series: LoadedSeries) -> Source:
    """Take from a series what derived objects need.

    Args:
        series: A series that was read from DICOM files.

    Returns:
        The source.

    Raises:
        UsageError: The series was not read from DICOM files.
        InputRefusedError: Its header lacks what objects must refer to.
    """
    origin = series.origin
    if origin is None:
        raise UsageError(
            "DICOM objects refer to the DICOM series that they were made from; the source is NIfTI: give the DICOM "
            "series, or leave out --dicom"
        )
    _require_instances(origin)
    columns, rows, _ = series.volume.shape
    return Source(
        study_uid=_one_uid(origin, "study_uid", "Study Instance UID"),
        series_uid=_one_uid(origin, "series_uid", "Series Instance UID"),
        frame_of_reference_uid=_one_uid(origin, "frame_of_reference_uid", "Frame of Reference UID"),
        frames=origin.frames,
        rows=rows,
        columns=columns,
        spacing_mm=slice_distance(series.volume),
        header=origin.header,
    )


def identity(source: Source) -> Iterator[DataElement]:
    """Give the attributes of subject and study that objects repeat.

    Values that the standard forbids are left out, but for those that the archive finds the study by.

    Args:
        source: The source.

    Yields:
        Attributes, those of type 2 always, empty where the source has no valid value.
    """
    for keyword in REPEATED:
        element = _read(source.header, keyword)
        if element is not None and (keyword in _AS_WRITTEN or _is_valid(element)):
            yield element
        elif keyword in _ALWAYS_THERE:
            empty = Dataset()
            setattr(empty, keyword, "")
            yield empty[keyword]


def stand_ins(source: Source) -> list[Dataset]:
    """Make one image header per slice, single-frame and without identity, numbered by its UID.

    The library that writes segmentations copies from them; references are set to the source afterwards.

    Args:
        source: The source.

    Returns:
        Headers in the order of the volume's K axis.
    """
    return [_stand_in(source, k) for k in range(len(source.frames))]


def stand_in_number(uid: str) -> int:
    """Say which slice the stand-in with a UID stands for."""
    return int(uid.removeprefix(_STAND_IN_ROOT)) - 1


def evidence(source: Source) -> list[Dataset]:
    """Make one image header per instance of the source, without identity, with the true UIDs.

    Args:
        source: The source.

    Returns:
        Headers; those of multi-frame instances say nothing of geometry.
    """
    first = {str(frame.sop_instance_uid): k for k, frame in reversed(list(enumerate(source.frames)))}
    headers = []
    for instance in source.instances():
        header = _stand_in(source, first[instance.sop_instance_uid])
        header.SOPClassUID, header.SOPInstanceUID = instance.sop_class_uid, instance.sop_instance_uid
        if instance.frame_numbers:
            header.Modality = ""
        headers.append(header)
    return headers


def _one_uid(origin: DicomOrigin, name: str, words: str) -> str:
    """Give the UID that all slices share."""
    found = {getattr(frame, name) for frame in origin.frames}
    uid = found.pop()
    if found or uid is None:
        has = f"several {words}s" if found else f"no {words}"
        raise InputRefusedError(
            f"the source has {has}, so no DICOM object can refer to it; send the original series, or leave out --dicom"
        )
    return str(uid)


def _require_instances(origin: DicomOrigin) -> None:
    """Refuse slices that cannot be told apart by reference."""
    places = [(frame.sop_instance_uid, frame.frame_number) for frame in origin.frames]
    if len(set(places)) < len(places) or any(uid is None for uid, _ in places):
        raise InputRefusedError(
            "slices of the source have no SOP Instance UID of their own, so no DICOM object can refer to them; "
            "send the original series, or leave out --dicom"
        )


def _read(header: Dataset, keyword: str) -> DataElement | None:
    """Read an attribute; None where it is absent, empty or damaged."""
    try:
        element: DataElement = header[keyword]
    except READ_ERRORS:
        return None
    return None if element.is_empty else element


def _is_valid(element: DataElement) -> bool:
    """Say whether the standard allows the value of an attribute."""
    values = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
    allowed = _ALLOWED.get(element.keyword)
    if allowed is not None:
        return all(allowed(str(value)) for value in values)
    try:
        for value in values if element.VR != "SQ" else ():
            validate_value(element.VR, str(value), config.RAISE)
    except ValueError:
        return False
    return True


def offset_of(header: Dataset) -> str | None:
    """Give the source's offset from UTC, such as ``"+0800"``; None where it states none that is valid."""
    element = _read(header, "TimezoneOffsetFromUTC")
    return str(element.value) if element is not None and _is_valid(element) else None


def _stand_in(source: Source, k: int) -> Dataset:
    """Make an image header for slice k; the orientation of the first slice stands for all."""
    first, plane = source.frames[0].plane, source.frames[k].plane
    header = Dataset()
    for keyword in _ALWAYS_THERE:
        setattr(header, keyword, None)
    header.Modality = "MR"
    header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, f"{_STAND_IN_ROOT}{k + 1}"
    header.StudyInstanceUID, header.SeriesInstanceUID = source.study_uid, source.series_uid
    header.FrameOfReferenceUID = source.frame_of_reference_uid
    header.Rows, header.Columns = source.rows, source.columns
    header.ImageOrientationPatient = _decimals(first.orientation)
    header.ImagePositionPatient = _decimals(plane.position_mm)
    header.PixelSpacing = _decimals(first.pixel_spacing_mm)
    header.SliceThickness = DSfloat(first.thickness_mm or source.spacing_mm, auto_format=True)
    header.SpacingBetweenSlices = DSfloat(source.spacing_mm, auto_format=True)
    lossy = [_read(source.header, keyword) for keyword in LOSSY]
    header.update({element.tag: element for element in lossy if element is not None and _is_valid(element)})
    return header


def _decimals(values: Sequence[float] | None) -> list[DSfloat]:
    """Write numbers as decimal strings. Source: DICOM PS3.5 section 6.2 (DS)."""
    return [DSfloat(value + 0.0, auto_format=True) for value in values or ()]


# Source: DICOM PS3.3 section C.7.1.1 (Patient's Sex) and C.12.1 (Timezone Offset From UTC, Specific Character Set).
_ALLOWED: dict[str, Callable[[str], bool]] = {
    "PatientSex": lambda value: value in ("M", "F", "O"),
    "TimezoneOffsetFromUTC": lambda value: re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", value) is not None,
    "SpecificCharacterSet": lambda value: value in python_encoding,
}
