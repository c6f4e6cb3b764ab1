"""Raw values of a group, read from one column of a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from kneeage.core.errors import InputRefusedError, UsageError


def read_values(path: Path, column: str | None = None) -> list[float]:
    """Read one number per row.

    Args:
        path: CSV file with one column, with or without its name above, or with several named ones.
        column: Which of several columns.

    Raises:
        InputRefusedError: The file cannot be read, or a value is no finite number; the error names row and column.
        UsageError: The column is not there, or it is not said which of several it is.
    """
    lines = _lines(path)
    header = lines[0] if column is not None or not _is_number(lines[0][0]) or len(lines[0]) > 1 else None
    place = 0 if header is None else _place(header, column, path.name)
    first = 0 if header is None else 1
    return [
        _value(cells, place, f"{path.name!r}, row {number}, column {column or place + 1}")
        for number, cells in enumerate(lines[first:], start=first + 1)
    ]


def _lines(path: Path) -> list[list[str]]:
    """Read the lines of the file that are not blank at its end."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream, strict=True))
    except FileNotFoundError:
        raise InputRefusedError(f"{path.name!r} is not there; give a CSV file of values") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputRefusedError(f"{path.name!r} cannot be read as CSV in UTF-8 ({type(error).__name__})") from None
    while lines and not any(cell.strip() for cell in lines[-1]):
        lines.pop()
    if not lines or not lines[0]:
        raise InputRefusedError(f"{path.name!r} has no values in its first line; give one number per line")
    return lines


def _place(header: list[str], column: str | None, name: str) -> int:
    """Find a column in the header."""
    if column is None and len(header) == 1:
        return 0
    if column is None:
        raise UsageError(f"{name!r} has {len(header)} columns; choose one with --column: {', '.join(header)}")
    if header.count(column) != 1:
        raise UsageError(f"{name!r} must have the column {column!r} once; found {', '.join(header)}")
    return header.index(column)


def _value(cells: list[str], place: int, name: str) -> float:
    """Read one value."""
    text = cells[place].strip() if place < len(cells) else ""
    if not _is_number(text):
        raise InputRefusedError(f"{name}: a finite number is needed; found {text!r}")
    return float(text)


def _is_number(text: str) -> bool:
    """Say whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
