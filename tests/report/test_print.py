"""The report of the bundle that ships, printed: of a real knee where it is at hand, and of a virtual one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kneeage.core.result import Result
from kneeage.phantom.cohort.write import write_virtual_dicom
from kneeage.pipeline import Examination, estimate, write_documents
from kneeage.report.fonts import chinese_font
from kneeage.report.words import LANGUAGES, words
from tests.report.printed import read, require_clean_layout, require_typefaces, watermarks_of

SEED = 20
# What a Chinese report says in Latin letters: units, scores and their authors, terms of DICOM, programs.
LATIN = """
mm cm kg ms TR TE PD II IV VI UID UTC SHA SE TSE Dedouit Schmeling Kellinghaus AGFAD Laterality kneeage uniform
Python ONNX Runtime
"""


@pytest.fixture(scope="module", params=["real", "virtual"])
def examination(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """An answer of the bundle that ships, explained, with all that the user may say."""
    pytest.importorskip("weasyprint")
    if request.param == "real":
        path: Path = request.getfixturevalue("realdata") / "knee_t1_coronal_philips"
    else:
        path = tmp_path_factory.mktemp("virtual") / "dicom"
        write_virtual_dicom(path, SEED)
    said = {"question": "18?", "legal_basis": "§ 42", "consent": "1", "examiner": "2"}
    told = {"claimed_age_years": 17.0, "height_cm": 168.0, "weight_kg": 60.0}
    return estimate(path, threads=1, explain=True, sex="male", **told, **said)  # type: ignore[arg-type]


def copied(result: Result) -> set[str]:
    """Words that come from the image and the versions, whatever the language."""
    assert result.series is not None
    assert result.bundle is not None
    assert result.software is not None
    values = (
        *(result.series.description, result.series.manufacturer, result.series.pixel_sha256, result.bundle.sha256),
        *(result.bundle.name, result.software.kneeage, result.series.pixel_sha256[:16]),
    )
    return {word for value in values for word in latin(value or "")}


def latin(text: str) -> set[str]:
    """Words of two and more Latin letters."""
    return set(re.findall(r"[A-Za-z]{2,}", text))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_of_the_bundle_that_ships_is_printed_well(
    examination: Examination, boxes: list[str], tmp_path: Path, lang: str
) -> None:
    if lang == "zh" and chinese_font() is None:
        pytest.skip("no Chinese typeface on this machine")
    write_documents(examination, tmp_path / "out", lang, pdf=True)
    file = tmp_path / "out" / "report.pdf"
    require_clean_layout(file)
    require_typefaces(file, lang)
    assert boxes == []
    mark = "".join(sorted(words(lang)("virtual.watermark").replace(" ", "")))
    assert watermarks_of(file) == [mark] * 3
    if lang == "zh":
        assert not latin(read("pdftotext", str(file), "-")) - set(LATIN.split()) - copied(examination.result)
