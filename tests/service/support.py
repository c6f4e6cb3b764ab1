"""An archive in memory, and studies in a spool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread

from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import StudyState, study_key
from kneeage.service.worker import Rhythm, Send
from tests.pacs.support import make_study, study_uid

RHYTHM = Rhythm(quiet=0, lease=5, poll=0.01, first_pause=0)
NAME = "one"


@dataclass
class Archive:
    """An archive in memory: it keeps objects by UID, and fails when it is told to."""

    stored: dict[str, int] = field(default_factory=dict)
    fails: list[Exception] = field(default_factory=list)
    fails_after: int = 0

    @contextlib.contextmanager
    def __call__(self, files: Sequence[Path]) -> Iterator[Send]:
        assert files
        yield self.store

    def store(self, file: Path) -> None:
        if self.fails and self.fails_after == 0:
            raise self.fails.pop()
        self.fails_after -= bool(self.fails)
        uid = str(dcmread(file).SOPInstanceUID)
        self.stored[uid] = self.stored.get(uid, 0) + 1


def receive(spool: Spool, queue: Queue, folder: Path, name: str = NAME) -> None:
    """Put a study into the spool."""
    for path in make_study(folder / name, name):
        uid = str(dcmread(path).SOPInstanceUID)
        sha256, kept = spool.keep(path, study_key(study_uid(name)))
        queue.add(study_uid(name), uid, sha256=sha256, file=kept)


def state(queue: Queue) -> tuple[StudyState, str | None]:
    (only,) = queue.entries()
    return only.state, only.reason
