"""Reading attributes tolerantly: an invalid value is an absent value, and nothing is said on stderr.

Warnings of the DICOM library quote the values they complain about, which may name a subject; so they are silenced.
"""

from __future__ import annotations

import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence

# What pydicom raises on damaged files and invalid values.
READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    AssertionError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# What is taken of one attribute. A short text has at most 64 characters by the standard, a comment 10,240; a file can
# hold far more in either. Source: DICOM PS3.5 section 6.2 (LO, LT); the values are our own choice.
MAX_TEXT_CHARACTERS = 1024
MAX_VALUES = 256


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the warnings and log lines of the DICOM library, which quote header values, to ourselves."""
    logger = logging.getLogger("pydicom")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


class Facts:
    """Attributes looked up in several data sets, the first that has a valid value wins.

    Args:
        datasets: Data sets, the most specific first.
    """

    def __init__(self, *datasets: Dataset) -> None:
        self._datasets = datasets

    def value(self, keyword: str) -> object:
        """Give the first valid, non-empty value, or None."""
        for dataset in self._datasets:
            found = _value(dataset, keyword)
            if found is not None:
                return found
        return None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Give the values as clean text, as many and as long as are taken."""
        cleaned = (_clean(str(part))[:MAX_TEXT_CHARACTERS] for part in _many(self.value(keyword))[:MAX_VALUES])
        return tuple(part for part in cleaned if part)

    def text(self, keyword: str) -> str | None:
        """Give the values as one clean text, or None."""
        return " ".join(self.texts(keyword))[:MAX_TEXT_CHARACTERS] or None

    def codes(self, keyword: str) -> tuple[str, ...]:
        """Give all values of a code string in upper case."""
        return tuple(part.upper() for part in self.texts(keyword))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Give exactly ``count`` finite numbers, or None."""
        found = tuple(_number(part) for part in _many(self.value(keyword)))
        finite = tuple(number for number in found if number is not None)
        return finite if len(found) == len(finite) == count else None

    def number(self, keyword: str) -> float | None:
        """Give the first value as a finite number, or None."""
        parts = _many(self.value(keyword))
        return _number(parts[0]) if parts else None

    def whole(self, keyword: str) -> int | None:
        """Give the first value as a whole number, or None."""
        number = self.number(keyword)
        return None if number is None or number != int(number) else int(number)

    def items(self, keyword: str) -> list[Dataset]:
        """Give the items of a sequence."""
        found = self.value(keyword)
        return list(found) if isinstance(found, DicomSequence) else []


def macros_of(group: Dataset) -> list[Dataset]:
    """Give the first item of every macro of a functional group. Source: DICOM PS3.3 section C.7.6.16."""
    macros = []
    for keyword in group.dir():
        items = Facts(group).items(keyword)
        macros += items[:1]
    return macros


def _value(dataset: Dataset, keyword: str) -> object:
    """Read one attribute; None where it is absent, empty or invalid."""
    try:
        found: object = dataset.get(keyword)
    except READ_ERRORS:
        return None
    is_empty = found is None or (isinstance(found, str | MultiValue | DicomSequence) and len(found) == 0)
    return None if is_empty else found


def _many(value: object) -> list[object]:
    """Give one or many values as a list."""
    if value is None:
        return []
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return list(value)
    return [value]


def _number(value: object) -> float | None:
    """Convert to a finite number."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clean(value: str) -> str:
    """Mend the script; drop a text with binary content, whose damaged length may have swallowed another attribute."""
    text = " ".join(_mended(value.strip("\0 ")).split())
    return text if text.isprintable() else ""


def _mended(value: str) -> str:
    """Mend text whose character set was not declared: many scanners write UTF-8 or GB 2312 and say nothing.

    Latin text never passes: one accented letter between plain ones is neither valid UTF-8 nor a GB 2312 pair.
    """
    if value.isascii():
        return value
    for encoding in ("utf-8", "gb2312"):
        try:
            return value.encode("latin-1").decode(encoding)
        except UnicodeError:
            continue
    return value
