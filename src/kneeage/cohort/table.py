"""The subject table of a cohort: one row per subject, read strictly; every fault names its row and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kneeage.cohort import cells
from kneeage.cohort.sheet import Row, Sheet, read_sheet
from kneeage.core.anatomy import Sex, Side
from kneeage.core.errors import InputRefusedError

TABLE_FILE = "subjects.csv"
SUBJECT_ID, AGE, IMAGE = "subject_id", "chronological_age_years", "image"
BIRTH_DATE, STUDY_DATE = "birth_date", "study_date"
NEEDED_COLUMNS = (SUBJECT_ID, "sex", "site", IMAGE)
# Criteria of exclusion. Source: Gao S et al. (Qingdao), Methods: clear images; no growth disease, injury, hormone use
# or variant anatomy.
EXCLUSIONS = {
    "unclear_images": "the images are not clear",
    "growth_disease": "a disease that affects growth",
    "injury": "an injury of the knee",
    "hormone_use": "use of hormones",
    "variant_anatomy": "variant anatomy",
}
# Faults listed in one message.
MAX_LISTED = 20

_PARSERS: dict[str, Callable[[str], Any]] = {
    SUBJECT_ID: cells.subject_id,
    "sex": cells.sex,
    AGE: cells.chronological_age_years,
    "site": cells.stated_text,
    IMAGE: cells.relative_path,
    "side": cells.optional(cells.side),
    "labels": cells.optional(cells.relative_path),
    "height_cm": cells.optional(cells.height_cm),
    "weight_kg": cells.optional(cells.weight_kg),
    "sequence": cells.optional(str),
    "subset": cells.optional(str),
    "pixel_sha256": cells.optional(cells.sha256),
    "study_key": cells.optional(cells.sha256),
}
# Columns that are checked and kept as they are.
_CHECKED_EXTRA: dict[str, Callable[[str], Any]] = {"plane": cells.optional(cells.plane)}


@dataclass(frozen=True)
class SubjectEntry:
    """What a cohort's table says of a subject.

    Args:
        subject_id: Name within the cohort; a pseudonym.
        sex: Sex.
        chronological_age_years: Decimal age at the examination.
        site: Where the subject was examined.
        side: Side of the knee; None where the table does not say.
        image: NIfTI file or DICOM folder, relative to the cohort's folder.
        labels: NIfTI file of labels, relative to the cohort's folder.
        height_cm: Height.
        weight_kg: Weight.
        sequence: Name or weighting of the sequence.
        subset: Group that the table itself gives.
        pixel_sha256: Hash of the grey values alone; see `kneeage.cohort.folder.pixel_key`.
        study_key: SHA-256 of the Study Instance UID.
        extra: Text of the further columns.
    """

    subject_id: str
    sex: Sex
    chronological_age_years: float
    site: str
    side: Side | None
    image: str
    labels: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    sequence: str | None = None
    subset: str | None = None
    pixel_sha256: str | None = None
    study_key: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a cell, or with a row.

    Args:
        row: As a spreadsheet counts.
        column: Name of the column; None: it is about the whole row.
        subject_id: What the row's identifier says.
        words: What is wrong.
    """

    row: int
    column: str | None
    subject_id: str
    words: str

    def __str__(self) -> str:
        """Name the cell and what is wrong with it."""
        place = f"row {self.row}" if self.column is None else f"row {self.row}, column {self.column!r}"
        return f"{place}: {self.words}"


@dataclass(frozen=True)
class Scan:
    """What a table holds, sound or not.

    Args:
        entries: Subjects whose rows are sound.
        excluded: Criteria that a subject meets, for every subject that is to be left out.
        faults: What is wrong with the other rows.
    """

    entries: tuple[SubjectEntry, ...]
    excluded: Mapping[str, Sequence[str]]
    faults: tuple[Fault, ...]


def read_subjects(path: Path) -> list[SubjectEntry]:
    """Read the subject table of a cohort.

    The age is ``chronological_age_years``, or where that is empty what ``birth_date`` and ``study_date`` come to
    (`kneeage.cohort.cells.decimal_age_years`); where all three are there they must agree.

    Args:
        path: CSV file; see `kneeage.cohort.sheet.read_sheet`.

    Returns:
        One entry per row.

    Raises:
        InputRefusedError: A column is missing, or a cell holds what it may not, a subject is there twice, or should be
            excluded; every such row and column is named.
    """
    sheet = read_sheet(path, may_be_uneven=True)
    scan = scan_sheet(sheet)
    require_sound(sheet.name, scan.faults)
    return list(scan.entries)


def scan_sheet(sheet: Sheet, *, may_exclude: bool = False) -> Scan:
    """Read every row of a table, and note what is wrong with it.

    Args:
        sheet: The table.
        may_exclude: Whether subjects may be in it who are to be excluded; nothing else in their rows is read.

    Raises:
        InputRefusedError: A column is missing.
    """
    require_columns(sheet)
    readings = [_Reading.of(row) for row in sheet.rows]
    excluded = {each.subject_id: each.met for each in readings if each.met and may_exclude}
    kept = [each for each in readings if not (each.met and may_exclude)]
    faults = [fault for each in kept for fault in each.faults + ([] if may_exclude else each.should_be_excluded())]
    faults += [Fault(number, None, "", words) for number, words in sheet.uneven.items()]
    return Scan(
        entries=tuple(each.entry() for each in kept if not each.faults),
        excluded=excluded,
        faults=tuple(sorted([*_unnamed(readings, excluded), *faults, *_twice(readings)], key=lambda fault: fault.row)),
    )


def require_columns(sheet: Sheet, *, without_images: bool = False) -> None:
    """Check that a table has the columns that every table needs.

    Args:
        sheet: The table.
        without_images: Whether nobody knows yet where the images will lie.

    Raises:
        InputRefusedError: Some are missing; all of them are named.
    """
    has_dates = {BIRTH_DATE, STUDY_DATE} <= set(sheet.columns)
    needed = [*NEEDED_COLUMNS, *([] if has_dates else [AGE])]
    sheet.require(*(column for column in needed if column != IMAGE or not without_images))


def require_sound(name: str, faults: Sequence[Fault]) -> None:
    """Refuse a table with faults, and list them.

    Args:
        name: Name of its file.
        faults: What is wrong.

    Raises:
        InputRefusedError: There are faults.
    """
    if not faults:
        return
    shown = [str(fault) for fault in faults[:MAX_LISTED]]
    rest = [f"and {len(faults) - MAX_LISTED} more"] if len(faults) > MAX_LISTED else []
    if len(faults) == 1:
        raise InputRefusedError(f"{name!r}, {shown[0]}")
    raise InputRefusedError("\n".join([f"{name!r} has {len(faults)} faults; mend them and run again:", *shown, *rest]))


@dataclass(frozen=True)
class _Reading:
    """A row that was read: its values, the criteria of exclusion it meets, and what is wrong with it."""

    row: Row
    values: dict[str, Any]
    met: list[str]
    faults: list[Fault]

    @classmethod
    def of(cls, row: Row) -> _Reading:
        """Read a row."""
        own, faults = _with_age(row)
        values: dict[str, Any] = {}
        for column, parse in {**_PARSERS, **_CHECKED_EXTRA, **dict.fromkeys(EXCLUSIONS, cells.flag)}.items():
            if column == AGE and faults:  # said already
                continue
            try:
                values[column] = parse(own.get(column, ""))
            except ValueError as error:
                faults.append(_fault(row, column, str(error)))
        met = [words for column, words in EXCLUSIONS.items() if values.get(column)]
        return cls(row, values, met, faults)

    @property
    def subject_id(self) -> str:
        """What stands in the cell of the identifier."""
        return self.row.cells.get(SUBJECT_ID, "")

    def should_be_excluded(self) -> list[Fault]:
        """Say which criteria of exclusion a subject meets who is in the cohort all the same."""
        words = "1 excludes a subject; take the row out of the table"
        return [_fault(self.row, column, words) for column in EXCLUSIONS if self.values.get(column)]

    def entry(self) -> SubjectEntry:
        """Make the entry of a sound row."""
        extra = {column: text for column, text in self.row.cells.items() if column not in _PARSERS}
        return SubjectEntry(**{column: self.values[column] for column in _PARSERS}, extra=extra)


def _with_age(row: Row) -> tuple[dict[str, str], list[Fault]]:
    """Fill in the age that the dates come to, and check it against one that is stated."""
    own = dict(row.cells)
    from_dates = _age_from_dates(own, row)
    if isinstance(from_dates, Fault):
        return own, [from_dates]
    if from_dates is None:
        return own, []
    if not own.get(AGE):
        return {**own, AGE: repr(from_dates)}, []
    return own, _disagreement(row, own[AGE], from_dates)


def _age_from_dates(own: Mapping[str, str], row: Row) -> float | Fault | None:
    """Reckon the age of a row; None where a date is not there and not needed."""
    dates = [own.get(column, "") for column in (BIRTH_DATE, STUDY_DATE)]
    if not any(dates) or (own.get(AGE) and not all(dates)):
        return None
    days = []
    for column, text in zip((BIRTH_DATE, STUDY_DATE), dates, strict=True):
        try:
            days.append(cells.day(text))
        except ValueError as error:
            return _fault(row, column, str(error))
    try:
        age_years = cells.decimal_age_years(*days)
    except ValueError as error:
        return _fault(row, BIRTH_DATE, str(error))
    if age_years >= cells.POSSIBLE_AGE_YEARS[1]:
        return _fault(row, BIRTH_DATE, f"lies {age_years:.0f} years before {STUDY_DATE}; mend one of them")
    return age_years


def _disagreement(row: Row, stated: str, from_dates: float) -> list[Fault]:
    """Compare a stated age with the dates; one that is no number is found elsewhere."""
    try:
        difference = cells.number(stated) - from_dates
    except ValueError:
        return []
    if abs(difference) <= cells.AGE_TOLERANCE_YEARS:
        return []
    return [_fault(row, AGE, f"is {stated}, and the dates come to {from_dates:g} years; mend one of them")]


def _unnamed(readings: Sequence[_Reading], excluded: Mapping[str, object]) -> list[Fault]:
    """Find faults in the identifiers of subjects who are to be excluded."""
    return [
        fault
        for each in readings
        if each.met and each.subject_id in excluded
        for fault in each.faults
        if fault.column == SUBJECT_ID
    ]


def _twice(readings: Sequence[_Reading]) -> list[Fault]:
    """Find identifiers that are there before, in any case: some systems tell no small letters from capitals."""
    faults = []
    first: dict[str, int] = {}
    for each in readings:
        number = first.setdefault(each.subject_id.casefold(), each.row.number)
        if each.subject_id and number != each.row.number:
            words = f"{each.subject_id!r} is in row {number} too; keep one row per subject"
            faults.append(_fault(each.row, SUBJECT_ID, words))
    return faults


def _fault(row: Row, column: str, words: str) -> Fault:
    """Note a fault of a row."""
    return Fault(row.number, column, row.cells.get(SUBJECT_ID, ""), words)
