"""The PDF: short, whole, with its typefaces inside, and never loading anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from itertools import combinations
from pathlib import Path

import pytest

from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report import pdf
from kneeage.report.fonts import chinese_font
from kneeage.report.html import render_html
from kneeage.report.words import LANGUAGES, words
from tests.report.rich import backing, rich_result

NEEDED = {
    "en": ("Signatures", "Error rates of these decisions", "Computer-generated", "not for forensic use"),
    "zh": ("签署", "上述判断的错误率", "由计算机生成", "不得用于法医学鉴定"),
}

# A4 in points, its margins 14 mm at the sides. Source: report.css (@page).
LEFT, RIGHT, BOTTOM = 39.7, 595.3 - 39.7, 841.9
HEIGHT_OF_A_LINE = 24.0


def program(name: str) -> str:
    """Find a tool that reads PDF files."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (poppler-utils) is not installed")
    return found


def read(name: str, *options: str) -> str:
    """Run a tool that reads PDF files."""
    done = subprocess.run([program(name), *options], capture_output=True, check=True, timeout=600)
    return done.stdout.decode()


@pytest.fixture
def print_report(image: Volume, labels: Volume, tmp_path: Path) -> Callable[[Result, str], Path]:
    pytest.importorskip("weasyprint")

    def write(result: Result, lang: str) -> Path:
        if lang == "zh" and chinese_font() is None:
            pytest.skip("no Chinese typeface on this machine")
        file = tmp_path / "report.pdf"
        file.write_bytes(pdf.pdf_bytes(render_html(result, image, labels, lang, backing(labels))))
        return file

    return write


@dataclass(frozen=True)
class Word:
    """A word on a page, and its place in points."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def lies_on(self, other: Word) -> bool:
        """Whether two words cover each other by more than a hair."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 1.0 and high > 0.4 * min(self.bottom - self.top, other.bottom - other.top)


def pages_of(file: Path) -> list[list[Word]]:
    """Words of each page, but for the large ones of the watermark."""
    pages = read("pdftotext", "-bbox", str(file), "-").split("<page ")[1:]
    pattern = r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*?)</word>'
    words = [[Word(text, *map(float, place)) for *place, text in re.findall(pattern, page)] for page in pages]
    return [[word for word in page if word.bottom - word.top < HEIGHT_OF_A_LINE] for page in words]


def require_clean_layout(file: Path) -> None:
    """No word leaves the margins, and none lies on another."""
    for page in pages_of(file):
        assert len(page) > 20
        assert not [word for word in page if word.left < LEFT - 1 or word.right > RIGHT + 1 or word.bottom > BOTTOM]
        assert not [pair for pair in combinations(page, 2) if pair[0].lies_on(pair[1])]


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was printed as a box, since no typeface had it."""
    pytest.importorskip("weasyprint")
    printed: list[str] = []

    class Note:
        def warning(self, words: str, *values: object) -> None:
            printed.append(words % values)

    monkeypatch.setattr("weasyprint.draw.text.LOGGER", Note())
    return printed


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
    fonts = [line.split() for line in read("pdffonts", str(file)).splitlines()[2:]]
    assert fonts
    assert all(words[-5] == "yes" for words in fonts)
    assert any("CJK-SC" in words[0] for words in fonts) == (lang == "zh")
    text = read("pdftotext", "-layout", str(file), "-")
    assert not [words for words in NEEDED[lang] if words not in text]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_abstention_fits_two_pages(
    abstained: Result, print_report: Callable[[Result, str], Path], lang: str
) -> None:
    file = print_report(abstained, lang)
    assert re.search(r"Pages:\s+2\n", read("pdfinfo", str(file)))
    require_clean_layout(file)


@pytest.mark.parametrize("left_out", [{"knees": []}, {"moved": None}])
def test_where_less_is_shown_slices_are_larger_and_the_pages_no_more(
    estimated: Result, image: Volume, labels: Volume, tmp_path: Path, left_out: dict[str, object]
) -> None:
    pytest.importorskip("weasyprint")
    page = render_html(rich_result(estimated), image, labels, "en", replace(backing(labels), **left_out))  # type: ignore[arg-type]
    assert 'class="slices"' in page
    (tmp_path / "report.pdf").write_bytes(pdf.pdf_bytes(page))
    assert re.search(r"Pages:\s+3\n", read("pdfinfo", str(tmp_path / "report.pdf")))


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
