"""What a printed report looks like: its words and their places, its typefaces, its watermark."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest

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


@dataclass(frozen=True)
class Word:
    """A word on a page, and its place in points."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def is_large(self) -> bool:
        """Whether it belongs to the watermark."""
        return self.bottom - self.top >= HEIGHT_OF_A_LINE

    def lies_on(self, other: Word) -> bool:
        """Whether two words cover each other by more than a hair."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 1.0 and high > 0.4 * min(self.bottom - self.top, other.bottom - other.top)


def words_of(file: Path) -> list[list[Word]]:
    """Words of each page."""
    pages = read("pdftotext", "-bbox", str(file), "-").split("<page ")[1:]
    pattern = r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*?)</word>'
    return [[Word(text, *map(float, place)) for *place, text in re.findall(pattern, page)] for page in pages]


def watermarks_of(file: Path) -> list[str]:
    """Characters of the watermark of each page, sorted: turned letters are words of their own, in any order."""
    return ["".join(sorted("".join(word.text for word in page if word.is_large))) for page in words_of(file)]


def require_clean_layout(file: Path) -> None:
    """No word leaves the margins, and none lies on another."""
    for words in words_of(file):
        page = [word for word in words if not word.is_large]
        assert len(page) > 20
        assert not [word for word in page if word.left < LEFT - 1 or word.right > RIGHT + 1 or word.bottom > BOTTOM]
        assert not [pair for pair in combinations(page, 2) if pair[0].lies_on(pair[1])]


def require_typefaces(file: Path, lang: str) -> None:
    """Every typeface is embedded, and one with Chinese characters where there are some."""
    fonts = [line.split() for line in read("pdffonts", str(file)).splitlines()[2:]]
    assert fonts
    assert all(words[-5] == "yes" for words in fonts)
    assert any("CJK-SC" in words[0] for words in fonts) == (lang == "zh")
