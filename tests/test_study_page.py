"""The page about the study holds what the kept studies say."""

from __future__ import annotations

import pytest

from kneeage.study.views import View
from tools import write_study


def test_docs_hold_the_tables_of_the_kept_studies() -> None:
    text = write_study.PAGE.read_text(encoding="utf-8")
    assert write_study.studies(text), "the page shows no study"
    assert write_study.current(text) == text, "run `make study-page`"


def test_every_figure_of_the_page_is_there_and_no_other() -> None:
    shown = {f"{study}-{name}.png" for study, name in write_study.figures(write_study.PAGE.read_text(encoding="utf-8"))}
    assert {"table1-tight-roc.png", "table1-curves.png"} < shown
    assert {path.name for path in write_study.PICTURES.iterdir()} == shown


def test_tables_go_between_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    views = {"levels": View(("a", "b"), (("1", "x|y"),))}
    monkeypatch.setattr(write_study, "_study", lambda _: (None, views))
    text = "before\n<!-- begin one levels -->\nold\n<!-- end one levels -->\nafter\n"
    table = "| a | b |\n| --- | --- |\n| 1 | x/y |"
    assert write_study.current(text) == text.replace("old", table)
    assert write_study.current(write_study.current(text)) == write_study.current(text)


def test_an_empty_place_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_study, "_study", lambda _: (None, {"levels": View(("a",), ())}))
    filled = write_study.current("<!-- begin one levels -->\n<!-- end one levels -->\n")
    assert filled == "<!-- begin one levels -->\n| a |\n| --- |\n<!-- end one levels -->\n"
