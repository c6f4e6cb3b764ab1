"""Studies as the queue and the spool know them: where they stand, and what they are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

from kneeage.core.errors import KneeAgeError

_KEY_CHARACTERS = 16


class StudyState(str, Enum):
    """Where a study stands."""

    RECEIVED = "received"
    STABLE = "stable"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"
    REMOVED = "removed"


class Arrival(str, Enum):
    """What an image that came in is."""

    NEW = "new"
    CHANGED = "changed"
    KNOWN = "known"


class InWorkError(KneeAgeError, RuntimeError):
    """A study cannot be removed where it stands."""


@dataclass(frozen=True)
class Job:
    """A study that a worker holds.

    Args:
        key: Name of the study in logs and on the disk; it tells nothing about the subject.
        study_uid: Study Instance UID.
        input_hash: Hash of its images.
        files: SHA-256 of each image, by which the spool keeps it.
        worker: Who holds it.
        tries: How many times its results could not be sent.
    """

    key: str
    study_uid: str
    input_hash: str
    files: tuple[str, ...]
    worker: str
    tries: int


@dataclass(frozen=True)
class Entry:
    """A study as the queue lists it.

    Args:
        key: Its name in logs.
        study_uid: Study Instance UID.
        state: Where it stands.
        since: When it came there, in seconds since 1970.
        instances: Number of its images.
        reason: Why it is parked, or waits.
    """

    key: str
    study_uid: str
    state: StudyState
    since: float
    instances: int
    reason: str | None


def study_key(study_uid: str) -> str:
    """Name a study in logs and on the disk by a hash of its UID."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:_KEY_CHARACTERS]


def result_name(key: str, input_hash: str) -> str:
    """Name the folder of the results of a study and a set of its images."""
    return f"{key}-{input_hash[:_KEY_CHARACTERS]}"
