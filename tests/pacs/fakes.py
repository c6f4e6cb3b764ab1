"""Stand-ins for the estimate: quick, and with UIDs that follow from the images, as those of the real objects do."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from kneeage.core.errors import InputRefusedError
from kneeage.core.result import Outcome, Result
from kneeage.io.write import deterministic_uid

MODALITIES = {"OT": SecondaryCaptureImageStorage, "DOC": EncapsulatedPDFStorage, "SR": ComprehensiveSRStorage}
_PIXELS = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 2,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
    "PixelData": b"\1\2\3\4",
}


@dataclass(frozen=True)
class FakeExaminer:
    """Writes one object per modality; it may take its time, refuse, fail with an identity, or end its process.

    With ``fresh_uids``, whoever examines a study a second time writes other objects, so that an archive shows it.
    """

    seconds: float = 0.0
    refuses: bool = False
    fails: bool = False
    dies_on: str = ""
    fresh_uids: bool = False

    def __call__(self, images: Path, documents: Path) -> None:
        headers = [dcmread(path, stop_before_pixels=True) for path in sorted(images.iterdir())]
        time.sleep(self.seconds)
        if self.dies_on and str(headers[0].StudyInstanceUID) == self.dies_on:
            import os

            os._exit(9)
        if self.fails:
            raise ValueError(f"no idea what to do with {headers[0].PatientName}")
        if self.refuses:
            raise InputRefusedError("nothing to be seen here")
        answer = Result(outcome=Outcome.ESTIMATED, estimated_age_years=16.5)
        (documents / "result.json").write_text(answer.model_dump_json())
        for modality in MODALITIES:
            made = result_object(headers, modality, secrets.token_hex(8) if self.fresh_uids else "")
            made.save_as(documents / f"{modality}.dcm", enforce_file_format=True)


def result_object(headers: list[Dataset], modality: str, salt: str = "") -> Dataset:
    """An object in the study of some images."""
    seed = [*sorted(str(one.SOPInstanceUID) for one in headers), modality, *([salt] if salt else [])]
    made = Dataset()
    made.SOPClassUID = MODALITIES[modality]
    made.SOPInstanceUID = deterministic_uid(*seed)
    made.StudyInstanceUID = headers[0].StudyInstanceUID
    made.SeriesInstanceUID = deterministic_uid(*seed, "series")
    made.PatientID = headers[0].PatientID
    made.Modality = modality
    for keyword, value in _PIXELS.items() if modality == "OT" else ():
        setattr(made, keyword, value)
    if modality == "DOC":
        made.EncapsulatedDocument = b"%PDF-1.4\n"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = UID(made.SOPInstanceUID)
    return made
