"""What a researcher's table asks for: whom to import, from where, and whom to leave out for which reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kneeage.cohort import cells
from kneeage.cohort.folder import IMAGE_FILE, SUBJECTS_FOLDER
from kneeage.cohort.sheet import Row, Sheet, read_sheet
from kneeage.cohort.table import (
    BIRTH_DATE,
    IMAGE,
    STUDY_DATE,
    SUBJECT_ID,
    Fault,
    Scan,
    SubjectEntry,
    require_columns,
    require_sound,
    scan_sheet,
)
from kneeage.core.errors import InputRefusedError

SOURCE, SERIES = "source", "series"
# Columns that the import itself fills; what a table says there would be lost.
WRITTEN_COLUMNS = (IMAGE, "labels", "pixel_sha256", "study_key")
# Columns that are used up: a cohort needs no dates of birth and no names of clinical folders.
USED_UP_COLUMNS = (BIRTH_DATE, STUDY_DATE, SOURCE, SERIES)


@dataclass(frozen=True)
class Refused:
    """A subject of the table that is not in the cohort.

    Args:
        subject_id: Who.
        reason: Why.
    """

    subject_id: str
    reason: str


@dataclass(frozen=True)
class Order:
    """A subject to import.

    Args:
        entry: What the table says of the subject.
        source: Path below the source folder; empty: the one that is called as the subject.
        series: Key of a series; empty: the best one.
    """

    entry: SubjectEntry
    source: str
    series: str


@dataclass(frozen=True)
class Request:
    """What a table asks for.

    Args:
        columns: Columns of the table.
        orders: Subjects to import.
        refused: Subjects to leave out.
    """

    columns: tuple[str, ...]
    orders: tuple[Order, ...] = field(repr=False)
    refused: tuple[Refused, ...] = field(repr=False)


def read_request(path: Path) -> Request:
    """Read the whole table before anything is imported.

    Args:
        path: CSV file; see `kneeage.cohort.importing.import_cohort`.

    Raises:
        InputRefusedError: It has faults; every one is named.
    """
    sheet = read_sheet(path, may_be_uneven=True)
    written = [column for column in WRITTEN_COLUMNS if column in sheet.columns]
    if written:
        raise InputRefusedError(f"{sheet.name!r}: the import itself writes column {written[0]!r}; take it out")
    scan = scan_sheet(_with_images(sheet), may_exclude=True)
    rows = [row for row in sheet.rows if row.cells[SUBJECT_ID] not in scan.excluded]
    # The path of the image is made of the identifier, whose own fault is named.
    named = [fault for fault in scan.faults if fault.column != IMAGE]
    require_sound(sheet.name, sorted([*named, *_source_faults(rows)], key=lambda fault: fault.row))
    texts = {row.cells[SUBJECT_ID]: row.cells for row in rows}
    return Request(
        columns=sheet.columns,
        orders=tuple(_order(each, texts[each.subject_id]) for each in scan.entries if is_plausible(each)),
        refused=_left_out(scan),
    )


def is_plausible(entry: SubjectEntry) -> bool:
    """Say whether a subject's age is one that a cohort of knees may hold."""
    low, high = cells.PLAUSIBLE_AGE_YEARS
    return low <= entry.chronological_age_years <= high


def implausible_words(entry: SubjectEntry) -> str:
    """Say why an age is not plausible."""
    low, high = cells.PLAUSIBLE_AGE_YEARS
    return f"chronological age of {entry.chronological_age_years:g} years, outside {low:g} to {high:g}"


def _left_out(scan: Scan) -> tuple[Refused, ...]:
    """List whom the table itself leaves out."""
    excluded = [Refused(name, f"excluded: {'; '.join(met)}") for name, met in scan.excluded.items()]
    implausible = [Refused(each.subject_id, implausible_words(each)) for each in scan.entries if not is_plausible(each)]
    return (*excluded, *implausible)


def _with_images(sheet: Sheet) -> Sheet:
    """Say in a table where the images will lie."""
    require_columns(sheet, without_images=True)
    rows = [
        replace(row, cells={**row.cells, IMAGE: f"{SUBJECTS_FOLDER}/{row.cells[SUBJECT_ID]}/{IMAGE_FILE}"})
        for row in sheet.rows
    ]
    return replace(sheet, columns=(*sheet.columns, IMAGE), rows=tuple(rows))


def _source_faults(rows: list[Row]) -> list[Fault]:
    """Find paths that lead out of the source folder."""
    faults = []
    for row in rows:
        try:
            cells.optional(cells.relative_path)(row.cells.get(SOURCE, ""))
        except ValueError as error:
            faults.append(Fault(row.number, SOURCE, row.cells[SUBJECT_ID], str(error)))
    return faults


def _order(entry: SubjectEntry, texts: Mapping[str, str]) -> Order:
    """Say where a subject comes from."""
    return Order(entry, texts.get(SOURCE, ""), texts.get(SERIES, ""))
