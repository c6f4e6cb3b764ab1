"""The report as an encapsulated PDF, and the preview as a secondary capture, read back with pydicom alone."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image

from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.report.dicom.objects import PREVIEW_FILE, REPORT_FILE, dicom_objects
from tests.report.dicom.conftest import PDF, Case, preview

Cases = Callable[[str], Case]


def test_the_pdf_comes_back_as_it_was(cases: Cases) -> None:
    case = cases("coronal")
    made = pydicom.dcmread(case.objects / REPORT_FILE)
    assert len(PDF) % 2
    assert len(made.EncapsulatedDocument) % 2 == 0
    assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == PDF
    assert (made.SOPClassUID.name, made.Modality) == ("Encapsulated PDF Storage", "DOC")
    assert (made.MIMETypeOfEncapsulatedDocument, made.VerificationFlag) == ("application/pdf", "UNVERIFIED")
    assert "draft" in made.DocumentTitle


def test_the_pdf_names_the_images_that_it_is_about(cases: Cases) -> None:
    case = cases("coronal")
    made = pydicom.dcmread(case.objects / REPORT_FILE)
    sources = {str(pydicom.dcmread(path).SOPInstanceUID) for path in case.source.iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence} == sources


def test_two_languages_are_two_objects(cases: Cases, real: Result) -> None:
    uids = {
        dicom_objects(real, cases("coronal").series, None, report_pdf=PDF, lang=lang)[REPORT_FILE].SOPInstanceUID
        for lang in ("en", "zh", "en")
    }
    assert len(uids) == 2


def test_what_is_no_pdf_is_refused(cases: Cases, real: Result) -> None:
    with pytest.raises(UsageError, match="do not begin like a PDF"):
        dicom_objects(real, cases("coronal").series, None, report_pdf=b"<html>")


@pytest.mark.parametrize(("name", "side"), [("coronal", "R"), ("left", "L")])
def test_the_preview_comes_back_as_it_was(cases: Cases, name: str, side: str) -> None:
    made = pydicom.dcmread(cases(name).objects / PREVIEW_FILE)
    np.testing.assert_array_equal(made.pixel_array, np.asarray(Image.open(BytesIO(preview()))))
    assert (made.PhotometricInterpretation, made.Laterality) == ("RGB", side)
    assert [item.SeriesInstanceUID for item in made.ReferencedSeriesSequence] == ["1.2.3"]
    assert "ImagePositionPatient" not in made
