"""The page about growth holds what the code has."""

from __future__ import annotations

import pytest

from kneeage.phantom.growth.literature import AttainmentRow, ClosedRow, rows
from kneeage.phantom.growth.population import Comparison
from tools import marked_page, write_growth


def test_docs_hold_the_parameters_of_the_code() -> None:
    assert write_growth.is_current(), "run `make growth`"


def test_parts_go_between_their_marks() -> None:
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert marked_page.filled(text, {"x": lambda: ["new", "er"]}) == text.replace("old", "new\ner")


@pytest.mark.parametrize(
    ("kind", "outside_by", "words"),
    [
        (ClosedRow, 0.0, "inside"),
        (ClosedRow, 0.0049, "just outside"),
        (ClosedRow, -0.006, "-1 points"),
        (AttainmentRow, -0.0049, "just outside"),
        (AttainmentRow, 0.33, "+0.33 y"),
    ],
)
def test_a_difference_that_rounds_to_nothing_is_not_printed_as_nothing(
    kind: type[ClosedRow | AttainmentRow], outside_by: float, words: str
) -> None:
    row = next(row for row in rows() if isinstance(row, kind))
    assert write_growth._verdict(Comparison(row, 0, 0, 0, outside_by)) == words
