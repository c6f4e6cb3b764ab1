"""The audit log: who did what, to which examination, with which bundle and images; append-only, each line sealed.

A line's hash covers the line and the hash of the line before, so no line can be changed, taken out or put in between
without breaking every later one. The newest hash is noted in the settings and in a file beside the images, so that
lines missing at the end are found too. Who can rewrite the database and that file can rewrite the log: note the head
that `verify` gives elsewhere, and compare.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, desc, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from kneeage.core.errors import KneeAgeError, OutputError
from kneeage.service.tables import AUDIT, SETTINGS, fold_in, steady, writing

FIRST_HASH = "0" * 64

_log = logging.getLogger(__name__)
_HEAD = "audit_head"
_SEALED = ("number", "time", "who", "action", "examination", "facts", "previous")
_ROWS_AT_ONCE = 1000


class AuditError(KneeAgeError, ValueError):
    """A line of the audit log was altered, or is missing."""


@dataclass(frozen=True)
class Head:
    """The newest line of a log.

    Args:
        number: Its number; 0 where there is none.
        hash: Its hash.
    """

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Line:
    """One line of the log.

    Args:
        number: From 1, without a gap.
        time: When, ISO 8601, UTC.
        who: The user.
        action: What was done.
        examination: To which examination; None: to none.
        facts: With what: identifiers and hashes, no word from an image.
        hash: Seal over all of it and the line before.
    """

    number: int
    time: str
    who: str
    action: str
    examination: str | None
    facts: dict[str, Any]
    hash: str


class Journal:
    """Changes of the register with the lines that tell about them: both are kept, or neither.

    Args:
        engine: The register's database.
        head: File that the newest hash is noted in.
    """

    def __init__(self, engine: Engine, head: Path) -> None:
        self.engine = engine
        self.head = head

    @contextmanager
    def writing(self) -> Iterator[Pen]:
        """Give what writes changes and lines; all of it is committed at the end, or nothing.

        Raises:
            AuditError: The file of the newest hash holds none; nothing is changed.
        """
        read_head(self.head)
        with writing(self.engine) as connection:
            pen = Pen(connection)
            yield pen
        if pen.has_forgotten:
            fold_in(self.engine)
        if pen.head is not None:
            self._note_head()

    def verify(self, known: Head | None = None) -> Head:
        """Check every line, against the noted head too.

        Raises:
            AuditError: A line was altered, or is missing, or the log cannot be read.
        """
        try:
            with steady(self.engine) as connection:
                head = verify(connection, read_head(self.head))
                return head if known is None else verify(connection, known)
        except AuditError:
            raise
        except (TypeError, ValueError, SQLAlchemyError) as error:
            words = f"the audit log cannot be read ({type(error).__name__}): a line or a table is not as it was written"
            raise AuditError(words) from error

    def _note_head(self) -> None:
        """Note the newest hash in the file; the writer's place keeps an older one from coming after a newer one.

        What was committed stays so where the file cannot be written: the next line is noted in its place.
        """
        try:
            with writing(self.engine) as connection:
                write_head(self.head, _noted(connection))
        except OutputError as error:
            _log.warning("the newest line of the audit log was not noted: %s", error)


class Pen:
    """Writes changes and lines in one transaction.

    Args:
        connection: The one writer's.

    Attributes:
        has_forgotten: Whether words were taken out that must lie nowhere once the transaction has ended.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.head: Head | None = None
        self.has_forgotten = False

    def note(self, who: str, action: str, examination: str | None = None, **facts: Any) -> None:
        """Write a line."""
        self.head = append(self.connection, who, action, examination, facts)


def append(connection: Connection, who: str, action: str, examination: str | None, facts: Mapping[str, Any]) -> Head:
    """Write a line, in the transaction of what it tells about.

    Args:
        connection: The one writer's.
        who: The user.
        action: What was done.
        examination: To which examination.
        facts: With what; JSON.

    Returns:
        The new head.
    """
    last = _noted(connection)
    line: dict[str, Any] = {
        "number": last.number + 1,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": who,
        "action": action,
        "examination": examination,
        "facts": json.dumps(dict(facts), sort_keys=True),
        "previous": last.hash,
    }
    head = Head(last.number + 1, _seal(line))
    connection.execute(insert(AUDIT).values(**line, hash=head.hash))
    connection.execute(delete(SETTINGS).where(SETTINGS.c.name == _HEAD))
    connection.execute(insert(SETTINGS).values(name=_HEAD, value=str(head)))
    return head


def verify(connection: Connection, known: Head | None = None) -> Head:
    """Check every line.

    Args:
        connection: One to read with.
        known: A head that was noted earlier; it must still be in the log.

    Returns:
        The head.

    Raises:
        AuditError: A line was altered, or is missing.
    """
    last, is_known = Head(0, FIRST_HASH), known is None or known.number == 0
    for row in _rows(connection):
        last = _checked(row, last)
        if known is not None and last.number == known.number:
            is_known = _require_same(last, known)
    noted = _noted(connection)
    if noted != last:
        raise AuditError(f"the log ends with line {last.number}, line {noted.number} was written; lines are missing")
    if not is_known:
        raise AuditError(f"the log ends with line {last.number}; the noted line {known and known.number} is missing")
    return last


def lines(connection: Connection, examination: str | None, limit: int, offset: int) -> tuple[list[Line], int]:
    """Give lines, the newest first, and how many there are."""
    where = [] if examination is None else [AUDIT.c.examination == examination]
    total = connection.execute(select(func.count()).select_from(AUDIT).where(*where)).scalar_one()
    query = select(AUDIT).where(*where).order_by(desc(AUDIT.c.number)).limit(limit).offset(offset)
    return [_line(row) for row in connection.execute(query).mappings()], int(total)


def write_head(path: Path, head: Head) -> None:
    """Note a head in a file, unless a newer one is there.

    Raises:
        OutputError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{head.number}")
    try:
        if read_head(path).number >= head.number:
            return
        temporary.write_text(f"{head}\n", encoding="ascii")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path.name!r} cannot be written ({error.strerror}); check the disk") from error


def read_head(path: Path) -> Head:
    """Read a noted head; the one before the first line where there is no file.

    Raises:
        AuditError: The file holds no head.
    """
    try:
        return parse_head(path.read_text(encoding="ascii", errors="replace"))
    except FileNotFoundError:
        return Head(0, FIRST_HASH)
    except AuditError as error:
        raise AuditError(
            f"{path.name!r} holds no head of the audit log: put one back that was noted elsewhere "
            "('kneeage audit verify' gives it), or take the file away and have the log verified"
        ) from error


def parse_head(text: str) -> Head:
    """Read a head as `verify` gives it.

    Raises:
        AuditError: It is none.
    """
    number, _, digest = text.strip().partition(":")
    if not number.isdecimal() or len(digest) != len(FIRST_HASH):
        raise AuditError("a head of the log is NUMBER:HASH, as 'kneeage audit verify' gives it")
    return Head(int(number), digest)


def _rows(connection: Connection) -> Iterator[RowMapping]:
    """Give the lines in their order, a part at a time."""
    query = select(AUDIT).order_by(AUDIT.c.number).execution_options(yield_per=_ROWS_AT_ONCE)
    yield from connection.execute(query).mappings()


def _checked(row: RowMapping, last: Head) -> Head:
    """Check a line against the one before."""
    if row["number"] != last.number + 1:
        raise AuditError(f"line {last.number + 1} of the audit log is missing")
    if row["previous"] != last.hash or row["hash"] != _seal({name: row[name] for name in _SEALED}):
        raise AuditError(f"line {row['number']} of the audit log was altered, or the line before it was replaced")
    return Head(row["number"], row["hash"])


def _require_same(found: Head, known: Head) -> bool:
    """Refuse a log that was written anew."""
    if found != known:
        raise AuditError(f"line {found.number} of the audit log is not the one that was noted")
    return True


def _seal(line: Mapping[str, Any]) -> str:
    """Hash a line with the hash of the line before in it."""
    sealed = json.dumps({name: line[name] for name in _SEALED}, sort_keys=True)
    return hashlib.sha256(sealed.encode()).hexdigest()


def _noted(connection: Connection) -> Head:
    """Give the head as the settings have it."""
    value = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _HEAD)).scalar_one_or_none()
    return Head(0, FIRST_HASH) if value is None else parse_head(str(value))


def _line(row: RowMapping) -> Line:
    """Make a line of a row."""
    facts = json.loads(row["facts"])
    return Line(row["number"], row["time"], row["who"], row["action"], row["examination"], facts, row["hash"])
