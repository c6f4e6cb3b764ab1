"""Tables as people hand them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.cohort.sheet import read_sheet, sheet_text
from kneeage.core.errors import InputRefusedError


def read(folder: Path, raw: bytes | str) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    path = folder / "people.csv"
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    sheet = read_sheet(path)
    return sheet.columns, [(row.number, dict(row.cells)) for row in sheet.rows]


def test_rows_are_numbered_as_a_spreadsheet_does(tmp_path: Path) -> None:
    found = read(tmp_path, "a,b\n1, x \n,\n\n3,y\n")
    assert found == (("a", "b"), [(2, {"a": "1", "b": "x"}), (5, {"a": "3", "b": "y"})])


def test_a_byte_order_mark_and_windows_lines_change_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n") == (("a", "b"), [(2, {"a": "1", "b": "2"})])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PK\x03\x04rest", "'people.csv' is an Excel or OpenDocument workbook; save it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0rest", "is an Excel workbook of the old kind"),
        ("a,b\n1,2".encode("utf-16"), "is text in UTF-16; save it as"),
        ("a,b\n男,2".encode("gbk"), "is not in UTF-8; save it as"),
        ("subject_id;sex\n1;m", "columns are parted by semicolons; save it as"),
        ("subject_id\tsex\n1\tm", "columns are parted by tabs"),
        ("", "has no column names"),
        ("a,b\n", "has no row below its header"),
        ("a,b\n,\n", "has no row below its header"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        ("a,b,a\n1,2,3\n", "column 'a' is there twice"),
        ("a,b\n1,14,5\n", r"row 2: 3 cells, and the header has 2; a decimal comma"),
        ('a,b\n1,"x\n', "is not sound CSV"),
    ],
)
def test_what_is_no_such_table_is_named_for_what_it_is(raw: bytes | str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=words):
        read(tmp_path, raw)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"'none.csv' cannot be read"):
        read_sheet(tmp_path / "none.csv")


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputRefusedError, match=r"'t.csv': column 'c' is missing; found a, b"):
        read_sheet(tmp_path / "t.csv").require("a", "c")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    text = sheet_text(("a", "b"), [{"a": 1.25, "b": 'x, "y"'}, {"a": "z"}])
    assert read(tmp_path, text)[1] == [(2, {"a": "1.25", "b": 'x, "y"'}), (3, {"a": "z", "b": ""})]
