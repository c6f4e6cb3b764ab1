"""A queue of studies that survives its workers: killed at any moment, no study is lost or done twice.

A study is *received* while its images come in, *stable* once none has come for a while, *running* while a worker holds
its lease, and then *done*, or *parked* with a reason. A lease that is not renewed ends, and the study is stable again.
Results belong to a study and a hash of its images: what was finished for a hash is never done again.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from kneeage.core.errors import KneeAgeError, UsageError
from kneeage.service.database import Database

# Workers that may die on one study before it is taken out of the line. Our own choice.
MOST_DEATHS = 5

_KEY_CHARACTERS = 16


class StudyState(str, Enum):
    """Where a study stands."""

    RECEIVED = "received"
    STABLE = "stable"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"


class Arrival(str, Enum):
    """What an image that came in is."""

    NEW = "new"
    CHANGED = "changed"
    KNOWN = "known"


class LeaseLostError(KneeAgeError, RuntimeError):
    """A study is no longer this worker's: its lease ended, and another worker may have it."""


@dataclass(frozen=True)
class Job:
    """A study that a worker holds.

    Args:
        key: Name of the study in logs and on the disk; it tells nothing about the subject.
        study_uid: Study Instance UID.
        input_hash: Hash of its images.
        files: SHA-256 of each image, by which the spool keeps it.
        worker: Who holds it.
        tries: How many times its results could not be sent.
    """

    key: str
    study_uid: str
    input_hash: str
    files: tuple[str, ...]
    worker: str
    tries: int

    @property
    def result_name(self) -> str:
        """Name of the folder of its results."""
        return f"{self.key}-{self.input_hash[:_KEY_CHARACTERS]}"


@dataclass(frozen=True)
class Entry:
    """A study as the queue knows it.

    Args:
        key: Its name in logs.
        study_uid: Study Instance UID.
        state: Where it stands.
        since: When it came there, in seconds since 1970.
        instances: Number of its images.
        reason: Why it is parked, or waits.
    """

    key: str
    study_uid: str
    state: StudyState
    since: float
    instances: int
    reason: str | None


def study_key(study_uid: str) -> str:
    """Name a study in logs and on the disk by a hash of its UID."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:_KEY_CHARACTERS]


class Queue:
    """Studies and where they stand; any number of processes may share it.

    Args:
        path: The database file.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path)
        self._clock = clock

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, study_uid: str, instance_uid: str, *, sha256: str, file: Path) -> Arrival:
        """Note an image that lies in the spool.

        A new or changed image makes its study wait again until it is stable, whatever became of it before. An image
        that is known changes nothing but that a study that still comes in waits on.

        Args:
            study_uid: Study Instance UID.
            instance_uid: SOP Instance UID.
            sha256: SHA-256 of the file.
            file: The file.

        Returns:
            Whether the image is new to the study.

        Raises:
            FileNotFoundError: The study was forgotten this very moment, and the file with it.
        """
        key, now = study_key(study_uid), self._clock()
        with self._database.transaction() as db:
            size_bytes = file.stat().st_size
            arrival = _arrival(db, key, instance_uid, sha256)
            if arrival is Arrival.KNOWN:
                db.execute("UPDATE studies SET changed_at = ? WHERE key = ? AND state = 'received'", (now, key))
            else:
                _open_study(db, key, study_uid, now)
                row = (key, instance_uid, sha256, size_bytes)
                db.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?)", row)
            _count(db, "instances_received", arrival.value)
        return arrival

    def size(self, study_uid: str) -> tuple[int, int]:
        """Give the number of images of a study and their bytes."""
        with self._database.transaction() as db:
            query = "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM instances WHERE key = ?"
            count, size_bytes = db.execute(query, (study_key(study_uid),)).fetchone()
        return int(count), int(size_bytes)

    def wait_again(self) -> None:
        """Have studies that came in partly wait from now on: nobody could send while the door was closed."""
        with self._database.transaction() as db:
            db.execute("UPDATE studies SET changed_at = ? WHERE state = 'received'", (self._clock(),))

    def settle(self, quiet_seconds: float) -> int:
        """Call studies stable for which no image has come for a while.

        Args:
            quiet_seconds: How long.

        Returns:
            How many became stable.
        """
        now = self._clock()
        with self._database.transaction() as db:
            done = db.execute(
                "UPDATE studies SET state = 'stable', since = ? WHERE state = 'received' AND changed_at <= ?",
                (now, now - quiet_seconds),
            )
            return done.rowcount

    def claim(self, worker: str, lease_seconds: float) -> Job | None:
        """Take the study that has waited longest.

        Args:
            worker: A name that no other worker has, nor had.
            lease_seconds: How long it is this worker's unless the lease is renewed.

        Returns:
            The study; None where none waits.
        """
        now = self._clock()
        with self._database.transaction() as db:
            _take_back(db, "lease_until < ?", now, now, "its worker was killed or lost contact")
            while (row := _next(db, now)) is not None:
                job = _job(db, row, worker)
                if not _is_finished(db, job):
                    db.execute(
                        "UPDATE studies SET state = 'running', since = ?, worker = ?, lease_until = ?, input_hash = ? "
                        "WHERE key = ?",
                        (now, worker, now + lease_seconds, job.input_hash, job.key),
                    )
                    return job
                _set_state(db, job.key, StudyState.DONE, now)
        return None

    def renew(self, job: Job, lease_seconds: float) -> None:
        """Keep a study for longer.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._database.transaction() as db:
            _hold(db, job)
            until = self._clock() + lease_seconds
            db.execute("UPDATE studies SET lease_until = ? WHERE key = ?", (until, job.key))

    def is_current(self, job: Job) -> bool:
        """Say whether the images of a study are still those that the worker took."""
        with self._database.transaction() as db:
            return _input_hash(_files(db, job.key)) == job.input_hash

    def note_objects(self, job: Job, object_uids: Iterable[str]) -> list[str]:
        """Note the objects that make up a result.

        Returns:
            Those that the destination has not confirmed yet, sorted.

        Raises:
            LeaseLostError: The study is another's meanwhile.
        """
        place = (job.key, job.input_hash)
        with self._database.transaction() as db:
            _hold(db, job)
            rows = [(*place, uid) for uid in object_uids]
            db.executemany("INSERT OR IGNORE INTO objects (key, input_hash, object_uid) VALUES (?, ?, ?)", rows)
            query = (
                "SELECT object_uid FROM objects WHERE key = ? AND input_hash = ? AND confirmed_at IS NULL "
                "ORDER BY object_uid"
            )
            return [str(row[0]) for row in db.execute(query, place)]

    def confirm(self, job: Job, object_uid: str) -> None:
        """Note that the destination has an object. This holds even where the lease was lost meanwhile."""
        place = (self._clock(), job.key, job.input_hash, object_uid)
        with self._database.transaction() as db:
            db.execute("UPDATE objects SET confirmed_at = ? WHERE key = ? AND input_hash = ? AND object_uid = ?", place)
            _count(db, "objects_sent", "")

    def finish(self, job: Job) -> StudyState:
        """Note that a result is complete.

        Returns:
            Done, or received where images came meanwhile.

        Raises:
            LeaseLostError: The study is another's meanwhile.
        """
        now = self._clock()
        with self._database.transaction() as db:
            _hold(db, job)
            db.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", (job.key, job.input_hash, now))
            is_same = _input_hash(_files(db, job.key)) == job.input_hash
            state = StudyState.DONE if is_same else StudyState.RECEIVED
            _set_state(db, job.key, state, now)
            _count(db, "studies_ended", StudyState.DONE.value)
        return state

    def restart(self, job: Job) -> None:
        """Give a study back whose images changed: it waits until it is stable again.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._database.transaction() as db:
            _hold(db, job)
            _set_state(db, job.key, StudyState.RECEIVED, self._clock())

    def postpone(self, job: Job, reason: str, seconds: float) -> None:
        """Put a study back in the line, to be tried again later.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        now = self._clock()
        with self._database.transaction() as db:
            _hold(db, job)
            _set_state(db, job.key, StudyState.STABLE, now, reason)
            db.execute("UPDATE studies SET tries = tries + 1, not_before = ? WHERE key = ?", (now + seconds, job.key))
            _count(db, "studies_postponed", "")

    def park(self, job: Job, reason: str) -> None:
        """Take a study out of the line, with the reason.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._database.transaction() as db:
            _hold(db, job)
            _set_state(db, job.key, StudyState.PARKED, self._clock(), reason)
            _count(db, "studies_ended", StudyState.PARKED.value)

    def give_back(self, worker: str) -> None:
        """Put what a worker holds back in the line, because the worker is told to stop."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE studies SET state = 'stable', worker = NULL, lease_until = NULL "
                "WHERE worker = ? AND state = 'running'",
                (worker,),
            )

    def bury(self, worker: str, reason: str) -> None:
        """Put what a dead worker held back in the line; a study that too many workers died on is parked."""
        with self._database.transaction() as db:
            _take_back(db, "worker = ?", worker, self._clock(), reason)

    def is_overdue(self, worker: str, limit_seconds: float) -> bool:
        """Say whether a worker has held its study for longer than a limit."""
        with self._database.transaction() as db:
            query = "SELECT 1 FROM studies WHERE worker = ? AND state = 'running' AND since < ?"
            return db.execute(query, (worker, self._clock() - limit_seconds)).fetchone() is not None

    def retry(self, key: str | None = None) -> int:
        """Put parked studies back in the line.

        Args:
            key: Key or Study Instance UID of one study; None: all that are parked.

        Returns:
            How many.

        Raises:
            UsageError: No parked study has that name.
        """
        with self._database.transaction() as db:
            done = db.execute(
                "UPDATE studies SET state = 'stable', since = ?, not_before = 0, deaths = 0, tries = 0, reason = NULL "
                "WHERE state = 'parked' AND (? IS NULL OR key = ? OR study_uid = ?)",
                (self._clock(), key, key, key),
            )
        if key is not None and not done.rowcount:
            raise UsageError("no parked study has that name; 'kneeage pacs list' shows them")
        return done.rowcount

    def entries(self, state: StudyState | None = None) -> list[Entry]:
        """List studies, those that came last to their state first.

        Args:
            state: Only those in it; None: all.
        """
        query = (
            "SELECT key, study_uid, state, since, reason, (SELECT COUNT(*) FROM instances i WHERE i.key = s.key) AS n "
            "FROM studies s WHERE (? IS NULL OR state = ?) ORDER BY since DESC, key"
        )
        name = None if state is None else state.value
        with self._database.transaction() as db:
            rows = db.execute(query, (name, name)).fetchall()
        return [
            Entry(row["key"], row["study_uid"], StudyState(row["state"]), row["since"], row["n"], row["reason"])
            for row in rows
        ]

    def counts(self) -> dict[StudyState, int]:
        """Count the studies of every state."""
        with self._database.transaction() as db:
            found = dict(db.execute("SELECT state, COUNT(*) FROM studies GROUP BY state").fetchall())
        return {state: int(found.get(state.value, 0)) for state in StudyState}

    def count(self, name: str, label: str = "") -> None:
        """Add one to a counter that outlives the process."""
        with self._database.transaction() as db:
            _count(db, name, label)

    def counters(self) -> dict[tuple[str, str], int]:
        """Give all counters by name and label."""
        with self._database.transaction() as db:
            rows = db.execute("SELECT name, label, value FROM counters ORDER BY name, label").fetchall()
        return {(str(name), str(label)): int(value) for name, label, value in rows}

    def forget_images(self, older_than_seconds: float, remove: Callable[[str], None]) -> None:
        """Forget the images of studies that are done for some time; that they were done is remembered.

        Args:
            older_than_seconds: How long.
            remove: Removes the files of a study by its key. No image is added while it does.
        """
        limit = self._clock() - older_than_seconds
        query = "SELECT DISTINCT key FROM studies JOIN instances USING (key) WHERE state = 'done' AND since < ?"
        with self._database.transaction() as db:
            for (key,) in db.execute(query, (limit,)).fetchall():
                remove(key)
                db.execute("DELETE FROM instances WHERE key = ?", (key,))


def _arrival(db: sqlite3.Connection, key: str, instance_uid: str, sha256: str) -> Arrival:
    """Say whether an image is new, changed or known."""
    query = "SELECT sha256 FROM instances WHERE key = ? AND instance_uid = ?"
    known = db.execute(query, (key, instance_uid)).fetchone()
    if known is None:
        return Arrival.NEW
    return Arrival.KNOWN if known[0] == sha256 else Arrival.CHANGED


def _open_study(db: sqlite3.Connection, key: str, study_uid: str, now: float) -> None:
    """Make a study that waits for more images; one that is running goes on, and finds the change at its end."""
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


def _next(db: sqlite3.Connection, now: float) -> sqlite3.Row | None:
    """Find the stable study that has waited longest."""
    query = "SELECT * FROM studies WHERE state = 'stable' AND not_before <= ? ORDER BY since, key LIMIT 1"
    row: sqlite3.Row | None = db.execute(query, (now,)).fetchone()
    return row


def _job(db: sqlite3.Connection, row: sqlite3.Row, worker: str) -> Job:
    """Make the job of a study."""
    files = _files(db, row["key"])
    return Job(row["key"], row["study_uid"], _input_hash(files), tuple(files.values()), worker, row["tries"])


def _files(db: sqlite3.Connection, key: str) -> dict[str, str]:
    """Give the SHA-256 of each image of a study by its SOP Instance UID."""
    query = "SELECT instance_uid, sha256 FROM instances WHERE key = ? ORDER BY instance_uid"
    return {str(uid): str(sha256) for uid, sha256 in db.execute(query, (key,))}


def _input_hash(files: dict[str, str]) -> str:
    """Give the identity of a set of images."""
    return hashlib.sha256("\n".join(f"{uid} {sha256}" for uid, sha256 in files.items()).encode()).hexdigest()


def _is_finished(db: sqlite3.Connection, job: Job) -> bool:
    """Say whether there is a complete result for these images."""
    query = "SELECT 1 FROM results WHERE key = ? AND input_hash = ?"
    return db.execute(query, (job.key, job.input_hash)).fetchone() is not None


def _hold(db: sqlite3.Connection, job: Job) -> None:
    """Check that a study is still the worker's."""
    query = "SELECT 1 FROM studies WHERE key = ? AND worker = ? AND state = 'running'"
    if db.execute(query, (job.key, job.worker)).fetchone() is None:
        raise LeaseLostError(f"the study {job.key} is no longer this worker's; its lease ended")


def _set_state(db: sqlite3.Connection, key: str, state: StudyState, now: float, reason: str | None = None) -> None:
    """Move a study, and take it from its worker."""
    db.execute(
        "UPDATE studies SET state = ?, since = ?, reason = ?, worker = NULL, lease_until = NULL WHERE key = ?",
        (state.value, now, reason, key),
    )


def _take_back(db: sqlite3.Connection, where: str, value: float | str, now: float, reason: str) -> None:
    """Put studies of dead workers at the end of the line; park those that too many workers died on."""
    rows = db.execute(f"SELECT key, deaths FROM studies WHERE state = 'running' AND {where}", (value,)).fetchall()  # noqa: S608 (the condition is one of two constants of this module)
    for key, deaths in rows:
        is_last = deaths + 1 >= MOST_DEATHS
        why = f"{deaths + 1} workers died on this study, the last because {reason}" if is_last else reason
        _set_state(db, key, StudyState.PARKED if is_last else StudyState.STABLE, now, why)
        db.execute("UPDATE studies SET deaths = deaths + 1 WHERE key = ?", (key,))
        _count(db, "workers_died", "")
        if is_last:
            _count(db, "studies_ended", StudyState.PARKED.value)


def _count(db: sqlite3.Connection, name: str, label: str) -> None:
    """Add one to a counter."""
    db.execute(
        "INSERT INTO counters VALUES (?, ?, 1) ON CONFLICT (name, label) DO UPDATE SET value = value + 1",
        (name, label),
    )
