"""Puts on record what a PACS node does: in the register and the audit log of the workstation, each event once.

The node's queue and the register are two databases, and the register may be away. So the queue keeps every event in
the transaction of what happened, and a recorder writes them down later, in their order: the rows, the line of the audit
log and the number of the event in one transaction. Killed at any moment, it goes on with the event after the last
number, and nothing is on record twice or missing.

A study and a set of its images is one examination, whose identifier follows from both.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, desc, insert, select

from kneeage.core.result import RESULT_FILE
from kneeage.service.audit import Journal, Pen
from kneeage.service.case_files import CaseFiles
from kneeage.service.cases import NODE, OPERATOR, CaseState, Order, RunKind, RunState
from kneeage.service.events import Event, Happening
from kneeage.service.logs import log_failure
from kneeage.service.migrate import open_journal
from kneeage.service.queue import Queue
from kneeage.service.register import forget_contents, is_ordered, is_writing_documents, next_number, queued, touch
from kneeage.service.spool import Spool
from kneeage.service.tables import EXAMINATIONS, FILES, RUNS, SETTINGS, reading

# Pause after the register could not be written. Our own choice.
_PAUSE_SECONDS = 10.0
_ID_CHARACTERS = 32
_WAITS = (CaseState.QUEUED, CaseState.RUNNING)
_ENDED = (CaseState.REFUSED, CaseState.FAILED, CaseState.CANCELLED)


@dataclass(frozen=True)
class RecordPlace:
    """Where what a node does is put on record.

    Args:
        folder: Folder of the workstation.
        url: URL of its register.
    """

    folder: Path
    url: str

    def recorder(self, queue: Queue, spool: Spool) -> Recorder:
        """Open the register, and bring it to this version's schema.

        Raises:
            OutputError: The folder or the register cannot be opened.
        """
        files = CaseFiles(self.folder)
        return Recorder(queue, spool, open_journal(self.url, files.head), files)


class Recorder:
    """Writes down what happened to the studies of a queue; any number of them may do so at once.

    Args:
        queue: The queue.
        spool: Where images and results are.
        journal: Writes changes of the register and the lines that tell about them.
        files: The workstation's files.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(
        self, queue: Queue, spool: Spool, journal: Journal, files: CaseFiles, clock: Callable[[], float] = time.time
    ) -> None:
        self._queue = queue
        self.journal = journal
        self._clerk = _Clerk(spool, files, queue.id, clock)
        self._mark = f"pacs_{queue.id}"
        with reading(journal.engine) as connection:
            self._last = _number(connection, self._mark)
        self._not_before = 0.0

    def catch_up(self) -> int:
        """Write down what is not on record yet; give the number of events."""
        count = 0
        while self._queue.event_after(self._last) is not None:
            count += self._write_next()
        return count

    def try_to_catch_up(self) -> bool:
        """Write down what is not on record yet; where that fails, say so in the log and try again later.

        Returns:
            Whether all of it is on record now.
        """
        if time.monotonic() < self._not_before:
            return False
        try:
            self.catch_up()
        except Exception as error:  # noqa: BLE001 (the register may be away for a while; studies go on)
            log_failure("nothing could be put on record", error)
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            return False
        return True

    def _write_next(self) -> bool:
        """Write down the event after the last that is on record; say whether there was one."""
        with self.journal.writing() as pen:
            self._last = _number(pen.connection, self._mark)
            event = self._queue.event_after(self._last)
            if event is None:
                return False
            self._clerk.write(pen, event)
            pen.connection.execute(delete(SETTINGS).where(SETTINGS.c.name == self._mark))
            pen.connection.execute(insert(SETTINGS).values(name=self._mark, value=event.number))
        self._last = event.number
        return True


@dataclass(frozen=True)
class _Clerk:
    """Turns events into rows and lines.

    Args:
        spool: Where images and results are.
        files: The workstation's files.
        node: What tells the queue from every other one.
        clock: Gives the time in seconds since 1970.
    """

    spool: Spool
    files: CaseFiles
    node: str
    clock: Callable[[], float]

    def examination(self, event: Event) -> str:
        """Name the examination of a study and a set of its images."""
        name = f"{self.node} {event.key} {event.input_hash}"
        return hashlib.sha256(name.encode()).hexdigest()[:_ID_CHARACTERS]

    def write(self, pen: Pen, event: Event) -> None:
        """Write down an event.

        Files are put in their place, or removed, before the transaction ends: what is broken off is done again.
        """
        write = {
            Happening.RECEIVED: self._receive,
            Happening.RECEIVED_AGAIN: self._note_files,
            Happening.STARTED: self._start,
            Happening.ANSWERED: self._answer,
            Happening.SENT: self._send,
            Happening.PARKED: self._park,
            Happening.RETRIED: self._retry,
            Happening.REPLACED: self._replace,
            Happening.FORGOTTEN: self._forget,
            Happening.REMOVED: self._remove,
        }[event.what]
        self._open(pen, event)
        write(pen, event)

    def _open(self, pen: Pen, event: Event) -> None:
        """Open the examination, unless it is there."""
        key = self.examination(event)
        if pen.connection.execute(select(EXAMINATIONS.c.id).where(EXAMINATIONS.c.id == key)).first() is not None:
            return
        values: dict[str, Any] = {"id": key, "reference": event.key, "created_by": NODE, "notes": []}
        state = CaseState.QUEUED.value
        moments = {"created_at": event.at, "changed_at": self.clock()}
        pen.connection.execute(insert(EXAMINATIONS).values(**values, **moments, state=state))
        self._note(pen, event, "examination opened")

    def _receive(self, pen: Pen, event: Event) -> None:
        """Images are complete: they are the examination's, which waits for the node; a purged one is opened again."""
        key = self.examination(event)
        images = {sha256: self.spool.image(event.key, sha256) for sha256 in event.facts["files"]}
        kept = self.files.adopt_uploads(key, images)
        known = set(pen.connection.execute(select(FILES.c.name).where(FILES.c.examination == key)).scalars())
        rows = [{"examination": key, "name": n, "bytes": event.facts["files"][n]} for n in kept if n not in known]
        if rows:
            pen.connection.execute(insert(FILES), rows)
        self._move(pen, event, CaseState.QUEUED, (*_WAITS, *_ENDED, CaseState.PURGED), reference=event.key)
        self._note_files(pen, event)

    def _note_files(self, pen: Pen, event: Event) -> None:
        """Images came; where their answer was given before, nothing else happens."""
        self._note(pen, event, "files received", sha256=sorted(event.facts["files"]))

    def _start(self, pen: Pen, event: Event) -> None:
        """The node began."""
        self._move(pen, event, CaseState.RUNNING, _WAITS)
        self._note(pen, event, "estimate started", **_bundle_facts(event))

    def _answer(self, pen: Pen, event: Event) -> None:
        """There is an answer: it is a run of the examination, with its documents."""
        key, facts = self.examination(event), event.facts
        number = next_number(pen.connection, key)
        is_kept = self._state(pen, event) is not CaseState.PURGED
        results = self.spool.results_of(event.key, event.input_hash)
        is_there = is_kept and self.files.adopt_results(key, number, results)
        reason = _reason(facts["reason"])
        told = {"outcome": facts["outcome"], "estimated_age_years": facts["estimated_age_years"], **reason}
        files = sorted(facts["files"]) if is_there else []
        self._add_run(pen, event, number, RunState.DONE, files=files, **told)
        if is_there:
            self._add_documents(pen, event, number)
        self._move(pen, event, CaseState.DONE, (*_WAITS, *_ENDED), **reason)
        seen = {name: facts[name] for name in ("outcome", "pixel_sha256")}
        seals = {"result_sha256": facts["files"].get(RESULT_FILE), "sha256": facts["files"]}
        told_code = {"reason": reason["reason_code"]}
        self._note(pen, event, "estimate done", run=number, **seen, **told_code, **seals, **_bundle_facts(event))

    def _send(self, pen: Pen, event: Event) -> None:
        """An archive has the results; that it did not take them before is no reason any more."""
        key = self.examination(event)
        reason = _last_reason(pen.connection, key) if self._state(pen, event) is CaseState.DONE else {}
        touch(pen.connection, key, self.clock(), **reason)
        self._note(pen, event, "results sent", to=event.facts["to"], objects=event.facts["objects"])

    def _park(self, pen: Pen, event: Event) -> None:
        """The study is out of the line: without an answer, or with one that the archive does not have."""
        facts = event.facts
        reason = {"reason_code": facts["code"], "reason_message": facts["reason"]}
        if not facts["answered"]:
            self._end_without_answer(pen, event, reason)
        elif self._state(pen, event) is CaseState.DONE:
            touch(pen.connection, self.examination(event), self.clock(), **reason)
        self._note(pen, event, "parked", reason=facts["code"])

    def _end_without_answer(self, pen: Pen, event: Event, reason: dict[str, Any]) -> None:
        """Say that the node refused the images, or failed."""
        is_refused = bool(event.facts.get("refused"))
        state = RunState.REFUSED if is_refused else RunState.FAILED
        number = next_number(pen.connection, self.examination(event))
        self._add_run(pen, event, number, state, **reason)
        self._move(pen, event, CaseState(state.value), (*_WAITS, *_ENDED), **reason)
        told = {"run": number, "reason": reason["reason_code"], **_bundle_facts(event)}
        self._note(pen, event, f"estimate {state.value}", **told)

    def _retry(self, pen: Pen, event: Event) -> None:
        """The operator put the study back in the line."""
        self._move(pen, event, CaseState.QUEUED, _ENDED)
        self._note(pen, event, "retried")

    def _replace(self, pen: Pen, event: Event) -> None:
        """More images came, or others, before the answer was sent: they are another examination."""
        self._move(pen, event, CaseState.CANCELLED, _WAITS)
        self._note(pen, event, "replaced by other images")

    def _forget(self, pen: Pen, event: Event) -> None:
        """The node keeps no image and no result of the study any more; the workstation's own stay."""
        self._note(pen, event, "removed from the spool")

    def _remove(self, pen: Pen, event: Event) -> None:
        """The operator removed the study: the workstation's images and documents go too, unless it works on them."""
        key = self.examination(event)
        is_kept = is_ordered(pen.connection, key) or is_writing_documents(pen.connection, key)
        if not is_kept:
            forget_contents(pen, key, self.clock())
            self.files.remove(key)
        self._note(pen, event, "removed", workstation="keeps its copy" if is_kept else "purged")

    def _add_run(self, pen: Pen, event: Event, number: int, state: RunState, **values: Any) -> None:
        """Write the row of a run that ended."""
        facts = event.facts
        question = {**facts.get("question", {}), "sex": facts.get("sex")} if "question" in facts else {}
        order = Order(RunKind.ESTIMATE, question, facts.get("bundle"))
        self._insert(pen, event, order, number, state, **values)

    def _add_documents(self, pen: Pen, event: Event, number: int) -> None:
        """Write the row of the documents of a run, which came with its answer."""
        self._insert(pen, event, Order(RunKind.DOCUMENTS, {}, None, number), None, RunState.DONE)

    def _insert(self, pen: Pen, event: Event, order: Order, number: int | None, state: RunState, **values: Any) -> None:
        """Write the row of work of the node that ended."""
        row = queued(self.examination(event), NODE, order, number, event.at)
        ended = {"state": state.value, "stage": "done", "progress": 1.0, "finished_at": event.at}
        pen.connection.execute(insert(RUNS).values(**{**row, **ended, **values}))

    def _move(self, pen: Pen, event: Event, state: CaseState, starts: tuple[CaseState, ...], **values: Any) -> None:
        """Say where the examination stands, unless it stands elsewhere, or the workstation works on it."""
        key = self.examination(event)
        if self._state(pen, event) in starts and not is_ordered(pen.connection, key):
            reset = {"reason_code": None, "reason_message": None}
            touch(pen.connection, key, self.clock(), **{**reset, **values}, state=state.value)

    def _state(self, pen: Pen, event: Event) -> CaseState:
        """Say where the examination stands."""
        query = select(EXAMINATIONS.c.state).where(EXAMINATIONS.c.id == self.examination(event))
        return CaseState(pen.connection.execute(query).scalar_one())

    def _note(self, pen: Pen, event: Event, action: str, **facts: Any) -> None:
        """Write a line; what is done by a command is done by the operator."""
        who = OPERATOR if event.what in (Happening.RETRIED, Happening.REMOVED) else NODE
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        common = {"study": event.key, "input_sha256": event.input_hash, "at": at}
        pen.note(who, action, self.examination(event), **common, **facts)


def _number(connection: Connection, mark: str) -> int:
    """Give the number of the last event that is on record."""
    return int(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == mark)).scalar_one_or_none() or 0)


def _reason(told: dict[str, str] | None) -> dict[str, str | None]:
    """Give the columns of a reason."""
    found = told or {}
    return {"reason_code": found.get("code"), "reason_message": found.get("message")}


def _last_reason(connection: Connection, key: str) -> dict[str, Any]:
    """Give the reason of the newest run of an examination, as its columns have it."""
    query = select(RUNS.c.reason_code, RUNS.c.reason_message).where(RUNS.c.examination == key)
    row = connection.execute(query.where(RUNS.c.number.is_not(None)).order_by(desc(RUNS.c.number)).limit(1))
    return dict(row.mappings().one())


def _bundle_facts(event: Event) -> dict[str, str | None]:
    """Name the bundle in a line."""
    bundle = event.facts.get("bundle") or {}
    name = f"{bundle['name']} {bundle['version']}" if bundle else None
    return {"bundle": name, "bundle_sha256": bundle.get("sha256")}
