"""The PDF: short, whole, with its typefaces inside, and never loading anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report import pdf
from kneeage.report.fonts import chinese_font
from kneeage.report.html import render_html
from tests.report.rich import backing, rich_result

NEEDED = {
    "en": ("Signatures", "Error rates of these decisions", "Computer-generated", "not for forensic use"),
    "zh": ("签署", "上述判断的错误率", "由计算机生成", "不得用于法医鉴定"),
}


def program(name: str) -> str:
    """Find a tool that reads PDF files."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (poppler-utils) is not installed")
    return found


def read(name: str, *options: str) -> str:
    """Run a tool that reads PDF files."""
    done = subprocess.run([program(name), *options], capture_output=True, check=True, timeout=60)
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


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_fullest_report_fits_three_pages_with_its_typefaces(
    estimated: Result, print_report: Callable[[Result, str], Path], lang: str
) -> None:
    file = print_report(rich_result(estimated), lang)
    info = read("pdfinfo", str(file))
    assert re.search(r"Pages:\s+3\n", info)
    assert "(A4)" in info
    fonts = [line.split() for line in read("pdffonts", str(file)).splitlines()[2:]]
    assert fonts
    assert all(words[-5] == "yes" for words in fonts)
    assert any("CJK-SC" in words[0] for words in fonts) == (lang == "zh")
    text = read("pdftotext", "-layout", str(file), "-")
    assert not [words for words in NEEDED[lang] if words not in text]


def test_an_abstention_fits_two_pages(abstained: Result, print_report: Callable[[Result, str], Path]) -> None:
    assert re.search(r"Pages:\s+2\n", read("pdfinfo", str(print_report(abstained, "en"))))


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
