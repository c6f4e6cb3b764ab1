"""The line of runs: workers take them by leases; killed at any moment, no run is lost or done twice.

The documents of an answer are a piece of work of their own, put into the line in the transaction that publishes the
answer. Answers go before documents, so that nobody waits for an answer because others want theirs printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, insert, select, true, update

from kneeage.core.errors import KneeAgeError
from kneeage.service.audit import Journal, Pen
from kneeage.service.cases import SYSTEM, CaseState, Order, RunKind, RunState
from kneeage.service.lease import LEASE_ENDED, LeaseLostError, died_on, is_last_death
from kneeage.service.register import queued, touch, without_work
from kneeage.service.tables import RUNS, reading, writing
from kneeage.service.troubles import WORKER_DIED, Trouble

_ENDED = {
    RunState.DONE: CaseState.DONE,
    RunState.REFUSED: CaseState.REFUSED,
    RunState.FAILED: CaseState.FAILED,
}
_ENDED_INSPECTION = {**_ENDED, RunState.DONE: CaseState.READY, RunState.REFUSED: CaseState.UNREADABLE}
_TURN = {RunKind.INSPECT: 0, RunKind.ESTIMATE: 1, RunKind.CORRECTION: 1, RunKind.DOCUMENTS: 2}


class CancelledError(KneeAgeError, RuntimeError):
    """The user does not want a run any more."""


@dataclass(frozen=True)
class Task:
    """A run that a worker holds; ``base`` is the run that is corrected, or whose documents are made."""

    id: int
    examination: str
    kind: RunKind
    number: int | None
    base: int | None
    question: dict[str, Any]
    bundle: dict[str, Any] | None
    worker: str


@dataclass(frozen=True)
class RunEnd:
    """What became of a run.

    Args:
        state: Where it stands now.
        outcome: How the examination ended, as in ``result.json``.
        estimated_age_years: Its answer.
        reason: Why there is none.
        files: Names of its documents.
        case: What the examination is told besides: ``series`` and ``notes``.
        facts: What the audit log is told besides.
    """

    state: RunState
    outcome: str | None = None
    estimated_age_years: float | None = None
    reason: Trouble | None = None
    files: list[str] = field(default_factory=list)
    case: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class RunQueue:
    """The runs of a register.

    Args:
        journal: Writes changes and the lines that tell about them.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._clock = clock

    def waits(self) -> bool:
        """Say whether there may be something to take, without taking the writer's place."""
        now = self._clock()
        where = (RUNS.c.state == RunState.QUEUED.value) | (
            (RUNS.c.state == RunState.RUNNING.value) & (RUNS.c.lease_until < now)
        )
        with reading(self._journal.engine) as connection:
            return connection.execute(select(RUNS.c.id).where(where).limit(1)).first() is not None

    def claim(self, worker: str, lease_seconds: float) -> Task | None:
        """Take the run that has waited longest: inspections first, documents last.

        Args:
            worker: A name that no other worker has, nor had.
            lease_seconds: How long it is this worker's unless the lease is renewed.
        """
        now = self._clock()
        with self._journal.writing() as pen:
            self._take_back(pen, RUNS.c.lease_until < now, LEASE_ENDED)
            turn = case({kind.value: at for kind, at in _TURN.items()}, value=RUNS.c.kind)
            query = select(RUNS).where(RUNS.c.state == RunState.QUEUED.value).order_by(turn, RUNS.c.created_at)
            row = pen.connection.execute(query.limit(1)).mappings().first()
            if row is None:
                return None
            held = {"state": RunState.RUNNING.value, "worker": worker, "lease_until": now + lease_seconds}
            pen.connection.execute(update(RUNS).where(RUNS.c.id == row["id"]).values(**held, started_at=now))
            task = _task(row, worker)
            is_answer = task.kind in (RunKind.ESTIMATE, RunKind.CORRECTION)
            state = {"state": CaseState.RUNNING.value} if is_answer else {}
            touch(pen.connection, task.examination, now, **state)
            return task

    def renew(self, task: Task, lease_seconds: float) -> None:
        """Keep a run for longer.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with writing(self._journal.engine) as connection:
            _change_held(connection, task, lease_until=self._clock() + lease_seconds)

    def step(self, task: Task, stage: str, progress: float) -> None:
        """Say how far a run is.

        Raises:
            CancelledError: It is not wanted any more.
            LeaseLostError: It is another's meanwhile.
        """
        with writing(self._journal.engine) as connection:
            _change_held(connection, task, stage=stage, progress=progress)
            touch(connection, task.examination, self._clock())
            wanted = select(RUNS.c.cancel).where(RUNS.c.id == task.id)
            if connection.execute(wanted).scalar_one():
                raise CancelledError("the run was cancelled")

    def finish(self, task: Task, end: RunEnd) -> None:
        """Note what became of a run.

        Raises:
            LeaseLostError: It is another's meanwhile.
        """
        with self._journal.writing() as pen:
            _change_held(pen.connection, task)
            self._end(pen, task, end)

    def give_back(self, worker: str) -> None:
        """Put what a worker holds back in the line, because the worker is told to stop."""
        where = (RUNS.c.worker == worker, RUNS.c.state == RunState.RUNNING.value)
        with writing(self._journal.engine) as connection:
            connection.execute(update(RUNS).where(*where).values(**_BACK))

    def bury(self, worker: str, reason: str) -> None:
        """Put what a dead worker held back in the line; a run that too many workers died on fails."""
        with self._journal.writing() as pen:
            self._take_back(pen, RUNS.c.worker == worker, reason)

    def recover(self) -> None:
        """Put back what workers of a server that was killed held; called before the first worker starts."""
        with self._journal.writing() as pen:
            self._take_back(pen, true(), "the server was killed")

    def is_overdue(self, worker: str, limit_seconds: float) -> bool:
        """Say whether a worker has held its run for longer than a limit."""
        where = (RUNS.c.worker == worker, RUNS.c.state == RunState.RUNNING.value)
        query = select(RUNS.c.id).where(*where, RUNS.c.started_at < self._clock() - limit_seconds)
        with reading(self._journal.engine) as connection:
            return connection.execute(query).first() is not None

    def _take_back(self, pen: Pen, where: ColumnElement[bool], reason: str) -> None:
        """Put runs of dead workers back in the line; end those that too many died on, or that nobody wants."""
        query = select(RUNS).where(RUNS.c.state == RunState.RUNNING.value, where)
        for row in pen.connection.execute(query).mappings().all():
            deaths = row["deaths"] + 1
            back = update(RUNS).where(RUNS.c.id == row["id"])
            pen.connection.execute(back.values(**_BACK, deaths=deaths))
            why = Trouble(WORKER_DIED, died_on("it", deaths, reason))
            if row["cancel"] or is_last_death(deaths):
                end = RunEnd(RunState.CANCELLED) if row["cancel"] else RunEnd(RunState.FAILED, reason=why)
                self._end(pen, _task(row, ""), end)
            else:
                touch(pen.connection, row["examination"], self._clock())

    def _end(self, pen: Pen, task: Task, end: RunEnd) -> None:
        """End a run and tell its examination."""
        now = self._clock()
        code = None if end.reason is None else end.reason.code
        told = {"reason_code": code, "reason_message": None if end.reason is None else end.reason.message}
        self._note_end(pen, task, end, told)
        if task.kind is RunKind.DOCUMENTS:
            _add_files(pen.connection, task, end.files)
            touch(pen.connection, task.examination, now)
        elif end.state is RunState.CANCELLED:
            touch(pen.connection, task.examination, now, **without_work(pen.connection, task.examination))
        else:
            state = (_ENDED_INSPECTION if task.kind is RunKind.INSPECT else _ENDED)[end.state]
            touch(pen.connection, task.examination, now, state=state.value, **told, **end.case)
        if task.number is not None and end.state is RunState.DONE:
            self._order_documents(pen, task)
        run = task.base if task.kind is RunKind.DOCUMENTS else task.number
        facts = {"run": run, "outcome": end.outcome, "reason": code, **end.facts}
        pen.note(SYSTEM, f"{task.kind.value} {end.state.value}", task.examination, **facts)

    def _note_end(self, pen: Pen, task: Task, end: RunEnd, told: Mapping[str, Any]) -> None:
        """Write the end of a run into its row."""
        values = {
            "state": end.state.value,
            "stage": "done",
            "progress": 1.0,
            "finished_at": self._clock(),
            "outcome": end.outcome,
            "estimated_age_years": end.estimated_age_years,
            "files": end.files,
            "lease_until": None,
        }
        pen.connection.execute(update(RUNS).where(RUNS.c.id == task.id).values(**values, **told))

    def _order_documents(self, pen: Pen, task: Task) -> None:
        """Put the documents of an answer into the line."""
        order = Order(RunKind.DOCUMENTS, task.question, task.bundle, task.number)
        row = queued(task.examination, SYSTEM, order, None, self._clock())
        pen.connection.execute(insert(RUNS).values(**row))


_BACK: dict[str, Any] = {"state": RunState.QUEUED.value, "stage": "queued", "worker": None, "lease_until": None}


def _task(row: RowMapping, worker: str) -> Task:
    """Make the task of a row."""
    plain = {name: row[name] for name in ("id", "examination", "number", "base", "question", "bundle")}
    return Task(**plain, kind=RunKind(row["kind"]), worker=worker)


def _add_files(connection: Connection, task: Task, files: list[str]) -> None:
    """Name the documents of a run among its files."""
    where = (RUNS.c.examination == task.examination, RUNS.c.number == task.base)
    known = connection.execute(select(RUNS.c.files).where(*where)).scalar_one()
    connection.execute(update(RUNS).where(*where).values(files=[*known, *files]))


def _change_held(connection: Connection, task: Task, **values: Any) -> None:
    """Change a run that a worker still holds.

    Raises:
        LeaseLostError: It does not.
    """
    where = (RUNS.c.id == task.id, RUNS.c.worker == task.worker, RUNS.c.state == RunState.RUNNING.value)
    if connection.execute(update(RUNS).where(*where).values(**(values or {"worker": task.worker}))).rowcount == 0:
        raise LeaseLostError("the run is no longer this worker's")
