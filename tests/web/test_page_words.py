"""The words and the files of the pages: nothing missing in either language, nothing inline, nothing from outside."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest

import kneeage.web

ROOM = Path(kneeage.web.__file__).parent
STATIC, TEMPLATES = ROOM / "static", ROOM / "templates"
WORDS: dict[str, dict[str, str]] = json.loads((STATIC / "words.json").read_text(encoding="utf-8"))
PAGES = sorted(TEMPLATES.glob("*.html"))
SCRIPTS = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in [*PAGES, *SCRIPTS])
# Keys that are put together from a part and a value.
FAMILIES = ("state", "stage", "download", "plate", "decision", "error", "sex", "side", "plane", "covariate", "outcome")


def placeholders(wording: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(wording) if name}


@pytest.mark.parametrize("key", WORDS)
def test_a_key_has_words_in_both_languages(key: str) -> None:
    wordings = WORDS[key]
    assert set(wordings) == {"en", "zh"}
    assert all(text.strip() for text in wordings.values()) or key.startswith("unit.")
    assert placeholders(wordings["en"]) == placeholders(wordings["zh"])


def test_every_key_that_pages_name_has_words() -> None:
    marked = re.findall(r'data-(?:say|say-label|say-placeholder|title)="([a-z_0-9.]+)"', SOURCES)
    spoken = re.findall(r'\bsay\(\s*"([a-z_0-9.]+)"', SOURCES)
    assert {*marked, *spoken} - set(WORDS) == set()


def test_no_words_are_left_over() -> None:
    unused = {key for key in WORDS if key not in SOURCES and key.split(".")[0] not in (*FAMILIES, "unit", "nav")}
    assert unused - {"examination.draft", "examination.empty", "examination.cancelled", "examination.purged"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_nothing_inline(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_nothing_is_named_on_another_server() -> None:
    named = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", SOURCES + (STATIC / "style.css").read_text()))
    assert named <= {"http://www.w3.org"}


def test_text_never_goes_in_as_html() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", SOURCES)


def test_the_viewer_has_its_licence_beside_it() -> None:
    licence = (STATIC / "vendor" / "niivue.LICENSE.txt").read_text()
    assert "BSD 2-Clause" in licence
    assert "Copyright (c) 2021, Niivue" in licence
    parts = (STATIC / "vendor" / "niivue.PARTS.txt").read_text()
    assert all(name in parts for name in ("gl-matrix", "nifti-reader-js", "fflate", "zarrita", "Zstandard", "Blosc"))
