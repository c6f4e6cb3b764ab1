"""Tables as people hand them over: CSV with commas in UTF-8, read strictly; anything else is named for what it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kneeage.core.errors import InputRefusedError

# The header is row 1 of a spreadsheet, the first subject is in row 2.
_FIRST_ROW = 2
_REMEDY = "save it as 'CSV UTF-8', with commas between the columns and points in the numbers"
# First bytes of a zip (XLSX, ODS), of an OLE file (XLS) and of UTF-16 text, which Excel calls "Unicode text".
_SIGNATURES = (
    (b"PK\x03\x04", "an Excel or OpenDocument workbook"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "upright bars"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        number: As a spreadsheet counts, the header being row 1.
        cells: Text of every column, without blanks around it.
    """

    number: int
    cells: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Sheet:
    """A table in memory.

    Args:
        name: Name of its file.
        columns: Names of its columns.
        rows: Its rows, without the blank ones.
        uneven: What is wrong with rows that have more or fewer cells than the header, by their numbers.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)
    uneven: Mapping[int, str] = field(default_factory=dict)

    def require(self, *columns: str) -> None:
        """Check that columns are there.

        Raises:
            InputRefusedError: Some are not; all of them are named.
        """
        missing = [repr(column) for column in columns if column not in self.columns]
        if missing:
            are, them = ("column {} is", "it") if len(missing) == 1 else ("columns {} are", "them")
            named, found = are.format(", ".join(missing)), ", ".join(self.columns)
            raise InputRefusedError(f"{self.name!r}: {named} missing; found {found}; add {them}")


def read_sheet(path: Path, *, may_be_uneven: bool = False) -> Sheet:
    """Read a table.

    Args:
        path: CSV file with commas, in UTF-8 with or without a byte order mark, its column names in the first row.
        may_be_uneven: Whether a row may have more or fewer cells than the header; the caller names it.

    Raises:
        InputRefusedError: It cannot be read, is another kind of file, has no row, a column without a name or one
            twice, or a row with more or fewer cells than the header.
    """
    lines = _lines(path)
    header = [name.strip() for name in lines[0]]
    _require_commas(header, path.name)
    _require_names(header, path.name)
    numbered = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines[1:], _FIRST_ROW)]
    filled = {number: cells for number, cells in numbered if any(cells)}
    if not filled:
        raise InputRefusedError(f"{path.name!r} has no row below its header; give one row per subject")
    uneven = {n: _uneven_words(cells, header) for n, cells in filled.items() if len(cells) != len(header)}
    if uneven and not may_be_uneven:
        number, words = next(iter(uneven.items()))
        raise InputRefusedError(f"{path.name!r}, row {number}: {words}")
    rows = (Row(n, dict(zip(header, cells, strict=True))) for n, cells in filled.items() if n not in uneven)
    return Sheet(path.name, tuple(header), tuple(rows), uneven)


def sheet_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Write a table as CSV.

    Args:
        columns: Names of its columns.
        rows: Their values; a column that a row lacks is left empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _lines(path: Path) -> list[list[str]]:
    """Read the cells of every line."""
    text = _text(path)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputRefusedError(f"{path.name!r} is not sound CSV ({error}); {_REMEDY}") from None
    if not lines or not any(cell.strip() for cell in lines[0]):
        raise InputRefusedError(f"{path.name!r} has no column names in its first row; {_REMEDY}")
    return lines


def _text(path: Path) -> str:
    """Read the text of a file, or say what the file is."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputRefusedError(f"{path.name!r} cannot be read ({error.strerror}); give a CSV file") from None
    kind = next((kind for signature, kind in _SIGNATURES if raw.startswith(signature)), None)
    if kind is not None:
        raise InputRefusedError(f"{path.name!r} is {kind}; {_REMEDY}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputRefusedError(f"{path.name!r} is not in UTF-8; {_REMEDY}") from None


def _require_commas(header: list[str], name: str) -> None:
    """Refuse columns that are parted by something else."""
    if len(header) > 1:
        return
    separator = next((separator for separator in _SEPARATORS if separator in header[0]), None)
    if separator is not None:
        raise InputRefusedError(f"{name!r}: the columns are parted by {_SEPARATORS[separator]}; {_REMEDY}")


def _require_names(header: list[str], name: str) -> None:
    """Refuse a column without a name, and a name that is there twice."""
    if "" in header:
        raise InputRefusedError(f"{name!r}: column {header.index('') + 1} has no name; name it, or take it out")
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise InputRefusedError(f"{name!r}: column {twice!r} is there twice; keep one")


def _uneven_words(cells: list[str], header: list[str]) -> str:
    """Say what is wrong with a row that is longer or shorter than the header."""
    return (
        f"{len(cells)} cells, and the header has {len(header)}; a decimal comma, or a comma in a text without quotes, "
        "makes one too many; write 14.5, and put such texts in quotes"
    )
