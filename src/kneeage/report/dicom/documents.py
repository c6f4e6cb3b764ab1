"""The report for people as an encapsulated PDF, and the preview as a secondary capture."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
from highdicom import SOPClass
from highdicom.sc import SCImage
from PIL import Image
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from kneeage.core.anatomy import Side
from kneeage.core.errors import UsageError
from kneeage.report.dicom.making import Kind, Making, finished

_PDF_HEAD = b"%PDF-"
# Source: DICOM PS3.3 section C.7.3.1 (Laterality; empty where unknown).
_SIDE_CODES = {Side.LEFT: "L", Side.RIGHT: "R", Side.UNKNOWN: ""}


def encapsulated_pdf(making: Making, pdf: bytes, lang: str) -> Dataset:
    """Put a PDF into an object of its own.

    Its UID follows from the answer and the language, not from the bytes of the PDF, which hold the hour they were made.

    Args:
        making: What the objects share.
        pdf: The PDF file.
        lang: Its language.

    Returns:
        An Encapsulated PDF Storage object, unverified.

    Raises:
        UsageError: The bytes are not a PDF file.
    """
    if not pdf.startswith(_PDF_HEAD):
        raise UsageError("the bytes do not begin like a PDF file (%PDF-); give the bytes of a PDF file")
    made = SOPClass(
        study_instance_uid=making.source.study_uid,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **making.creation(Kind.REPORT, lang),
    )
    made.ConversionType = "WSD"
    # The report may name the subject in the examiner's own words, so nobody shall take it for free of identity.
    made.BurnedInAnnotation = "YES"
    made.DocumentTitle = making.description(Kind.REPORT)
    made.ConceptNameCodeSequence = []
    made.AcquisitionDateTime = ""
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = [one.reference() for one in making.source.instances()]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return finished(made, making)


def secondary_capture(making: Making, png: bytes) -> Dataset:
    """Put the preview into an image of its own.

    Args:
        making: What the objects share.
        png: The preview, a PNG file.

    Returns:
        A Secondary Capture Image Storage object, RGB.
    """
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
    made = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=making.source.study_uid,
        **making.creation(Kind.PREVIEW, hashlib.sha256(pixels.tobytes()).hexdigest()),
    )
    # Panels, words and a plot on one sheet have no orientation.
    made.PatientOrientation = []
    made.Laterality = _SIDE_CODES[making.series.header.side]
    made.BurnedInAnnotation = "NO"
    made.SourceImageSequence = [one.frame_reference() for one in making.source.instances()]
    made.ReferencedSeriesSequence = [making.source.series_reference()]
    return finished(made, making)
