"""What both lines of work, that of studies and that of runs, promise by the same words: leases, and dead workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from kneeage.core.errors import KneeAgeError
from kneeage.service.logs import log_failure

# Workers that may die on one piece of work before it is taken out of the line. Our own choice.
MOST_DEATHS = 5
LEASE_ENDED = "its worker was killed or lost contact"

# Renewals of a lease within its length: two may fail before it is lost.
_RENEWALS = 3


class LeaseLostError(KneeAgeError, RuntimeError):
    """A piece of work is no longer this worker's: its lease ended, and another worker may have it."""


class Line(Protocol):
    """Where what a worker held is put back."""

    def give_back(self, worker: str) -> None:
        """Put it back because the worker is told to stop."""

    def bury(self, worker: str, reason: str) -> None:
        """Put it back because the worker died."""

    def is_overdue(self, worker: str, limit_seconds: float) -> bool:
        """Say whether the worker has held it for longer than a limit."""


def is_last_death(deaths: int) -> bool:
    """Say whether so many workers died on a piece of work that no other one gets it."""
    return deaths >= MOST_DEATHS


def died_on(what: str, deaths: int, reason: str) -> str:
    """Say why a piece of work was taken out of the line."""
    return f"{deaths} workers died on {what}, the last because {reason}"


@contextmanager
def renewed(renew: Callable[[], None], lease_seconds: float) -> Iterator[None]:
    """Renew a lease from another thread as long as the block runs.

    Args:
        renew: Renews it.
        lease_seconds: Its length.
    """
    ended = threading.Event()

    def keep_on() -> None:
        """Renew until the block ends; a lease that is lost is found out when the work is finished."""
        while not ended.wait(lease_seconds / _RENEWALS):
            try:
                renew()
            except LeaseLostError:
                return
            except Exception as error:  # noqa: BLE001 (a queue that is busy is asked again before the lease ends)
                log_failure("a lease could not be renewed", error)

    thread = threading.Thread(target=keep_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
