"""One worker: takes a study, examines it, sends what comes of it, and says so in the queue, in this order.

Results are kept in the spool before anything is sent, and every object that the destination confirms is noted before
the next one goes. So a worker that takes over a study sends what was kept, and only what is not confirmed. An object
that was stored but not yet noted is sent again under the same UID: the destination has it once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kneeage.core.errors import InputRefusedError, KneeAgeError, OutputError
from kneeage.service.answers import told
from kneeage.service.lease import LeaseLostError, renewed
from kneeage.service.logs import log, log_failure
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import Job
from kneeage.service.troubles import Trouble, trouble, unforeseen

# Pauses before results are sent again: they double from the first to the longest. Our own choice.
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 600.0
# With these pauses, an archive may be away for half a day before its studies are parked. Our own choice.
MOST_TRIES = 75

UNDELIVERABLE = "undeliverable"

_FORGET_EVERY_SECONDS = 60.0

Examine = Callable[[Path, Path], None]
Send = Callable[[Path], None]


class DeliveryError(KneeAgeError, ConnectionError):
    """The destination cannot be reached, or did not take an object; it is worth trying again."""


class Destination(Protocol):
    """Where results go; its text is an address without a secret, for the record."""

    def __call__(self, files: Sequence[Path]) -> AbstractContextManager[Send]:
        """Open the way for some objects, and give what sends one."""


@dataclass(frozen=True)
class Rhythm:
    """Times of a worker, in seconds.

    Args:
        quiet: No image has come for this long: the study is stable.
        lease: A worker that is not heard of for this long has lost its study.
        poll: Pause where nothing waits.
        keep: Images and results of a study stay this long after it is done.
        abandoned: Broken-off transfers are removed after this long.
        first_pause: Before results are sent again for the first time.
    """

    quiet: float = 20.0
    lease: float = 60.0
    poll: float = 0.5
    keep: float = 86400.0
    abandoned: float = 3600.0
    first_pause: float = FIRST_PAUSE_SECONDS


@dataclass(frozen=True, eq=False)
class Worker:
    """What a worker works with.

    Args:
        name: A name that no other worker has, nor had.
        queue: Where studies wait.
        spool: Where their images are.
        examine: Reads the images in the first folder and writes documents into the second, which is empty; a result
            is one of them.
        destination: Where results go; None: they are kept.
        rhythm: Its times.
        asked: What is asked about every study (``question``) and which ``bundle`` answers, for the record; JSON.
    """

    name: str
    queue: Queue
    spool: Spool
    examine: Examine
    destination: Destination | None
    rhythm: Rhythm
    asked: Mapping[str, Any] = field(default_factory=dict)

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until told to stop.

        Args:
            is_stopped: Asked between studies.
        """
        forgotten_at = 0.0
        while not is_stopped():
            if time.monotonic() - forgotten_at > _FORGET_EVERY_SECONDS:
                self.forget()
                forgotten_at = time.monotonic()
            if not self.work_once():
                time.sleep(self.rhythm.poll)

    def work_once(self) -> bool:
        """Do the study that has waited longest.

        Returns:
            Whether there was one.
        """
        self.queue.settle(self.rhythm.quiet)
        job = self.queue.claim(self.name, self.rhythm.lease, self.asked)
        if job is None:
            return False
        start = time.monotonic()
        log("study taken", study=job.key, images=len(job.files))
        with renewed(lambda: self.queue.renew(job, self.rhythm.lease), self.rhythm.lease):
            end = self._try(job)
        log(f"study {end}", study=job.key, seconds=round(time.monotonic() - start, 2))
        return True

    def give_back(self) -> None:
        """Put what it holds back in the line."""
        self.queue.give_back(self.name)

    def forget(self) -> None:
        """Remove what need not be kept."""
        self.queue.forget_images(self.rhythm.keep, self.spool.forget)
        self.spool.sweep(self.rhythm.abandoned)

    def _try(self, job: Job) -> str:
        """Do a study; whatever happens, say in the queue what became of it."""
        try:
            return self._done_or_parked(job)
        except LeaseLostError:
            if self.queue.is_removed(job):
                self.spool.remove(job.key)
            return "lost to another worker"

    def _done_or_parked(self, job: Job) -> str:
        """Do a study, or say why not."""
        try:
            return self._do(job)
        except LeaseLostError:
            raise
        except DeliveryError as error:
            return self._wait_or_park(job, Trouble(UNDELIVERABLE, str(error)))
        except OutputError as error:
            return self._wait_or_park(job, trouble(error))
        except KneeAgeError as error:
            return self._park(job, trouble(error), refused=isinstance(error, InputRefusedError))
        except Exception as error:  # noqa: BLE001 (the network's edge: one study's failure must not end the service)
            log_failure("unforeseen failure", error, study=job.key)
            return self._park(job, unforeseen(error))

    def _do(self, job: Job) -> str:
        """Examine, keep, send, finish."""
        if not self.spool.results(job).exists():
            with self.spool.snapshot(job) as images, self.spool.new_results(job) as results:
                self.examine(images, results)
        if not self.queue.is_current(job):
            self.queue.restart(job)
            return "changed while it was examined"
        self.queue.note_answer(job, {**self.asked, **asdict(told(self.spool.results(job)))})
        self._send(job)
        return self.queue.finish(job, None if self.destination is None else str(self.destination)).value

    def _send(self, job: Job) -> None:
        """Send the objects that are not confirmed yet."""
        objects = self.spool.objects(job)
        pending = self.queue.note_objects(job, objects)
        if self.destination is None or not pending:
            return
        with self.destination([objects[uid] for uid in pending]) as send:
            for uid in pending:
                send(objects[uid])
                self.queue.confirm(job, uid)

    def _wait_or_park(self, job: Job, why: Trouble) -> str:
        """Put a study off, longer each time, and park it in the end."""
        if job.tries + 1 >= MOST_TRIES:
            return self._park(job, why)
        seconds = min(self.rhythm.first_pause * 2.0 ** min(job.tries, 30), LONGEST_PAUSE_SECONDS)
        self.queue.postpone(job, why.message, seconds)
        return "put off"

    def _park(self, job: Job, why: Trouble, *, refused: bool = False) -> str:
        """Take a study out of the line."""
        return self.queue.park(job, why, {**self.asked, "refused": refused}).value
