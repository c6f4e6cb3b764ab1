"""Workers in processes of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.service.processes import WorkerProcesses, WorkPlan
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import StudyState
from tests.pacs.fakes import FakeExaminer
from tests.pacs.support import PATIENCE, study_uid, wait_for
from tests.service.support import RHYTHM, receive, state


def workers_of(spool: Spool, queue: Queue, examine: Callable[[Path, Path], None], limit: float) -> WorkerProcesses:
    plan = WorkPlan(spool.folder, examine, None, replace(RHYTHM, lease=PATIENCE))
    return WorkerProcesses(plan, queue, count=1, limit_seconds=limit)


def test_a_worker_process_that_dies_is_replaced_and_the_rest_is_done(
    spool: Spool, queue: Queue, tmp_path: Path
) -> None:
    for name in ("deadly", "well"):
        receive(spool, queue, tmp_path, name)
    workers = workers_of(spool, queue, FakeExaminer(dies_on=study_uid("deadly")), PATIENCE)

    def is_over() -> bool:
        workers.check()
        return queue.counts()[StudyState.DONE] == 1 and ("workers_died", "") in queue.counters()

    try:
        wait_for(is_over)
    finally:
        workers.stop()
    assert {one.study_uid: one.state for one in queue.entries()}[study_uid("well")] is StudyState.DONE


def test_a_worker_process_that_takes_too_long_is_ended(spool: Spool, queue: Queue, tmp_path: Path) -> None:
    receive(spool, queue, tmp_path)
    workers = workers_of(spool, queue, FakeExaminer(seconds=PATIENCE), 0.2)

    def is_ended() -> bool:
        workers.check()
        return ("workers_died", "") in queue.counters()

    try:
        wait_for(is_ended)
    finally:
        workers.stop()
    assert state(queue) == (StudyState.STABLE, "it took longer than 0.2 seconds")


def test_a_queue_that_is_busy_does_not_end_the_service(
    spool: Spool, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(spool, queue, tmp_path, "deadly")
    workers = workers_of(spool, queue, FakeExaminer(dies_on=study_uid("deadly")), PATIENCE)
    bury, busy = queue.bury, [sqlite3.OperationalError("database is locked")]

    def bury_later(worker: str, reason: str) -> None:
        if busy:
            raise busy.pop()
        bury(worker, reason)

    monkeypatch.setattr(queue, "bury", bury_later)

    def is_buried() -> bool:
        workers.check()
        return ("workers_died", "") in queue.counters()

    try:
        wait_for(is_buried)
    finally:
        workers.stop()
    assert busy == []
