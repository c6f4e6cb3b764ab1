"""Deaths of workers at chosen steps of their work, each once: the process ends there as by ``kill -9``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from kneeage.service.queue import Queue
from kneeage.service.studies import Job, study_key
from tests.pacs.fakes import FakeExaminer

# A step, and the call of the queue that it comes right before.
_BEFORE = {"kept": "is_current", "answered": "note_objects", "stored": "confirm", "sent": "finish"}
# The same, for the call that it comes right after.
_AFTER = {"confirmed": "confirm"}
STEPS = ("examined", *_BEFORE, *_AFTER)


@dataclass(frozen=True)
class DeadlyExaminer:
    """Examines as another examiner does, and ends its process at one step of some studies.

    Args:
        examiner: The other examiner.
        steps: Step at which a study ends the process, by its UID.
        marks: Folder that remembers who did.
        whole_node: End the node and all its workers with it.
    """

    examiner: FakeExaminer
    steps: dict[str, str]
    marks: Path
    whole_node: bool

    def __call__(self, images: Path, documents: Path) -> None:
        self._lie_in_wait()
        self.examiner(images, documents)
        header = dcmread(next(images.iterdir()), stop_before_pixels=True)
        self._die_at("examined", study_key(header.StudyInstanceUID))

    def _lie_in_wait(self) -> None:
        """Replace calls of the queue in this process."""
        for step, name in _BEFORE.items():
            setattr(Queue, name, self._dying(getattr(Queue, name), before=step))
        for step, name in _AFTER.items():
            setattr(Queue, name, self._dying(getattr(Queue, name), after=step))

    def _dying(self, call: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        """Make a call end the process before or after it, at the step of its study."""

        def made(queue: Queue, job: Job, *rest: Any) -> Any:
            self._die_at(before, job.key)
            answer = call(queue, job, *rest)
            self._die_at(after, job.key)
            return answer

        return made

    def _die_at(self, step: str, key: str) -> None:
        """End the process, if this is the step of the study, and the first time."""
        if step not in (self.steps.get(uid) for uid in self.steps if study_key(uid) == key):
            return
        try:
            (self.marks / f"{step}-{key}").touch(exist_ok=False)
        except FileExistsError:
            return
        if self.whole_node:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
