"""What the queue does to its tables, inside one of its transactions."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from kneeage.core.errors import UsageError
from kneeage.service import events
from kneeage.service.events import Happening
from kneeage.service.lease import LeaseLostError, died_on, is_last_death
from kneeage.service.studies import Arrival, InWorkError, Job, StudyState
from kneeage.service.troubles import WORKER_DIED, Trouble


def arrival(db: sqlite3.Connection, key: str, instance_uid: str, sha256: str) -> Arrival:
    """Say whether an image is new, changed or known."""
    query = "SELECT sha256 FROM instances WHERE key = ? AND instance_uid = ?"
    known = db.execute(query, (key, instance_uid)).fetchone()
    if known is None:
        return Arrival.NEW
    return Arrival.KNOWN if known[0] == sha256 else Arrival.CHANGED


def open_study(db: sqlite3.Connection, key: str, study_uid: str, now: float) -> None:
    """Make a study that waits for more images; one that is running goes on, and finds the change at its end."""
    waiting = db.execute("SELECT input_hash FROM studies WHERE key = ? AND state = 'stable'", (key,)).fetchone()
    if waiting is not None:
        note_replaced(db, key, waiting[0], now)
    db.execute(
        "INSERT INTO studies (key, study_uid, state, changed_at, since) VALUES (?, ?, 'received', ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET changed_at = excluded.changed_at, deaths = 0, tries = 0, not_before = 0",
        (key, study_uid, now, now),
    )
    db.execute(
        "UPDATE studies SET state = 'received', since = ?, reason = NULL "
        "WHERE key = ? AND state NOT IN ('running', 'received')",
        (now, key),
    )


def settle(db: sqlite3.Connection, key: str, now: float) -> None:
    """Call a study stable."""
    input_hash = hash_of(files_of(db, key))
    db.execute("UPDATE studies SET state = 'stable', since = ?, input_hash = ? WHERE key = ?", (now, input_hash, key))
    note_received(db, key, input_hash, now)


def note_received(db: sqlite3.Connection, key: str, input_hash: str, now: float) -> None:
    """Have the images that a study has now put on record."""
    query = "SELECT sha256, bytes FROM instances WHERE key = ?"
    sizes = {str(sha256): int(size) for sha256, size in db.execute(query, (key,))}
    what = Happening.RECEIVED_AGAIN if is_finished(db, key, input_hash) else Happening.RECEIVED
    events.write(db, now, key, input_hash, what, files=sizes)


def note_replaced(db: sqlite3.Connection, key: str, input_hash: str, now: float) -> None:
    """Have it put on record that other images came before those that a study had were done."""
    is_on_record = events.happened(db, key, input_hash, Happening.RECEIVED)
    if is_on_record and not is_finished(db, key, input_hash):
        events.write(db, now, key, input_hash, Happening.REPLACED)


def longest_waiting(db: sqlite3.Connection, now: float) -> sqlite3.Row | None:
    """Find the stable study that has waited longest."""
    query = "SELECT * FROM studies WHERE state = 'stable' AND not_before <= ? ORDER BY since, key LIMIT 1"
    row: sqlite3.Row | None = db.execute(query, (now,)).fetchone()
    return row


def job_of(db: sqlite3.Connection, row: sqlite3.Row, worker: str) -> Job:
    """Make the job of a study."""
    files = files_of(db, row["key"])
    return Job(row["key"], row["study_uid"], hash_of(files), tuple(files.values()), worker, row["tries"])


def files_of(db: sqlite3.Connection, key: str) -> dict[str, str]:
    """Give the SHA-256 of each image of a study by its SOP Instance UID."""
    query = "SELECT instance_uid, sha256 FROM instances WHERE key = ? ORDER BY instance_uid"
    return {str(uid): str(sha256) for uid, sha256 in db.execute(query, (key,))}


def hash_of(files: dict[str, str]) -> str:
    """Give the identity of a set of images."""
    return hashlib.sha256("\n".join(f"{uid} {sha256}" for uid, sha256 in files.items()).encode()).hexdigest()


def is_current(db: sqlite3.Connection, key: str, input_hash: str) -> bool:
    """Say whether the images of a study are still these."""
    return hash_of(files_of(db, key)) == input_hash


def is_finished(db: sqlite3.Connection, key: str, input_hash: str) -> bool:
    """Say whether there is a complete result for these images."""
    query = "SELECT 1 FROM results WHERE key = ? AND input_hash = ?"
    return db.execute(query, (key, input_hash)).fetchone() is not None


def confirmed(db: sqlite3.Connection, job: Job) -> int:
    """Count the objects of a result that the destination has."""
    query = "SELECT COUNT(*) FROM objects WHERE key = ? AND input_hash = ? AND confirmed_at IS NOT NULL"
    return int(db.execute(query, (job.key, job.input_hash)).fetchone()[0])


def hold(db: sqlite3.Connection, job: Job) -> None:
    """Check that a study is still the worker's."""
    query = "SELECT 1 FROM studies WHERE key = ? AND worker = ? AND state = 'running'"
    if db.execute(query, (job.key, job.worker)).fetchone() is None:
        raise LeaseLostError(f"the study {job.key} is no longer this worker's; its lease ended")


def set_state(db: sqlite3.Connection, key: str, state: StudyState, now: float, reason: str | None = None) -> None:
    """Move a study, and take it from its worker."""
    db.execute(
        "UPDATE studies SET state = ?, since = ?, reason = ?, worker = NULL, lease_until = NULL WHERE key = ?",
        (state.value, now, reason, key),
    )


def put_back(db: sqlite3.Connection, key: str, input_hash: str, now: float, reason: str | None = None) -> StudyState:
    """Take a study from its worker: it waits for another one, or, where its images changed, until it is stable."""
    if is_current(db, key, input_hash):
        set_state(db, key, StudyState.STABLE, now, reason)
        return StudyState.STABLE
    note_replaced(db, key, input_hash, now)
    set_state(db, key, StudyState.RECEIVED, now)
    return StudyState.RECEIVED


def take_back(db: sqlite3.Connection, where: str, value: float | str, now: float, reason: str) -> None:
    """Put studies of dead workers at the end of the line; park those that too many workers died on."""
    columns = "SELECT key, deaths, input_hash FROM studies WHERE state = 'running' AND "
    for key, deaths, input_hash in db.execute(columns + where, (value,)).fetchall():
        db.execute("UPDATE studies SET deaths = deaths + 1 WHERE key = ?", (key,))
        count(db, "workers_died", "")
        if is_last_death(deaths + 1):
            why = Trouble(WORKER_DIED, died_on("this study", deaths + 1, reason))
            park(db, key, input_hash, now, why, {})
        else:
            put_back(db, key, input_hash, now, reason)


def park(db: sqlite3.Connection, key: str, input_hash: str, now: float, why: Trouble, facts: Mapping[str, Any]) -> None:
    """Take a study out of the line."""
    set_state(db, key, StudyState.PARKED, now, why.message)
    count(db, "studies_ended", StudyState.PARKED.value)
    answered = events.happened(db, key, input_hash, Happening.ANSWERED)
    told = {**facts, "code": why.code, "reason": why.message, "answered": answered}
    events.write(db, now, key, input_hash, Happening.PARKED, **told)


def removable(db: sqlite3.Connection, name: str | None) -> list[sqlite3.Row]:
    """Give the studies that are to be removed.

    Raises:
        UsageError: No study has that name, or its images were removed before.
        InWorkError: It cannot be removed where it stands.
    """
    if name is None:
        return db.execute("SELECT * FROM studies WHERE state = 'parked' ORDER BY key").fetchall()
    row: sqlite3.Row | None = db.execute("SELECT * FROM studies WHERE ? IN (key, study_uid)", (name,)).fetchone()
    if row is None or row["state"] == StudyState.REMOVED.value:
        raise UsageError("no study has that name, or it was removed before; 'kneeage pacs list' shows them")
    if row["state"] not in (StudyState.PARKED.value, StudyState.DONE.value):
        raise InWorkError(
            f"the study {row['key']} is {row['state']}: a study is removed when it is parked or done; try again then"
        )
    return [row]


def count(db: sqlite3.Connection, name: str, label: str) -> None:
    """Add one to a counter."""
    db.execute(
        "INSERT INTO counters VALUES (?, ?, 1) ON CONFLICT (name, label) DO UPDATE SET value = value + 1",
        (name, label),
    )
