"""The tables of the register, and how its database is opened: SQLite in one file, or PostgreSQL by URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import SQLITE_FULL
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from kneeage.core.errors import OutputError, UsageError

METADATA = MetaData()

EXAMINATIONS = Table(
    "examinations",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("reference", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("series", JSON),
    Column("notes", JSON, nullable=False),
    Column("reason_code", String(32)),
    Column("reason_message", Text),
    Index("examinations_by_time", "created_at"),
    Index("examinations_by_change", "changed_at"),
)
FILES = Table(
    "files",
    METADATA,
    Column("examination", String(32), ForeignKey("examinations.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)
RUNS = Table(
    "runs",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("examination", String(32), ForeignKey("examinations.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("number", Integer),
    Column("base", Integer),
    Column("state", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("progress", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("question", JSON, nullable=False),
    Column("bundle", JSON),
    Column("outcome", String(16)),
    Column("estimated_age_years", Float),
    Column("reason_code", String(32)),
    Column("reason_message", Text),
    Column("files", JSON, nullable=False),
    Column("worker", String(40)),
    Column("lease_until", Float),
    Column("deaths", Integer, nullable=False, default=0),
    Column("cancel", Boolean, nullable=False, default=False),
    UniqueConstraint("examination", "number", name="runs_are_numbered"),
    Index("runs_by_state", "state", "created_at"),
)
USERS = Table(
    "users",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("password_hash", Text, nullable=False),
)
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("until", Float, nullable=False),
)
SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", JSON, nullable=False),
)
AUDIT = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", String(32), nullable=False),
    Column("who", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("examination", String(32)),
    Column("facts", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_examination", "examination"),
)

_SQLITE_BUSY_SECONDS = 30
# As many connections as the server has threads that answer. Source: anyio, default of its thread limiter (40).
_POOL: dict[str, Any] = {"pool_size": 10, "max_overflow": 30}
# Errors of the database quote values, such as a reference, unless they are told not to.
_OPTIONS: dict[str, Any] = {**_POOL, "hide_parameters": True}
# Whoever writes on PostgreSQL takes this lock first, as SQLite lets one writer in at a time. Our own number.
_WRITER_LOCK = 7_461_208_773
_WRITES = "kneeage_writes"


def sqlite_url(path: Path) -> str:
    """Give the URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_engine(url: str) -> Engine:
    """Open a database.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Raises:
        UsageError: It is another kind of database, or its driver is not installed.
        OutputError: It cannot be reached.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError("the register's URL is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME") from None
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UsageError(f"the register lies in SQLite or PostgreSQL; found {kind!r}")
    engine = _sqlite(url) if kind == "sqlite" else _postgresql(parsed)
    _require_reachable(engine)
    return engine


def _sqlite(url: str) -> Engine:
    """Open a SQLite file so that what is committed survives a power cut, and transactions are our own."""
    _make_private(make_url(url).database)
    arguments = {"timeout": _SQLITE_BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, **_OPTIONS)

    @event.listens_for(engine, "connect")
    def prepare(connection: object, _entry: ConnectionPoolEntry) -> None:
        """Set up a new connection."""
        connection.isolation_level = None  # type: ignore[attr-defined]
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        """Take the writer's place at once where it will be needed."""
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_private(name: str | None) -> None:
    """Make a SQLite file that is not there yet, for its owner alone; SQLite gives its other files the same rights."""
    # What cannot be made is said when the file is opened.
    with contextlib.suppress(OSError):
        if name is not None and not Path(name).exists():
            Path(name).touch(mode=0o600)


def _postgresql(url: URL) -> Engine:
    """Open a PostgreSQL database."""
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), **_OPTIONS)
    except ModuleNotFoundError:
        raise UsageError("PostgreSQL needs psycopg; install it with: pip install 'kneeage[web,postgresql]'") from None


def _require_reachable(engine: Engine) -> None:
    """Refuse, without its password, a database that does not answer."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        kind = type(error).__name__
        raise OutputError(f"the register's database does not answer ({kind}); check its URL and rights") from error


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection to read with."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def steady(engine: Engine) -> Iterator[Connection]:
    """Give a connection to read with that sees the database as it is at the first reading, whoever writes meanwhile."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**level) as connection, connection.begin():
        yield connection


def fold_in(engine: Engine) -> None:
    """Write what SQLite keeps beside its file into it, so that what was taken out lies in neither."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give the one writer's connection; all of it is committed at the end, or nothing.

    Raises:
        OutputError: The database has no room left.
    """
    try:
        with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})
            yield connection
    except OperationalError as error:
        if _is_full(error):
            raise OutputError("the disk of the register is full; free some space, then try again") from error
        raise


def _is_full(error: OperationalError) -> bool:
    """Say whether a database has no room left. Source: PostgreSQL, appendix A (53100, disk_full)."""
    codes = (getattr(error.orig, "sqlite_errorcode", None), getattr(error.orig, "sqlstate", None))
    return codes in ((SQLITE_FULL, None), (None, "53100"))
