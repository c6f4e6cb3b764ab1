"""A virtual subject as files: its series as DICOM or NIfTI, its true labels as NIfTI."""

from __future__ import annotations

import hashlib
from datetime import date
from enum import Enum
from pathlib import Path

from kneeage.core.anatomy import Plane
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.io.nifti import write_image, write_labels
from kneeage.io.write import DicomHeader, write_dicom_series
from kneeage.phantom.cohort.subject import VirtualSubject, virtual_subject
from kneeage.phantom.scanner.sequence import Sequence

SERIES_FOLDER, IMAGE_FILE, LABELS_FILE = "series", "image.nii.gz", "labels.nii.gz"

# Every virtual study has this date: a DICOMDIR needs one, and it must tell nothing.
STUDY_DATE = date(2000, 1, 1)
_PLANE_WORDS = {Plane.CORONAL: "Cor", Plane.SAGITTAL: "Sag", Plane.AXIAL: "Ax"}


class FileFormat(str, Enum):
    """How images are written."""

    DICOM = "dicom"
    NIFTI = "nifti"


def write_subject(folder: Path, subject: VirtualSubject, file_format: FileFormat) -> Path:
    """Write the series and the true labels of a subject.

    Args:
        folder: An existing folder.
        subject: The subject.
        file_format: How its series is written; labels are always NIfTI.

    Returns:
        What holds the series: a folder of DICOM files, or a NIfTI file.

    Raises:
        OutputError: A file cannot be written.
    """
    write_labels(folder / LABELS_FILE, subject.labels, note=VIRTUAL_IMAGE_MARK)
    if file_format is FileFormat.DICOM:
        write_dicom(folder / SERIES_FOLDER, subject)
        return folder / SERIES_FOLDER
    write_image(folder / IMAGE_FILE, subject.volume, virtual=True)
    return folder / IMAGE_FILE


def write_dicom(folder: Path, subject: VirtualSubject) -> None:
    """Write the series of a subject as DICOM.

    Args:
        folder: Folder to write into; it is made if it is not there.
        subject: The subject.

    Raises:
        OutputError: The folder cannot be written.
    """
    write_dicom_series(folder, subject.volume, header=dicom_header(subject))


def write_virtual_dicom(folder: Path, seed: int) -> VirtualSubject:
    """Make a virtual subject and write its series as DICOM.

    Args:
        folder: Folder to write into; it is made if it is not there.
        seed: What the subject follows from.

    Raises:
        OutputError: The folder cannot be written.
    """
    subject = virtual_subject(seed)
    write_dicom(folder, subject)
    return subject


def dicom_header(subject: VirtualSubject) -> DicomHeader:
    """Say in a header how a series was made; it says neither the subject's age nor its size.

    Segmented k-space is a fast spin echo's. Source: DICOM PS3.3 section C.8.3.1.1 (Sequence Variant, Scan Options).
    """
    sequence = subject.sequence
    # Subjects of one seed may differ in age, growth law and protocol, so that only the pixels tell series apart.
    pixels = hashlib.sha256(subject.volume.array.tobytes()).hexdigest()
    kind = f"{sequence_name(sequence)} 3D" if subject.volumetric else sequence_name(sequence)
    return DicomHeader(
        uid_seed=f"kneeage virtual subject {subject.seed} {pixels}",
        subject_id=subject.subject_id,
        sex=subject.sex,
        side=subject.side,
        description=f"{_PLANE_WORDS[subject.plane]} {kind} knee (virtual)",
        manufacturer=VIRTUAL_IMAGE_MARK,
        model=f"hospital {subject.hospital}",
        study_date=STUDY_DATE,
        sequence_variant="SK" if sequence.echo_train_length > 1 else "NONE",
        acquisition_type="3D" if subject.volumetric else "2D",
        scan_options="FS" if sequence.fat_suppressed else "",
        repetition_time_ms=sequence.repetition_time_ms,
        echo_time_ms=sequence.echo_time_ms,
        echo_train_length=sequence.echo_train_length,
        field_strength_tesla=sequence.field_strength_tesla,
        slice_thickness_mm=subject.protocol.thickness_mm,
    )


def sequence_name(sequence: Sequence) -> str:
    """Name a sequence as scanners do, such as ``"PD TSE FS"``."""
    kind = "TSE" if sequence.echo_train_length > 1 else "SE"
    return " ".join([sequence.weighting, kind, *(["FS"] if sequence.fat_suppressed else [])])
