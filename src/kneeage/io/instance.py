"""What one DICOM file says about itself: facts without the subject's identity."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.uid import UID

from kneeage.core.errors import InputRefusedError
from kneeage.io.geometry import SlicePlane
from kneeage.io.item import SourceItem


@dataclass(frozen=True)
class Acquisition:
    """How a frame was acquired; None or empty where the header does not say.

    Args:
        image_type: Image Type or Frame Type, upper case.
        sequence: Scanning Sequence, or the Echo Pulse Sequence of an enhanced image.
        variant: Sequence Variant.
        options: Scan Options; None where the attribute is absent.
        sequence_name: The vendor's name of the sequence.
        repetition_time_ms: Repetition time in ms.
        echo_time_ms: Echo time in ms.
        inversion_time_ms: Inversion time in ms.
        flip_angle_degrees: Flip angle in degrees.
        echo_number: Number of the echo.
        contrast: Acquisition Contrast of an enhanced image.
        suppression: Spectrally Selected Suppression or Excitation of an enhanced image.
        contrast_agent: Whether an agent is named.
    """

    image_type: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    options: tuple[str, ...] | None = None
    sequence_name: str = ""
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_degrees: float | None = None
    echo_number: int | None = None
    contrast: str | None = None
    suppression: tuple[str, ...] = ()
    contrast_agent: bool = False


@dataclass(frozen=True)
class Frame:
    """One frame of an instance.

    Args:
        number: Index in the instance, from 0.
        plane: Where it is.
        acquisition: How it was acquired.
        temporal_position: Index in time, None where not stated.
        slope: Rescale slope.
        intercept: Rescale intercept.
    """

    number: int
    plane: SlicePlane
    acquisition: Acquisition
    temporal_position: int | None = None
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM image file by its header, without the subject's identity.

    Args:
        item: The file.
        subject_token: Same for instances of one subject; different in every process.
        series_uid: Series Instance UID, None where absent.
        study_uid: Study Instance UID, None where absent.
        modality: Such as ``"MR"``.
        transfer_syntax: How the file is encoded.
        rows: Rows of a frame.
        columns: Columns of a frame.
        frames: Its frames; empty where ``problem`` forbids to read them.
        texts: Free texts by what they are called in messages.
        body_parts: Body part words: the coded body part, anatomic regions, coil.
        lateralities: Laterality codes by attribute.
        manufacturer: Maker of the equipment.
        field_strength_tesla: Field strength in tesla.
        problem: Why its pixels cannot be used, None when they can.
        sop_class_uid: SOP Class UID, None where absent.
        sop_instance_uid: SOP Instance UID, None where absent.
        frame_of_reference_uid: Frame of Reference UID, None where absent.
    """

    item: SourceItem
    subject_token: str = field(repr=False)
    series_uid: str | None
    study_uid: str | None
    modality: str
    transfer_syntax: UID
    rows: int
    columns: int
    frames: tuple[Frame, ...]
    texts: dict[str, str] = field(repr=False)
    body_parts: tuple[str, ...]
    lateralities: dict[str, str]
    manufacturer: str | None
    field_strength_tesla: float | None
    problem: InputRefusedError | None = None
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    frame_of_reference_uid: str | None = None
