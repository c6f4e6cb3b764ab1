"""The page about growth holds what the code has."""

from __future__ import annotations

from tools import write_growth


def test_docs_hold_the_parameters_of_the_code() -> None:
    assert write_growth.is_current(), "run `make growth`"


def test_parts_go_between_their_marks() -> None:
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert write_growth.filled(text, {"x": lambda: ["new", "er"]}) == text.replace("old", "new\ner")
