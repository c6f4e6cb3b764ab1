"""Workers in processes of their own: what crashes or hangs there is ended and replaced, and the door stays open.

A worker lives no longer than the process that started it: it holds one end of a pipe, and when the other end closes,
however that happens, it gives its study back and ends.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from kneeage.service.lease import Line
from kneeage.service.logs import log, log_failure, write_logs
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.worker import Destination, Examine, Rhythm, Worker

_JOIN_SECONDS = 10.0


class Works(Protocol):
    """A worker in its own process."""

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until told to stop."""

    def give_back(self) -> None:
        """Put what it holds back in the line."""


class Plan(Protocol):
    """What a worker process is made from; all of it can be pickled."""

    def worker(self, name: str) -> Works:
        """Make a worker in this process."""


@dataclass(frozen=True)
class WorkPlan:
    """What a worker of the queue of studies is made from.

    Args:
        folder: Folder of the spool.
        examine: Examines the images in a folder into another.
        destination: Where results go; None: they stay in the spool.
        rhythm: Times.
        asked: What is asked about every study and which bundle answers, for the record.
    """

    folder: Path
    examine: Examine
    destination: Destination | None
    rhythm: Rhythm
    asked: Mapping[str, Any] = field(default_factory=dict)

    def worker(self, name: str) -> Worker:
        """Make a worker in this process."""
        spool = Spool(self.folder)
        queue = Queue(spool.database)
        return Worker(name, queue, spool, self.examine, self.destination, self.rhythm, self.asked)


@dataclass(eq=False)
class _Running:
    """A worker process and the pipe that keeps it alive."""

    name: str
    process: SpawnProcess
    lifeline: Connection


class WorkerProcesses:
    """A number of workers that are kept running.

    Args:
        plan: What each is made from.
        queue: Where what they held is put back when they die.
        count: How many.
        limit_seconds: A study that takes longer is taken from its worker, which is ended.
    """

    def __init__(self, plan: Plan, queue: Line, *, count: int, limit_seconds: float) -> None:
        self._plan = plan
        self._queue = queue
        self._limit_seconds = limit_seconds
        self._running = [_start(plan) for _ in range(count)]

    def check(self) -> None:
        """Replace workers that died, and end those that take too long."""
        self._running = [self._looked_after(one) for one in self._running]

    def stop(self) -> None:
        """End all workers; what they hold goes back into the line."""
        for one in self._running:
            one.lifeline.close()
        for one in self._running:
            one.process.join(_JOIN_SECONDS)
            one.process.kill()
            self._queue.give_back(one.name)

    def _looked_after(self, one: _Running) -> _Running:
        """Give a worker that is well, or the one that replaces it; where that cannot be told now, it is next time."""
        try:
            return self._checked(one)
        except Exception as error:  # noqa: BLE001 (a queue that is busy must not end the service)
            log_failure("a worker could not be looked after", error)
            return one

    def _checked(self, one: _Running) -> _Running:
        """Give a worker that is well, or the one that replaces it."""
        reason = self._trouble(one)
        if reason is None:
            return one
        one.process.kill()
        one.process.join()
        one.lifeline.close()
        self._queue.bury(one.name, reason)
        log("worker replaced", reason=reason)
        return _start(self._plan)

    def _trouble(self, one: _Running) -> str | None:
        """Say what is wrong with a worker."""
        if not one.process.is_alive():
            return f"its process ended with code {one.process.exitcode}"
        if self._queue.is_overdue(one.name, self._limit_seconds):
            return f"it took longer than {self._limit_seconds:g} seconds"
        return None


def _start(plan: Plan) -> _Running:
    """Start a worker."""
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    name = f"worker-{secrets.token_hex(8)}"
    process = context.Process(target=_work, args=(plan, name, theirs), name=name, daemon=True)
    process.start()
    theirs.close()
    return _Running(name, process, ours)


def _work(plan: Plan, name: str, lifeline: Connection) -> None:
    """Be a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_logs()
    try:
        worker = plan.worker(name)
        threading.Thread(target=_end_with_parent, args=(worker, lifeline), daemon=True).start()
        worker.run(lambda: False)
    except Exception as error:  # noqa: BLE001 (the process ends, and is replaced; its traceback may quote an image)
        log_failure("worker failed", error)
        sys.exit(1)


def _end_with_parent(worker: Works, lifeline: Connection) -> None:
    """Wait until the other end of the pipe closes, then give the study back and end at once."""
    lifeline.poll(None)
    worker.give_back()
    os._exit(0)
