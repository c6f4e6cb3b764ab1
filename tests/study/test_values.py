"""Raw values from CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.study.values import read_values


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("0.5\n1e-1\n", None),
        ("recall\n0.5\n0.1\n", None),
        ("recall\n0.5\n0.1\n", "recall"),
        ("fold,recall\n1,0.5\n2,0.1\n", "recall"),
        ("0.5\r\n 0.1\r\n\r\n", None),
    ],
)
def test_values_with_and_without_a_header(tmp_path: Path, text: str, column: str | None) -> None:
    assert read_values(written(tmp_path, text), column) == [0.5, 0.1]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("0.5\nx\n", None, "'a.csv', row 2, column 1: a finite number is needed; found 'x'"),
        ("r\n0.5\nnan\n", None, "row 3, column 1: a finite number is needed; found 'nan'"),
        ("0.5\n\n0.1\n", None, "row 2, column 1: a finite number is needed; found ''"),
        ("f,r\n1,2\n1\n", "r", "row 3, column r: a finite number is needed; found ''"),
        ("", None, "'a.csv' has no values"),
        ("\n0.5\n", None, "'a.csv' has no values"),
    ],
)
def test_refusals_name_row_and_column(tmp_path: Path, text: str, column: str | None, words: str) -> None:
    with pytest.raises(InputRefusedError, match=words):
        read_values(written(tmp_path, text), column)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("f,r\n1,2\n", None, "has 2 columns; choose one with --column: f, r"),
        ("f,r\n1,2\n", "p", "must have the column 'p' once; found f, r"),
        ("r,r\n1,2\n", "r", "must have the column 'r' once"),
    ],
)
def test_the_column_must_be_clear(tmp_path: Path, text: str, column: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_values(written(tmp_path, text), column)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    for name, words in (("a.csv", "cannot be read as CSV in UTF-8"), ("none.csv", "is not there")):
        with pytest.raises(InputRefusedError, match=f"'{name}' {words}"):
            read_values(tmp_path / name)
