"""What a run leaves behind: first what the page shows, then the documents that people take away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.result import RESULT_FILE, Result
from kneeage.io.nifti import write_image, write_labels
from kneeage.pipeline import LABELS_FILE, Examination, label_note, write_documents
from kneeage.service.answers import read_result

# What a page says of an image that came without a study.
NO_STUDY = "DICOM objects belong to the study of the images, and are made of DICOM series alone"
IMAGE_FILE, EXPLANATION_MAP_FILE = "image.nii.gz", "explanation.nii.gz"


def write_answer(examination: Examination, folder: Path) -> None:
    """Write the result, and the image with the labels, which the viewer shows.

    Args:
        examination: What to write about.
        folder: Empty folder.
    """
    result = examination.result
    write_result(result, folder)
    write_viewed(examination, folder)
    if examination.labels is not None:
        write_labels(folder / LABELS_FILE, examination.labels, note=label_note(result))


def write_viewed(examination: Examination, folder: Path) -> None:
    """Write the image, which the viewer shows."""
    series = examination.series
    write_image(folder / IMAGE_FILE, series.volume, virtual=series.header.virtual)


def write_result(result: Result, folder: Path) -> None:
    """Write a result."""
    (folder / RESULT_FILE).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")


def write_papers(examination: Examination, folder: Path, lang: str) -> str | None:
    """Write what is not there with the answer: report, pictures, PDF, DICOM objects, explanation map.

    Args:
        examination: What to write about.
        folder: Empty folder.
        lang: Language of the report.

    Returns:
        Why some of them cannot be made of this source or on this machine; None where all are made.
    """
    is_dicom = examination.series.header.source_format == "dicom"
    no_pdf, no_dicom = _pdf_trouble(lang), None if is_dicom else NO_STUDY
    try:
        write_documents(examination, folder, lang, "binary" if is_dicom else None, pdf=no_pdf is None)
    except (UsageError, InputRefusedError) as error:
        write_documents(examination, folder, lang, pdf=no_pdf is None)
        no_dicom = str(error)
    for name in (RESULT_FILE, LABELS_FILE):
        (folder / name).unlink(missing_ok=True)
    if examination.explanation is not None:
        older = examination.explanation.older_years
        write_image(folder / EXPLANATION_MAP_FILE, older.with_array(np.nan_to_num(older.array)))
    return "; ".join(filter(None, (no_pdf, no_dicom))) or None


def published(examination: Examination, folder: Path) -> Examination:
    """Put the result that was published in the place of one that was made again.

    Args:
        examination: The examination.
        folder: Where its answer was written.
    """
    return replace(examination, result=read_result(folder))


def _pdf_trouble(lang: str) -> str | None:
    """Say why no PDF can be made here."""
    from kneeage.report.pdf import require_pdf

    try:
        require_pdf(lang)
    except UsageError as error:
        return str(error)
    return None
