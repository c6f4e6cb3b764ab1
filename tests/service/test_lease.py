"""Leases that are renewed while the work goes on."""

from __future__ import annotations

import sqlite3
import threading

from kneeage.service.lease import LeaseLostError, renewed
from tests.pacs.support import PATIENCE


def test_a_queue_that_is_busy_is_asked_again() -> None:
    answers, renewals = [sqlite3.OperationalError("database is locked")], threading.Semaphore(0)

    def renew() -> None:
        renewals.release()
        if answers:
            raise answers.pop()

    with renewed(renew, 0.03):
        assert all(renewals.acquire(timeout=PATIENCE) for _ in range(3))


def test_a_lease_that_is_lost_is_not_renewed() -> None:
    renewals = []

    def renew() -> None:
        renewals.append(1)
        raise LeaseLostError("lost")

    with renewed(renew, 0.03):
        threading.Event().wait(0.3)
    assert len(renewals) == 1
