"""Write a volume as a classic MR Image Storage series, one file per slice.

The volume's I axis becomes the image columns, J the rows and K the slices; RAS+ turns into LPS here and only here.
Nothing of the header is guessed: what ``DicomHeader`` does not say is written empty where the standard allows it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from kneeage import __version__
from kneeage.core.anatomy import Sex, Side
from kneeage.core.errors import GeometryError, OutputError, UsageError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume

# Rows and columns must be perpendicular to this cosine, the tolerance that readers of the standard commonly apply.
# Source: DICOM PS3.3 section C.7.6.2.1.1 (the row and column direction cosines shall be orthogonal).
MAX_ROW_COLUMN_COSINE = 1e-4
# The largest value of 16 unsigned bits, and of the 12 bits that most scanners store.
LARGEST_VALUE = 65535
LARGEST_12_BIT_VALUE = 4095

_SEX_CODES = {Sex.MALE: "M", Sex.FEMALE: "F", None: ""}
_SIDE_CODES = {Side.LEFT: "L", Side.RIGHT: "R", Side.UNKNOWN: ""}
_LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class DicomHeader:
    """What a written series says about itself.

    Args:
        uid_seed: Text from which all UIDs follow; the same seed gives the same UIDs.
        study_seed: Text from which the study UID follows; empty: ``uid_seed``. Series of one study share it.
        series_uid: Series UID to write in place of the one that follows from the seed.
        study_uid: Study UID to write in place of the one that follows from the seed.
        subject_id: Identifier of the subject (a code, never a name).
        sex: Sex for the header; no part of this package reads it back.
        side: Side of the knee.
        description: Series description, any script.
        body_part: Body part examined, a defined term of PS3.16 annex L.
        manufacturer: Maker of the equipment; ``VIRTUAL_IMAGE_MARK`` marks a computer-generated image.
        model: Model name of the equipment.
        study_date: Date of study, series and acquisition; None: empty.
        series_number: Number of the series in its study.
        acquisition_type: ``"2D"``, or ``"3D"`` for a series of thin slices encoded as one volume.
        scanning_sequence: Defined term such as ``"SE"`` or ``"GR"``; several are separated by a backslash.
        sequence_variant: Defined term such as ``"SK"`` or ``"NONE"``.
        scan_options: Defined term such as ``"FS"`` (fat saturation); empty: none.
        repetition_time_ms: Repetition time in ms.
        echo_time_ms: Echo time in ms.
        inversion_time_ms: Inversion time in ms; None: no inversion pulse.
        echo_train_length: Echoes per excitation.
        echo_number: Number of the echo.
        flip_angle_deg: Flip angle in degrees.
        field_strength_tesla: Magnetic field strength in tesla.
        slice_thickness_mm: Thickness in mm; None: the distance between slice centres (no gap).
    """

    uid_seed: str
    study_seed: str = ""
    series_uid: str | None = None
    study_uid: str | None = None
    subject_id: str = ""
    sex: Sex | None = None
    side: Side = Side.UNKNOWN
    description: str = ""
    body_part: str = "KNEE"
    manufacturer: str = "kneeage"
    model: str = ""
    study_date: date | None = None
    series_number: int = 1
    acquisition_type: str = "2D"
    scanning_sequence: str = "SE"
    sequence_variant: str = "NONE"
    scan_options: str = ""
    repetition_time_ms: float = 500.0
    echo_time_ms: float = 15.0
    inversion_time_ms: float | None = None
    echo_train_length: int = 1
    echo_number: int = 1
    flip_angle_deg: float = 90.0
    field_strength_tesla: float = 1.5
    slice_thickness_mm: float | None = None


def write_dicom_series(folder: Path, volume: Volume, *, header: DicomHeader) -> list[Path]:
    """Write one file per slice, in the order of K.

    Args:
        folder: Folder to write into; it is made if it is not there.
        volume: Grey values of shape (1, I, J, K) between 0 and 65535; they are rounded to integers.
        header: What the series says about itself.

    Returns:
        The files, first slice first.

    Raises:
        UsageError: The values are not finite, or outside 0 to 65535, or there is more than one channel.
        GeometryError: The I and J axes are not perpendicular.
        OutputError: A file cannot be written.
    """
    folder = Path(folder)
    _require_perpendicular(volume)
    stored = _stored_values(volume.array)
    shared = _shared_attributes(volume, stored, header)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write_slice(folder, volume, stored, k, shared, header) for k in range(volume.shape[2])]
    except OSError as error:
        raise OutputError(f"cannot write the DICOM series: {error.strerror or error}; choose another folder") from error


def deterministic_uid(*words: str) -> UID:
    """Make a UID that follows from the words.

    Source: DICOM PS3.5 section B.2, UUID derived UID; RFC 9562 section 5.8 (UUID version 8, custom content).
    """
    digest = bytearray(hashlib.sha256("\x1f".join(words).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return UID(f"2.25.{UUID(bytes=bytes(digest)).int}")


def slice_distance(volume: Volume) -> float:
    """Measure the distance of neighbouring slice planes.

    Args:
        volume: The slices, sheared or not.

    Returns:
        The distance along their normal in mm.
    """
    normal = np.cross(volume.direction[:, 0], volume.direction[:, 1])
    return abs(float(normal @ volume.affine[:3, 2])) / float(np.linalg.norm(normal))


def _require_perpendicular(volume: Volume) -> None:
    """Refuse a volume whose rows and columns DICOM cannot describe."""
    cosine = abs(float(volume.direction[:, 0] @ volume.direction[:, 1]))
    if cosine > MAX_ROW_COLUMN_COSINE:
        raise GeometryError(
            f"rows and columns must be perpendicular in DICOM; their cosine is {cosine:.2g}; resample the volume first"
        )


def _stored_values(array: NDArray[np.generic]) -> NDArray[np.uint16]:
    """Round grey values of shape (1, I, J, K) to stored values of shape (K, J, I)."""
    if array.shape[0] != 1:
        raise UsageError(f"an MR image has one channel; the volume has {array.shape[0]}; write the channels one by one")
    values = np.asarray(array[0], dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if not (low > -0.5 and high < LARGEST_VALUE + 0.5):
        raise UsageError(
            f"grey values must lie between 0 and {LARGEST_VALUE}; found {low:g} to {high:g}; scale the volume first"
        )
    return np.rint(np.moveaxis(values, (2, 1, 0), (0, 1, 2))).astype(np.uint16)


def _shared_attributes(volume: Volume, stored: NDArray[np.uint16], header: DicomHeader) -> dict[str, object]:
    """Collect the attributes that are the same in every instance."""
    return {
        **_subject_and_study(header),
        **_series(header),
        **_equipment(header),
        **_acquisition(volume, header),
        **_plane(volume, header),
        **_pixel_description(stored),
    }


def _subject_and_study(header: DicomHeader) -> dict[str, object]:
    """Patient and General Study modules. Source: DICOM PS3.3 sections C.7.1.1 and C.7.2.1."""
    study_seed = header.study_seed or header.uid_seed
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": f"{header.subject_id}^" if header.subject_id else "",
        "PatientID": header.subject_id,
        "PatientBirthDate": "",
        "PatientSex": _SEX_CODES[header.sex],
        "StudyInstanceUID": header.study_uid or deterministic_uid(study_seed, "study"),
        "StudyDate": _date(header),
        "StudyTime": _time(header),
        "ReferringPhysicianName": "",
        "StudyID": "1",
        "AccessionNumber": "",
    }


def _series(header: DicomHeader) -> dict[str, object]:
    """General Series and Frame of Reference modules. Source: DICOM PS3.3 sections C.7.3.1 and C.7.4.1."""
    study_seed = header.study_seed or header.uid_seed
    return {
        "Modality": "MR",
        "SeriesInstanceUID": header.series_uid or deterministic_uid(header.uid_seed, "series"),
        "SeriesNumber": header.series_number,
        "SeriesDate": _date(header),
        "SeriesTime": _time(header),
        "SeriesDescription": header.description,
        "Laterality": _SIDE_CODES[header.side],
        "BodyPartExamined": header.body_part,
        "PatientPosition": "FFS",
        "FrameOfReferenceUID": deterministic_uid(study_seed, "frame of reference"),
        "PositionReferenceIndicator": "",
    }


def _equipment(header: DicomHeader) -> dict[str, object]:
    """General Equipment and SOP Common modules. Source: DICOM PS3.3 sections C.7.5.1 and C.12.1."""
    equipment: dict[str, object] = {
        "SOPClassUID": MRImageStorage,
        "Manufacturer": header.manufacturer,
        "SoftwareVersions": f"kneeage {__version__}",
    }
    if header.model:
        equipment["ManufacturerModelName"] = header.model
    if header.manufacturer == VIRTUAL_IMAGE_MARK:
        equipment["ImageComments"] = "Computer-generated image; shows no living subject"
    return equipment


def _acquisition(volume: Volume, header: DicomHeader) -> dict[str, object]:
    """General Image and MR Image modules. Source: DICOM PS3.3 sections C.7.6.1 and C.8.3.1."""
    acquisition: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "AcquisitionNumber": 1,
        "AcquisitionDate": _date(header),
        "AcquisitionTime": _time(header),
        "ScanningSequence": header.scanning_sequence.split("\\"),
        "SequenceVariant": header.sequence_variant.split("\\"),
        "ScanOptions": header.scan_options.split("\\") if header.scan_options else "",
        "MRAcquisitionType": header.acquisition_type,
        "RepetitionTime": _decimal(header.repetition_time_ms),
        "EchoTime": _decimal(header.echo_time_ms),
        "EchoTrainLength": header.echo_train_length,
        "EchoNumbers": header.echo_number,
        "FlipAngle": _decimal(header.flip_angle_deg),
        "MagneticFieldStrength": _decimal(header.field_strength_tesla),
        "ImagedNucleus": "1H",
    }
    if header.inversion_time_ms is not None:
        acquisition["InversionTime"] = _decimal(header.inversion_time_ms)
    if volume.shape[2] > 1:
        acquisition["SpacingBetweenSlices"] = _decimal(slice_distance(volume))
    return acquisition


def _plane(volume: Volume, header: DicomHeader) -> dict[str, object]:
    """Image Plane module without the position. Source: DICOM PS3.3 section C.7.6.2."""
    columns_mm, rows_mm, slices_mm = volume.spacing
    thickness = slices_mm if header.slice_thickness_mm is None else header.slice_thickness_mm
    cosines = (volume.direction[:, :2] * _LPS_FROM_RAS[:, None]).T.ravel()
    return {
        "PixelSpacing": [_decimal(rows_mm), _decimal(columns_mm)],
        "ImageOrientationPatient": [_decimal(value) for value in cosines],
        "SliceThickness": _decimal(thickness),
    }


def _pixel_description(stored: NDArray[np.uint16]) -> dict[str, object]:
    """Image Pixel and VOI LUT modules without the pixels. Source: DICOM PS3.3 sections C.7.6.3 and C.11.2."""
    bits = 12 if int(stored.max()) <= LARGEST_12_BIT_VALUE else 16
    low, high = (float(value) for value in np.percentile(stored[:, ::4, ::4], (1, 99)))
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[1],
        "Columns": stored.shape[2],
        "BitsAllocated": 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "WindowCenter": _decimal((low + high) / 2),
        "WindowWidth": _decimal(max(high - low, 1.0)),
    }


def _write_slice(
    folder: Path,
    volume: Volume,
    stored: NDArray[np.uint16],
    k: int,
    shared: dict[str, object],
    header: DicomHeader,
) -> Path:
    """Write slice k and return its file."""
    path = folder / f"image-{k + 1:04d}.dcm"
    series_uid = str(shared["SeriesInstanceUID"])
    instance = _instance(path, {**shared, **_slice_attributes(volume, k, header, series_uid)})
    instance.PixelData = stored[k].astype("<u2").tobytes()
    instance["PixelData"].VR = "OW"
    with path.open("wb") as file:
        instance.save_as(file, enforce_file_format=True)
    return path


def _slice_attributes(volume: Volume, k: int, header: DicomHeader, series_uid: str) -> dict[str, object]:
    """Collect what is different in every instance: number, UID and position."""
    position = volume.world((0, 0, k)) * _LPS_FROM_RAS
    return {
        "SOPInstanceUID": deterministic_uid(header.uid_seed, series_uid, "instance", str(k)),
        "InstanceNumber": k + 1,
        "ImagePositionPatient": [_decimal(value) for value in position],
    }


def _instance(path: Path, attributes: dict[str, object]) -> FileDataset:
    """Make a data set with its file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(str(attributes["SOPInstanceUID"]))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    return instance


def _decimal(value: float) -> DSfloat:
    """Give a decimal string of at most 16 characters. Source: DICOM PS3.5 section 6.2 (DS)."""
    return DSfloat(float(value) + 0.0, auto_format=True)


def _date(header: DicomHeader) -> str:
    """Give the study date, or nothing."""
    return header.study_date.strftime("%Y%m%d") if header.study_date else ""


def _time(header: DicomHeader) -> str:
    """Give noon where there is a date: the hour of a study says nothing about a knee."""
    return "120000" if header.study_date else ""
