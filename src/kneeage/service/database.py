"""The queue's database: SQLite in one file, one connection per process, transactions that are whole or not there."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kneeage.core.errors import OutputError

# How long one process waits for another one's transaction; transactions take milliseconds.
BUSY_SECONDS = 30.0

_STUDIES = """
CREATE TABLE studies (
    key TEXT PRIMARY KEY,
    study_uid TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    changed_at REAL NOT NULL,
    since REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    input_hash TEXT,
    worker TEXT,
    lease_until REAL,
    reason TEXT
);
CREATE INDEX studies_by_state ON studies (state, since);
CREATE TABLE instances (
    key TEXT NOT NULL REFERENCES studies,
    instance_uid TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (key, instance_uid)
) WITHOUT ROWID;
CREATE TABLE results (
    key TEXT NOT NULL REFERENCES studies,
    input_hash TEXT NOT NULL,
    finished_at REAL NOT NULL,
    PRIMARY KEY (key, input_hash)
) WITHOUT ROWID;
CREATE TABLE objects (
    key TEXT NOT NULL REFERENCES studies,
    input_hash TEXT NOT NULL,
    object_uid TEXT NOT NULL,
    confirmed_at REAL,
    PRIMARY KEY (key, input_hash, object_uid)
) WITHOUT ROWID;
CREATE TABLE counters (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (name, label)
) WITHOUT ROWID;
"""
_EVENTS = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    key TEXT NOT NULL REFERENCES studies,
    input_hash TEXT NOT NULL,
    what TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX events_by_study ON events (key, input_hash);
CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(8))));
"""
# Each step brings a database of the version before to the next one.
_STEPS = (_STUDIES, _EVENTS)
SCHEMA_VERSION = len(_STEPS)


class Database:
    """One SQLite file.

    Several threads share the connection in turn; several processes each open their own. The write-ahead log needs a
    disk of this machine, not a network share. What is committed survives a power cut.

    Args:
        path: The file; it is made where it is missing.

    Raises:
        OutputError: It cannot be opened, or was made by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._turn = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._prepare(path)
        except sqlite3.Error as error:
            raise OutputError(f"the queue {path.name!r} cannot be opened ({error}); choose another folder") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction that is committed at the end, or undone by an error."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._connection.close()

    def _prepare(self, path: Path) -> None:
        """Make the tables that are missing; refuse a file of a newer version."""
        with self.transaction() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise OutputError(
                    f"the queue {path.name!r} has version {version}; this program knows versions up to "
                    f"{SCHEMA_VERSION}; update kneeage, or choose another folder"
                )
            for number, step in enumerate(_STEPS[version:], version + 1):
                for statement in filter(str.strip, step.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
