"""A queue of studies that survives its workers: killed at any moment, no study is lost or done twice.

A study is *received* while its images come in, *stable* once none has come for a while, *running* while a worker holds
its lease, and then *done*, or *parked* with a reason. A lease that is not renewed ends, and the study is stable again.
One that is done or parked can be *removed*: its images and results go, what happened to it stays.
Results belong to a study and a hash of its images: what was finished for a hash is never done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kneeage.core.errors import UsageError
from kneeage.service import events, study_rows
from kneeage.service.database import Database
from kneeage.service.events import Event, Happening
from kneeage.service.lease import LEASE_ENDED
from kneeage.service.studies import Arrival, Entry, Job, StudyState, study_key
from kneeage.service.troubles import Trouble


class Queue:
    """Studies and where they stand; any number of processes may share it.

    Args:
        path: The database file.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path)
        self._clock = clock

    @property
    def id(self) -> str:
        """What tells it from every other queue: 16 hexadecimal digits."""
        with self._database.transaction() as db:
            return str(db.execute("SELECT id FROM identity").fetchone()[0])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def event_after(self, number: int) -> Event | None:
        """Give what happened next; None where nothing did.

        Args:
            number: Of the event before; 0: the first.
        """
        with self._database.transaction() as db:
            return events.after(db, number)

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
            arrival = study_rows.arrival(db, key, instance_uid, sha256)
            if arrival is Arrival.KNOWN:
                db.execute("UPDATE studies SET changed_at = ? WHERE key = ? AND state = 'received'", (now, key))
            else:
                study_rows.open_study(db, key, study_uid, now)
                row = (key, instance_uid, sha256, size_bytes)
                db.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?)", row)
            study_rows.count(db, "instances_received", arrival.value)
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
        query = "SELECT key FROM studies WHERE state = 'received' AND changed_at <= ?"
        with self._database.transaction() as db:
            keys = [str(row[0]) for row in db.execute(query, (now - quiet_seconds,)).fetchall()]
            for key in keys:
                study_rows.settle(db, key, now)
        return len(keys)

    def claim(self, worker: str, lease_seconds: float, asked: Mapping[str, Any] | None = None) -> Job | None:
        """Take the study that has waited longest.

        Args:
            worker: A name that no other worker has, nor had.
            lease_seconds: How long it is this worker's unless the lease is renewed.
            asked: What is asked about it and which bundle answers, for the record; JSON.

        Returns:
            The study; None where none waits.
        """
        now = self._clock()
        with self._database.transaction() as db:
            study_rows.take_back(db, "lease_until < ?", now, now, LEASE_ENDED)
            while (row := study_rows.longest_waiting(db, now)) is not None:
                job = study_rows.job_of(db, row, worker)
                if not study_rows.is_finished(db, job.key, job.input_hash):
                    db.execute(
                        "UPDATE studies SET state = 'running', since = ?, worker = ?, lease_until = ?, input_hash = ? "
                        "WHERE key = ?",
                        (now, worker, now + lease_seconds, job.input_hash, job.key),
                    )
                    if not events.happened(db, job.key, job.input_hash, Happening.RECEIVED):
                        study_rows.note_received(db, job.key, job.input_hash, now)
                    if job.tries == 0:
                        events.write(db, now, job.key, job.input_hash, Happening.STARTED, **(asked or {}))
                    return job
                study_rows.set_state(db, job.key, StudyState.DONE, now)
        return None

    def renew(self, job: Job, lease_seconds: float) -> None:
        """Keep a study for longer.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            until = self._clock() + lease_seconds
            db.execute("UPDATE studies SET lease_until = ? WHERE key = ?", (until, job.key))

    def is_current(self, job: Job) -> bool:
        """Say whether the images of a study are still those that the worker took."""
        with self._database.transaction() as db:
            return study_rows.is_current(db, job.key, job.input_hash)

    def note_answer(self, job: Job, facts: Mapping[str, Any]) -> None:
        """Note that there is an answer; a worker that takes over a study with one notes it no second time.

        Args:
            job: The study.
            facts: What the answer is, for the record; JSON.

        Raises:
            LeaseLostError: The study is another's meanwhile.
        """
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            if not events.happened(db, job.key, job.input_hash, Happening.ANSWERED):
                events.write(db, self._clock(), job.key, job.input_hash, Happening.ANSWERED, **facts)

    def note_objects(self, job: Job, object_uids: Iterable[str]) -> list[str]:
        """Note the objects that make up a result.

        Returns:
            Those that the destination has not confirmed yet, sorted.

        Raises:
            LeaseLostError: The study is another's meanwhile.
        """
        place = (job.key, job.input_hash)
        with self._database.transaction() as db:
            study_rows.hold(db, job)
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
            study_rows.count(db, "objects_sent", "")

    def finish(self, job: Job, sent_to: str | None = None) -> StudyState:
        """Note that a result is complete.

        Args:
            job: The study.
            sent_to: Address of the archive that has all its objects; None: they were sent nowhere.

        Returns:
            Done, or received where images came meanwhile.

        Raises:
            LeaseLostError: The study is another's meanwhile.
        """
        now = self._clock()
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            db.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", (job.key, job.input_hash, now))
            is_current = study_rows.is_current(db, job.key, job.input_hash)
            state = StudyState.DONE if is_current else StudyState.RECEIVED
            study_rows.set_state(db, job.key, state, now)
            if sent_to is not None:
                count = study_rows.confirmed(db, job)
                events.write(db, now, job.key, job.input_hash, Happening.SENT, to=sent_to, objects=count)
            study_rows.count(db, "studies_ended", StudyState.DONE.value)
        return state

    def restart(self, job: Job) -> None:
        """Give a study back whose images changed: it waits until it is stable again.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            study_rows.put_back(db, job.key, job.input_hash, self._clock())

    def postpone(self, job: Job, reason: str, seconds: float) -> None:
        """Put a study back in the line, to be tried again later; at once when it is stable where images came meanwhile.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        now = self._clock()
        later = "UPDATE studies SET tries = tries + 1, not_before = ? WHERE key = ? AND state = 'stable'"
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            study_rows.put_back(db, job.key, job.input_hash, now, reason)
            db.execute(later, (now + seconds, job.key))
            study_rows.count(db, "studies_postponed", "")

    def park(self, job: Job, why: Trouble, facts: Mapping[str, Any] | None = None) -> StudyState:
        """Take a study out of the line, with the reason.

        Args:
            job: The study.
            why: The reason.
            facts: What is put on record besides; JSON.

        Returns:
            Parked, or received where images came meanwhile.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        now = self._clock()
        with self._database.transaction() as db:
            study_rows.hold(db, job)
            if not study_rows.is_current(db, job.key, job.input_hash):
                return study_rows.put_back(db, job.key, job.input_hash, now)
            study_rows.park(db, job.key, job.input_hash, now, why, facts or {})
        return StudyState.PARKED

    def give_back(self, worker: str) -> None:
        """Put what a worker holds back in the line, because the worker is told to stop."""
        query = "SELECT key, input_hash, reason FROM studies WHERE worker = ? AND state = 'running'"
        with self._database.transaction() as db:
            for key, input_hash, reason in db.execute(query, (worker,)).fetchall():
                study_rows.put_back(db, key, input_hash, self._clock(), reason)

    def bury(self, worker: str, reason: str) -> None:
        """Put what a dead worker held back in the line; a study that too many workers died on is parked."""
        with self._database.transaction() as db:
            study_rows.take_back(db, "worker = ?", worker, self._clock(), reason)

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
        now = self._clock()
        query = "SELECT key, input_hash FROM studies WHERE state = 'parked' AND (? IS NULL OR key = ? OR study_uid = ?)"
        with self._database.transaction() as db:
            rows = db.execute(query, (key, key, key)).fetchall()
            for row in rows:
                study_rows.set_state(db, row["key"], StudyState.STABLE, now)
                db.execute("UPDATE studies SET not_before = 0, deaths = 0, tries = 0 WHERE key = ?", (row["key"],))
                events.write(db, now, row["key"], row["input_hash"], Happening.RETRIED)
        if key is not None and not rows:
            raise UsageError("no parked study has that name; 'kneeage pacs list' shows them")
        return len(rows)

    def remove(self, key: str | None, remove: Callable[[str], None]) -> int:
        """Remove the images and results of studies that nobody works on; what happened to them is remembered.

        A removed study that is sent again is a new arrival.

        Args:
            key: Key or Study Instance UID of one that is parked or done; None: all that are parked.
            remove: Removes the files of a study by its key. No image is added while it does.

        Returns:
            How many.

        Raises:
            UsageError: No study has that name, or its images were removed before.
            InWorkError: Its images still come in, or it waits, or a worker has it.
        """
        now = self._clock()
        with self._database.transaction() as db:
            rows = study_rows.removable(db, key)
            for row in rows:
                remove(row["key"])
                for input_hash in events.unremoved(db, row["key"]) or [row["input_hash"]]:
                    events.write(db, now, row["key"], input_hash, Happening.REMOVED)
                db.execute("DELETE FROM instances WHERE key = ?", (row["key"],))
                study_rows.set_state(db, row["key"], StudyState.REMOVED, now)
        return len(rows)

    def is_removed(self, job: Job) -> bool:
        """Say whether a study was removed while a worker that had lost it went on."""
        with self._database.transaction() as db:
            query = "SELECT 1 FROM studies WHERE key = ? AND state = 'removed'"
            return db.execute(query, (job.key,)).fetchone() is not None

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
            study_rows.count(db, name, label)

    def counters(self) -> dict[tuple[str, str], int]:
        """Give all counters by name and label."""
        with self._database.transaction() as db:
            rows = db.execute("SELECT name, label, value FROM counters ORDER BY name, label").fetchall()
        return {(str(name), str(label)): int(value) for name, label, value in rows}

    def forget_images(self, older_than_seconds: float, remove: Callable[[str], None]) -> None:
        """Forget the images of studies that are done for some time; that they were done is remembered.

        Each study is a transaction of its own: while the files of many are deleted, others can write in between.

        Args:
            older_than_seconds: How long.
            remove: Removes the files of a study by its key. No image is added while it does.
        """
        now = self._clock()
        query = (
            "SELECT DISTINCT key, input_hash FROM studies JOIN instances USING (key) "
            "WHERE state = 'done' AND since < ? AND (? IS NULL OR key = ?)"
        )
        limit = now - older_than_seconds
        with self._database.transaction() as db:
            keys = [str(row["key"]) for row in db.execute(query, (limit, None, None)).fetchall()]
        for key in keys:
            with self._database.transaction() as db:
                # None where an image came meanwhile.
                row = db.execute(query, (limit, key, key)).fetchone()
                if row is not None:
                    remove(key)
                    db.execute("DELETE FROM instances WHERE key = ?", (key,))
                    events.write(db, now, key, row["input_hash"], Happening.FORGOTTEN)
