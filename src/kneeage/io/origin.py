"""Where a DICOM series came from: what objects derived from it must repeat, and what they must refer to.

This is the one place that keeps the identity of the subject: an archive files a derived object by it. It is read from
one file of the series, is no part of any result, and is never printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import MRImageStorage

from kneeage.io.dicom import read_header
from kneeage.io.geometry import SlicePlane
from kneeage.io.instance import Frame, Instance

# What an archive files an object by. The subject's age, size and weight are left out on purpose.
# Source: DICOM PS3.3 sections C.7.1.1 (Patient), C.7.2.1 (General Study) and C.12.1 (SOP Common).
REPEATED = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "StudyDescription",
)
# What a derived image says of its source. Source: DICOM PS3.3 section C.7.6.1.1.5 (Lossy Image Compression).
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass(frozen=True)
class OriginFrame:
    """What one slice was read from.

    Args:
        sop_class_uid: SOP Class UID of its instance, None where absent.
        sop_instance_uid: SOP Instance UID of its instance, None where absent.
        frame_number: Its number in a multi-frame instance, from 1; None in a single-frame one.
        frame_of_reference_uid: Frame of Reference UID, None where absent.
        study_uid: Study Instance UID, None where absent.
        series_uid: Series Instance UID, None where absent.
        plane: Where it is, as the header has it.
    """

    sop_class_uid: str | None
    sop_instance_uid: str | None
    frame_number: int | None
    frame_of_reference_uid: str | None
    study_uid: str | None
    series_uid: str | None
    plane: SlicePlane


@dataclass(frozen=True, eq=False)
class DicomOrigin:
    """What a DICOM series was read from.

    Args:
        frames: One per slice, in the order of the volume's K axis.
        header: Attributes of the first slice's file that derived objects repeat, the subject's identity among them.
    """

    frames: tuple[OriginFrame, ...]
    header: Dataset = field(repr=False)


def read_origin(slices: Sequence[tuple[Instance, Frame]]) -> DicomOrigin:
    """Note what slices were read from.

    Args:
        slices: Instance and frame of each slice, in the order of the volume's K axis.

    Returns:
        The origin; nothing is checked yet.

    Raises:
        UndecodableError: The header of the first slice is damaged.
        OSError: Its file cannot be opened.
    """
    header = read_header(slices[0][0].item, (*REPEATED, *LOSSY, "SeriesNumber"))
    return DicomOrigin(tuple(_frame(instance, frame) for instance, frame in slices), header)


def _frame(instance: Instance, frame: Frame) -> OriginFrame:
    """Note what one slice was read from."""
    is_single = instance.sop_class_uid == MRImageStorage and len(instance.frames) == 1
    return OriginFrame(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        frame_number=None if is_single else frame.number + 1,
        frame_of_reference_uid=instance.frame_of_reference_uid,
        study_uid=instance.study_uid,
        series_uid=instance.series_uid,
        plane=frame.plane,
    )
