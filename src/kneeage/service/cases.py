"""Examinations and runs as the register has them: where they stand, what is asked of them, who acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kneeage.core.errors import KneeAgeError
from kneeage.service.troubles import Trouble


class CaseState(str, Enum):
    """Where an examination stands."""

    DRAFT = "draft"
    INSPECTING = "inspecting"
    READY = "ready"
    UNREADABLE = "unreadable"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PURGED = "purged"


class RunState(str, Enum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunKind(str, Enum):
    """What a run does."""

    INSPECT = "inspect"
    ESTIMATE = "estimate"
    CORRECTION = "correction"
    DOCUMENTS = "documents"


CHOSEN_BUNDLE = "bundle"
# Who acts where no user does: the program itself, a PACS node, and whoever may run commands on the register's machine;
# whoever works where nobody need log in; and whoever was refused a login.
SYSTEM, NODE, OPERATOR, LOCAL, STRANGER = "system", "pacs", "operator", "local", "nobody"
NO_USERS = (SYSTEM, NODE, OPERATOR, LOCAL, STRANGER)
# In these an examination waits for its worker, and takes no other work.
AT_WORK = (CaseState.INSPECTING, CaseState.QUEUED, CaseState.RUNNING)
WAITING = (RunState.QUEUED.value, RunState.RUNNING.value)


class StateError(KneeAgeError, RuntimeError):
    """What is asked for is not possible where the examination stands."""


class BusyError(KneeAgeError, RuntimeError):
    """There is too much to do; ask again later."""


class UnknownCaseError(KneeAgeError, LookupError):
    """There is no such examination, run or file."""


@dataclass(frozen=True)
class Documents:
    """How far the documents of a run are, which are made after its answer."""

    state: RunState
    stage: str
    progress: float
    reason: Trouble | None


@dataclass(frozen=True)
class Run:
    """One piece of work on an examination, as the register has it."""

    kind: RunKind
    number: int
    base: int | None
    state: RunState
    stage: str
    progress: float
    created_at: float
    created_by: str
    started_at: float | None
    finished_at: float | None
    question: dict[str, Any]
    bundle: dict[str, Any] | None
    outcome: str | None
    estimated_age_years: float | None
    reason: Trouble | None
    files: list[str]
    documents: Documents | None


@dataclass(frozen=True)
class Case:
    """An examination, as the register has it; of a list, ``runs`` holds the newest and the newest answered alone."""

    id: str
    reference: str
    state: CaseState
    created_at: float
    changed_at: float
    created_by: str
    files: int
    bytes: int
    series: list[dict[str, Any]] | None
    notes: list[str]
    reason: Trouble | None
    runs: list[Run]

    @property
    def answered(self) -> Run | None:
        """The run that the newest answer is of, be it an age, an abstention or a refusal."""
        return next((run for run in reversed(self.runs) if run.outcome is not None), None)

    def run(self, number: int) -> Run:
        """Give a run by its number.

        Raises:
            UnknownCaseError: There is none.
        """
        found = next((run for run in self.runs if run.number == number), None)
        if found is None:
            raise UnknownCaseError(f"the examination has no run {number}")
        return found


@dataclass(frozen=True)
class Order:
    """What a run is asked to do.

    Args:
        kind: What it does.
        question: What is asked, and how it is answered; JSON.
        bundle: The bundle that answers: ``id``, ``name``, ``version``, ``population``, ``sha256``.
        base: Number of the run that is corrected.
        facts: What the audit log is told besides.
    """

    kind: RunKind
    question: Mapping[str, Any]
    bundle: Mapping[str, Any] | None = None
    base: int | None = None
    facts: Mapping[str, Any] | None = None
