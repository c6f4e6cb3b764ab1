"""The PDF: short, whole, with its typefaces inside, and never loading anything."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report import pdf
from kneeage.report.fonts import chinese_font
from kneeage.report.html import Backing, render_html
from kneeage.report.panels import Shown
from kneeage.report.words import LANGUAGES, words
from tests.report.printed import read, require_clean_layout, require_typefaces
from tests.report.rich import backing, rich_result

NEEDED = {
    "en": ("Signatures", "Error rates of these decisions", "Computer-generated", "not for forensic use"),
    "zh": ("签署", "上述判断的错误率", "由计算机生成", "不得用于法医学鉴定"),
}


@pytest.fixture
def print_report(labels: Volume, shown: Shown, tmp_path: Path) -> Callable[[Result, str], Path]:
    pytest.importorskip("weasyprint")

    def write(result: Result, lang: str) -> Path:
        if lang == "zh" and chinese_font() is None:
            pytest.skip("no Chinese typeface on this machine")
        file = tmp_path / "report.pdf"
        file.write_bytes(pdf.pdf_bytes(render_html(result, shown, lang, backing(labels))))
        return file

    return write


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_of_the_report_has_its_glyphs(boxes: list[str], lang: str) -> None:
    if lang == "zh" and chinese_font() is None:
        pytest.skip("no Chinese typeface on this machine")
    say = words(lang)
    texts = [*say.texts.values(), *(phrase.wording for phrase in say.phrases)]
    pdf.pdf_bytes(f"<html lang={say('lang.html')}><body>{'<br>'.join(map(escape, texts))}</body></html>")
    assert boxes == []
    pdf.pdf_bytes("<html><body>\U0010fffd</body></html>")
    assert len(boxes) == 1


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_fullest_report_fits_three_pages_with_its_typefaces(
    estimated: Result, print_report: Callable[[Result, str], Path], boxes: list[str], lang: str
) -> None:
    file = print_report(rich_result(estimated), lang)
    require_clean_layout(file)
    assert boxes == []
    info = read("pdfinfo", str(file))
    assert re.search(r"Pages:\s+3\n", info)
    assert "(A4)" in info
    require_typefaces(file, lang)
    text = read("pdftotext", "-layout", str(file), "-")
    assert not [words for words in NEEDED[lang] if words not in text]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_tall_knee_with_everything_said_about_it_fits_three_pages(
    estimated: Result, labels: Volume, image: Volume, tmp_path: Path, lang: str
) -> None:
    pytest.importorskip("weasyprint")
    if lang == "zh" and chinese_font() is None:
        pytest.skip("no Chinese typeface on this machine")
    tall = np.diag([0.6, 1.0, 1.0, 1.0]) @ labels.affine
    seen = Shown(Volume(image.array, tall), Volume(labels.array, tall), Plane.CORONAL)
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf.pdf_bytes(render_html(rich_result(estimated), seen, lang, backing(seen.labels))))
    assert re.search(r"Pages:\s+3\n", read("pdfinfo", str(file)))
    require_clean_layout(file)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_abstention_fits_two_pages(
    abstained: Result, print_report: Callable[[Result, str], Path], lang: str
) -> None:
    file = print_report(abstained, lang)
    assert re.search(r"Pages:\s+2\n", read("pdfinfo", str(file)))
    require_clean_layout(file)


@pytest.mark.parametrize("left_out", [{"knees": []}, {"explained": None}])
def test_where_less_is_shown_slices_are_larger_and_the_pages_no_more(
    estimated: Result, labels: Volume, shown: Shown, tmp_path: Path, left_out: dict[str, object]
) -> None:
    pytest.importorskip("weasyprint")
    page = render_html(rich_result(estimated), shown, "en", replace(backing(labels), **left_out))  # type: ignore[arg-type]
    assert 'class="slices"' in page
    (tmp_path / "report.pdf").write_bytes(pdf.pdf_bytes(page))
    assert re.search(r"Pages:\s+3\n", read("pdfinfo", str(tmp_path / "report.pdf")))


def test_signatures_never_stand_alone_on_a_page(estimated: Result, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")

    def last_page(warnings: int) -> tuple[int, str]:
        file = tmp_path / "report.pdf"
        long = rich_result(estimated).model_copy(update={"warnings": ["look twice"] * warnings})
        file.write_bytes(pdf.pdf_bytes(render_html(long, None, "en", Backing())))
        pages = read("pdftotext", "-layout", str(file), "-").split("\f")[:-1]
        return len(pages), pages[-1]

    fewest = last_page(0)[0]
    first = bisect_left(range(80), x=True, key=lambda warnings: last_page(warnings)[0] > fewest)
    text = last_page(first)[1]
    assert "Signatures" in text
    assert text.count("look twice") == first


@pytest.mark.parametrize("address", ["file:///etc/hostname", "http://127.0.0.1:9/picture.png"])
def test_nothing_is_loaded_from_outside(address: str) -> None:
    weasyprint = pytest.importorskip("weasyprint")
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=pdf._PROTOCOLS)
    with pytest.raises(ValueError, match="disallowed protocol"):
        fetcher.fetch(address)


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(UsageError, match=r"needs WeasyPrint.*kneeage\[pdf\]"):
        pdf.require_pdf("en")


def test_a_missing_chinese_typeface_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("weasyprint")
    monkeypatch.setattr(pdf, "chinese_font", lambda: None)
    pdf.require_pdf("en")
    with pytest.raises(UsageError, match="fonts-noto-cjk"):
        pdf.require_pdf("zh")
