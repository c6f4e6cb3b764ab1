"""Tells every client that listens what changed in the register, whichever process changed it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from kneeage.service.cases import BusyError, Case
from kneeage.service.logs import log_failure
from kneeage.service.register import Register
from kneeage.web.schemas import ShortCase, short_case

POLL_SECONDS = 0.2
QUIET_SECONDS = 15.0

# Changes of other processes may be committed a little after the moment that they carry.
_OVERLAP_SECONDS = 5.0
_MOST_PENDING = 1000

Listener = asyncio.Queue[Case]


class Hub:
    """Looks for changes as long as anybody listens.

    Args:
        register: Where to look.
        most: Clients that may listen at once.
    """

    def __init__(self, register: Register, most: int) -> None:
        self._register = register
        self._most = most
        self._listeners: set[Listener] = set()
        self._told: dict[str, float] = {}
        self._latest = time.time()

    def require_room(self) -> None:
        """Turn away one client too many.

        Raises:
            BusyError: As many as may listen do.
        """
        if len(self._listeners) >= self._most:
            raise BusyError(f"{self._most} pages listen already; close some")

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._listeners:
                await self._look()

    async def events(self, key: str | None, first: Case | None, may_listen: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Give changes as server-sent events until the client goes, or may not listen any more.

        Args:
            key: Of this examination; None: of all.
            first: Told at once.
            may_listen: Asked every few seconds whether the client's session is still good.
        """
        listener: Listener = asyncio.Queue(_MOST_PENDING)
        self._listeners.add(listener)
        try:
            yield b"retry: 1000\n\n" + (b"" if first is None else _event(first))
            while await run_in_threadpool(may_listen):
                async for case in _until(listener, QUIET_SECONDS):
                    if key in (None, case.id):
                        yield _event(case)
                yield b": quiet\n\n"
        finally:
            self._listeners.discard(listener)

    async def _look(self) -> None:
        """Tell what changed since the last look."""
        try:
            cases = await run_in_threadpool(self._register.changed_since, self._latest - _OVERLAP_SECONDS)
        except Exception as error:  # noqa: BLE001 (the database may be away for a while; pages listen on)
            log_failure("changes cannot be read", error)
            return
        for case in cases:
            if self._told.get(case.id) != case.changed_at:
                self._tell(case)
            self._told[case.id] = case.changed_at
            self._latest = max(self._latest, case.changed_at)
        self._told = {key: at for key, at in self._told.items() if at >= self._latest - 2 * _OVERLAP_SECONDS}

    def _tell(self, case: Case) -> None:
        """Tell every client; one that does not keep up reads the list again some day."""
        for listener in self._listeners:
            with suppress(asyncio.QueueFull):
                listener.put_nowait(case)


async def _until(listener: Listener, seconds: float) -> AsyncIterator[Case]:
    """Give what a client is told within some seconds."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            case = await asyncio.wait_for(listener.get(), left)
        except TimeoutError:
            return
        yield case


def _event(case: Case) -> bytes:
    """Write a change as an event."""
    data = ShortCase.model_validate(short_case(case)).model_dump(mode="json")
    return f"event: examination\ndata: {json.dumps(data)}\n\n".encode()
