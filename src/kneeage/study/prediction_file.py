"""Prediction tables as CSV files: read strictly, written in full."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from kneeage.core.anatomy import Sex
from kneeage.study.predictions import ALL_FOLDS, NO_SLICE, Group, PredictionError, PredictionRow, Predictions

# A row is one of a spreadsheet: the first one below the header is row 2.
_FIRST_ROW = 2
_FACTS = ("subject_id", "slice_index", "fold", "group", "site", "sex", "chronological_age_years", "age_class")
_PROBABILITY = "probability_"
_ALL_FOLDS_WORD = "all"

Value = TypeVar("Value")
Coded = TypeVar("Coded", bound=Enum)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a prediction table.

    Args:
        path: CSV file; one that is there is replaced. Ages are written in full, probabilities with six decimals.
        predictions: The table.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_FACTS, *(f"{_PROBABILITY}{year}" for year in predictions.classes)])
        writer.writerows(_cells(predictions, place) for place in range(len(predictions)))


def read_predictions(path: Path) -> Predictions:
    """Read a prediction table.

    Args:
        path: CSV file with the columns ``subject_id``, ``slice_index`` (empty in a subject-level table), ``fold``
            (a number from 0 on, or ``all``), ``group`` (internal or external), ``site``, ``sex`` (male or female),
            ``chronological_age_years``, ``age_class`` (completed years) and ``probability_10`` and so on, one for
            every class, in rising order.

    Raises:
        PredictionError: The file cannot be read, lacks a column or has an unknown one, or a value cannot be; the error
            names row and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionError(f"{path.name!r} cannot be read as CSV in UTF-8 ({type(error).__name__})") from None
    if not lines:
        raise PredictionError(f"{path.name!r} is empty; a prediction table begins with its column names")
    classes = _classes(lines[0])
    rows = [_row(lines[0], cells, place) for place, cells in enumerate(lines[1:])]
    return Predictions.of(classes, rows, _name)


def _cells(predictions: Predictions, place: int) -> list[str]:
    """Write one row."""
    fold, slice_index = int(predictions.fold[place]), int(predictions.slice_index[place])
    facts = [
        str(predictions.subject_id[place]),
        "" if slice_index == NO_SLICE else str(slice_index),
        _ALL_FOLDS_WORD if fold == ALL_FOLDS else str(fold),
        str(predictions.group[place]),
        str(predictions.site[place]),
        str(predictions.sex[place]),
        repr(float(predictions.chronological_age_years[place])),
        str(predictions.classes[int(predictions.true_class[place])]),
    ]
    return facts + [f"{value:.6f}" for value in predictions.probability[place]]


def _name(place: int) -> str:
    """Name a row by its place from 0 on."""
    return f"row {place + _FIRST_ROW}"


def _classes(header: list[str]) -> list[int]:
    """Read the classes off the header, and check that it has every column once."""
    missing = [name for name in _FACTS if name not in header]
    if missing:
        raise PredictionError(f"column {missing[0]!r} is missing; found {', '.join(header)}")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise PredictionError(f"column {twice[0]!r} is there twice; keep one")
    rest = [name for name in header if name not in _FACTS]
    unknown = [name for name in rest if name.rstrip("0123456789") != _PROBABILITY]
    if unknown:
        raise PredictionError(f"column {unknown[0]!r} is not known; take it out, or name it {_PROBABILITY}YEAR")
    if not rest or _PROBABILITY in rest:
        raise PredictionError(f"column '{_PROBABILITY}YEAR' is missing; a table needs one for every class")
    return [int(name.removeprefix(_PROBABILITY)) for name in rest]


def _row(header: list[str], cells: list[str], place: int) -> PredictionRow:
    """Read one row and name it in every error."""
    if len(cells) != len(header):
        raise PredictionError(f"{_name(place)} must have {len(header)} cells, as the header has; found {len(cells)}")
    texts = dict(zip(header, cells, strict=True))
    try:
        row = PredictionRow(
            subject_id=texts["subject_id"],
            fold=_cell(texts, "fold", _fold),
            group=_coded(texts, "group", Group),
            site=texts["site"],
            sex=_coded(texts, "sex", Sex),
            chronological_age_years=_cell(texts, "chronological_age_years", float),
            probability=tuple(_cell(texts, name, float) for name in header if name not in _FACTS),
            slice_index=_cell(texts, "slice_index", _slice_index),
        )
        _check_class(row, _cell(texts, "age_class", int))
    except PredictionError as error:
        raise PredictionError(f"{_name(place)}: {error}") from None
    return row


def _check_class(row: PredictionRow, written: int) -> None:
    """Check the class that is written against the age."""
    if written != row.age_class:
        age = row.chronological_age_years
        raise PredictionError(f"age_class must be the completed years of {age:g}, {row.age_class}; found {written}")


def _cell(texts: dict[str, str], column: str, read: Callable[[str], Value]) -> Value:
    """Read a number."""
    try:
        return read(texts[column])
    except ValueError:
        raise PredictionError(f"{column} must be a number; found {texts[column]!r}") from None


def _coded(texts: dict[str, str], column: str, kind: type[Coded]) -> Coded:
    """Read one of a few words."""
    words: Sequence[str] = [each.value for each in kind]
    if texts[column] not in words:
        raise PredictionError(f"{column} must be {' or '.join(words)}; found {texts[column]!r}")
    return kind(texts[column])


def _fold(text: str) -> int:
    """Read a fold."""
    return ALL_FOLDS if text == _ALL_FOLDS_WORD else _not_negative(text)


def _slice_index(text: str) -> int:
    """Read the number of a slice."""
    return NO_SLICE if not text else _not_negative(text)


def _not_negative(text: str) -> int:
    """Read a number; what the table writes as a word may not come as a number."""
    if int(text) < 0:
        raise ValueError(text)
    return int(text)
