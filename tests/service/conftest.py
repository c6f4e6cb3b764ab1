"""A spool with a study in it, and a worker for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.worker import Worker
from tests.pacs.fakes import FakeExaminer
from tests.service.support import RHYTHM, Archive, receive


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def queue(spool: Spool) -> Queue:
    return Queue(spool.database)


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def worker(spool: Spool, queue: Queue, archive: Archive, tmp_path: Path) -> Worker:
    receive(spool, queue, tmp_path)
    return Worker("w", queue, spool, FakeExaminer(), archive, RHYTHM)
