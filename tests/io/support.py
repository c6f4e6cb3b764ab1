"""Small DICOM and NIfTI files made with plain pydicom and nibabel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ROWS, COLUMNS = 6, 8
T2 = {"RepetitionTime": 3200, "EchoTime": 90, "SeriesDescription": "t2"}
Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True)
class Made:
    """What a test series is made of; ``extra`` sets or (with None) removes attributes."""

    slices: int = 12
    uid: str = "1.2.3"
    study: str = "1.2"
    orientation: tuple[float, ...] = CORONAL
    step: float = 3.8
    spacing: tuple[float, float] = (0.5, 0.4)
    shape: tuple[int, int] = (ROWS, COLUMNS)
    extra: dict[str, Any] = field(default_factory=dict)

    def but(self, **extra: Any) -> Made:
        return replace(self, extra={**self.extra, **extra})

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])


def pixels(made: Made, k: int) -> np.ndarray:
    """Values that differ in every pixel of every slice."""
    return (np.arange(np.prod(made.shape)).reshape(made.shape) + 100 * (k + 1)).astype("<u2")


def dataset(made: Made, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{made.uid}.{k + 1}")
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    attributes: dict[str, Any] = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": f"{made.uid}.{k + 1}",
        "Modality": "MR",
        "PatientID": "secret-4711",
        "PatientName": "Nobody^Known",
        "PatientBirthDate": "20010203",
        "StudyInstanceUID": made.study,
        "SeriesInstanceUID": made.uid,
        "SeriesDescription": "cor t1",
        "BodyPartExamined": "KNEE",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "PFP",
        "RepetitionTime": 600,
        "EchoTime": 15,
        "EchoNumbers": 1,
        "FlipAngle": 90,
        "InstanceNumber": k + 1,
        "Rows": made.shape[0],
        "Columns": made.shape[1],
        "PixelSpacing": list(made.spacing),
        "SliceThickness": 3,
        "ImageOrientationPatient": list(made.orientation),
        "ImagePositionPatient": [
            round(float(x), 6) for x in np.array([-10.0, 20.0, 30.0]) + k * made.step * made.normal
        ],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": pixels(made, k).tobytes(),
        **made.extra,
    }
    for keyword, value in attributes.items():
        if value is not None:
            setattr(one, keyword, value)
    return one


def save(one: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        one.save_as(file, enforce_file_format=True)
    return path


def write_series(folder: Path, made: Made | None = None, edit: Edit | None = None) -> list[Path]:
    """Write a series; ``edit`` may change the data set of each slice."""
    made = made or Made()
    paths = []
    for k in range(made.slices):
        one = dataset(made, k)
        if edit is not None:
            edit(one, k)
        paths.append(save(one, folder / f"{made.uid}-{k + 1:03d}.dcm"))
    return paths


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def enhanced(made: Made, **frame_extra: Callable[[int], Any]) -> FileDataset:
    """Make an enhanced MR object; its frames lie in reverse order."""
    one = dataset(made, 0)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    one.NumberOfFrames = made.slices
    order = list(reversed(range(made.slices)))
    per_frame = []
    for k in order:
        item = dataset(made, k)
        slope = frame_extra.get("slope", lambda _: 1)(k)
        echo = frame_extra.get("echo", lambda _: 15.0)(k)
        frame = _item(
            PlanePositionSequence=Sequence([_item(ImagePositionPatient=item.ImagePositionPatient)]),
            PixelValueTransformationSequence=Sequence(
                [_item(RescaleSlope=slope, RescaleIntercept=5, RescaleType="US")]
            ),
            MREchoSequence=Sequence([_item(EffectiveEchoTime=echo)]),
        )
        per_frame.append(frame)
    shared = _item(
        PlaneOrientationSequence=Sequence([_item(ImageOrientationPatient=list(made.orientation))]),
        PixelMeasuresSequence=Sequence([_item(PixelSpacing=list(made.spacing), SliceThickness=3)]),
        MRTimingAndRelatedParametersSequence=Sequence([_item(RepetitionTime=600, FlipAngle=90)]),
    )
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(one, keyword)
    for keyword in ("EchoTime", "RepetitionTime", "FlipAngle", "ScanningSequence"):
        delattr(one, keyword)
    one.EchoPulseSequence = "SPIN"
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(per_frame)
    one.PixelData = b"".join(pixels(made, k).tobytes() for k in order)
    return one
