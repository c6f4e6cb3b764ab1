"""What single cells of a subject table may hold.

Every parser raises ValueError with words that follow the column's name. A birth date identifies a person,
so no message repeats a date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from kneeage.core.anatomy import Plane, Sex, Side

# Ages that a living person can have; others are slips of the pen.
POSSIBLE_AGE_YEARS = (0.0, 120.0)
# Ages that a cohort of growing and just grown knees may hold; others are more likely slips of the pen. Our own choice.
PLAUSIBLE_AGE_YEARS = (3.0, 40.0)
# A stated decimal age and the one from the dates may differ by as much: an age of one decimal, and 365.25-day years.
AGE_TOLERANCE_YEARS = 0.1
# Wide enough for anybody of those ages; they catch metres, most inches and slips of the pen. Our own choice.
HEIGHT_CM = (70.0, 240.0)
WEIGHT_KG = (8.0, 250.0)

_SEXES = {"male": Sex.MALE, "m": Sex.MALE, "男": Sex.MALE, "female": Sex.FEMALE, "f": Sex.FEMALE, "女": Sex.FEMALE}
_SIDES = {
    **dict.fromkeys(("left", "l", "左"), Side.LEFT),
    **dict.fromkeys(("right", "r", "右"), Side.RIGHT),
    **dict.fromkeys(("unknown", "u"), Side.UNKNOWN),
}
# An identifier is the name of a folder on every system.
_SUBJECT_ID = re.compile(r"[^\W_][\w.-]{0,63}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{4}(-\d\d-\d\d|\d{4})")
_DECIMALS_OF_AGE = 4

Value = TypeVar("Value")


def subject_id(text: str) -> str:
    """Read an identifier: 1 to 64 letters, digits, ``_``, ``-`` and ``.``, a letter or digit first."""
    stated = stated_text(text)
    if not _SUBJECT_ID.fullmatch(stated) or stated.endswith(".") or _RESERVED.fullmatch(stated):
        raise ValueError(
            f"must have 1 to 64 letters, digits, '_', '-' or '.', and name a folder on every system; found {text!r}"
        )
    return stated


def sex(text: str) -> Sex:
    """Read a sex; numbers are refused, since 1 means male in one hospital and female in the next."""
    found = _SEXES.get(text.casefold())
    if found is None:
        raise ValueError(f"must be male or female (or m, f, 男, 女); {_found(text)}")
    return found


def side(text: str) -> Side:
    """Read the side of the knee."""
    found = _SIDES.get(text.casefold())
    if found is None:
        raise ValueError(f"must be left, right or unknown (or l, r, u, 左, 右), or empty; {_found(text)}")
    return found


def plane(text: str) -> Plane:
    """Read the plane of the series."""
    try:
        return Plane(text.casefold())
    except ValueError:
        raise ValueError(f"must be coronal, sagittal or axial, or empty; {_found(text)}") from None


def chronological_age_years(text: str) -> float:
    """Read an age in decimal years."""
    low, high = POSSIBLE_AGE_YEARS
    age_years = number(text)
    if not low < age_years < high:
        raise ValueError(f"must be an age in years, above {low:g} and below {high:g}; {_found(text)}")
    return age_years


def height_cm(text: str) -> float:
    """Read a height."""
    return _number_within(text, HEIGHT_CM, "cm")


def weight_kg(text: str) -> float:
    """Read a weight."""
    return _number_within(text, WEIGHT_KG, "kg")


def number(text: str) -> float:
    """Read a finite number with a decimal point."""
    if _DECIMAL_COMMA.fullmatch(text):
        raise ValueError(f"has a decimal comma: {text!r}; write {text.replace(',', '.')!r}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"must be a number; {_found(text)}")
    return value


def flag(text: str) -> bool:
    """Read a truth value: 1, or 0 or nothing."""
    if text not in ("", "0", "1"):
        raise ValueError(f"must be 0, 1 or empty; {_found(text)}")
    return text == "1"


def sha256(text: str) -> str:
    """Read a hash."""
    if not _SHA256.fullmatch(text):
        raise ValueError("must be a SHA-256 of 64 hexadecimal digits")
    return text


def stated_text(text: str) -> str:
    """Read a text that must not be empty."""
    if not text:
        raise ValueError("is empty; fill it in")
    return text


def relative_path(text: str) -> str:
    """Read a path inside a folder; slashes part its folders, on every system."""
    if not text or text.startswith(("/", "~")) or set(text) & {"\\", ":"} or ".." in text.split("/"):
        raise ValueError(f"must be a path inside the folder, with '/' between its parts; {_found(text)}")
    return text


def day(text: str) -> date:
    """Read a date as ISO 8601 or DICOM write it; others could have day and month swapped."""
    stated = stated_text(text)
    try:
        return date.fromisoformat(stated if _DAY.fullmatch(stated) else "")
    except ValueError:
        raise ValueError("must be a date such as 2008-03-31 or 20080331") from None


def optional(parse: Callable[[str], Value]) -> Callable[[str], Value | None]:
    """Let a cell be empty."""
    return lambda text: parse(text) if text else None


def decimal_age_years(birth: date, study: date) -> float:
    """Give the age in decimal years: completed years, and the share of the year that runs since the last birthday.

    So the completed years are those that anybody counts, which days / 365.25 gets wrong around birthdays. A birthday on
    29 February falls on 1 March in other years. Rounded to four decimals (an hour), which never reaches the next year.

    Args:
        birth: Date of birth.
        study: Date of the examination.

    Raises:
        ValueError: The birth is not before the study.
    """
    if birth >= study:
        raise ValueError("must be before study_date")
    completed = study.year - birth.year
    if _birthday(birth, study.year) > study:
        completed -= 1
    last, following = (_birthday(birth, birth.year + years) for years in (completed, completed + 1))
    return round(completed + (study - last).days / (following - last).days, _DECIMALS_OF_AGE)


def _birthday(birth: date, year: int) -> date:
    """Give the birthday of a year."""
    try:
        return birth.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _number_within(text: str, limits: tuple[float, float], unit: str) -> float:
    """Read a number between limits."""
    value = number(text)
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"must be {limits[0]:g} to {limits[1]:g} {unit}; {_found(text)}")
    return value


def _found(text: str) -> str:
    """Say what stands in a cell."""
    return f"found {text!r}" if text else "it is empty"
