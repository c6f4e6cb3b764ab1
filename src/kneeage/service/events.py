"""What happened to studies, written in the transaction of what happened, so that it can be put on record elsewhere.

The register may be another database, and away for a while. Events wait in the queue's own database until a recorder
has written them down, and stay there: a recorder knows the number of the last one that it wrote.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Happening(str, Enum):
    """What happened to a study and a set of its images."""

    RECEIVED = "received"
    RECEIVED_AGAIN = "received again"
    STARTED = "started"
    ANSWERED = "answered"
    SENT = "sent"
    PARKED = "parked"
    RETRIED = "retried"
    REPLACED = "replaced"
    FORGOTTEN = "forgotten"
    REMOVED = "removed"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Args:
        number: From 1, in the order of what happened.
        at: When, in seconds since 1970.
        key: Key of the study.
        input_hash: Hash of the images.
        what: What.
        facts: With what: names and hashes, no word from an image; JSON.
    """

    number: int
    at: float
    key: str
    input_hash: str
    what: Happening
    facts: dict[str, Any]


def write(db: sqlite3.Connection, at: float, key: str, input_hash: str, what: Happening, **facts: Any) -> None:
    """Write an event, in the transaction of what happened."""
    row = (at, key, input_hash, what.value, json.dumps(facts, sort_keys=True))
    db.execute("INSERT INTO events (at, key, input_hash, what, facts) VALUES (?, ?, ?, ?, ?)", row)


def after(db: sqlite3.Connection, number: int) -> Event | None:
    """Give the event that follows one; None where it was the last."""
    row = db.execute("SELECT * FROM events WHERE number > ? ORDER BY number LIMIT 1", (number,)).fetchone()
    if row is None:
        return None
    plain = {name: row[name] for name in ("number", "at", "key", "input_hash")}
    return Event(**plain, what=Happening(row["what"]), facts=json.loads(row["facts"]))


def happened(db: sqlite3.Connection, key: str, input_hash: str, what: Happening) -> bool:
    """Say whether something happened to these images since they were removed last."""
    query = "SELECT what FROM events WHERE key = ? AND input_hash = ? AND what IN (?, ?) ORDER BY number DESC LIMIT 1"
    row = db.execute(query, (key, input_hash, what.value, Happening.REMOVED.value)).fetchone()
    return row is not None and row["what"] == what.value


def unremoved(db: sqlite3.Connection, key: str) -> list[str]:
    """Give the hashes of all sets of images of a study that something happened to since they were removed last."""
    query = (
        "SELECT input_hash FROM events WHERE key = ? GROUP BY input_hash "
        "HAVING MAX(number) > COALESCE(MAX(CASE WHEN what = ? THEN number END), 0) ORDER BY MIN(number)"
    )
    return [str(row[0]) for row in db.execute(query, (key, Happening.REMOVED.value))]
