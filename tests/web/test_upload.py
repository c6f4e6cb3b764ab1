"""Bodies of requests as they come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import Request

from kneeage.web.errors import WebError
from kneeage.web.settings import Limits
from kneeage.web.upload import receive_file, receive_form

FORM = {"content-type": "multipart/form-data; boundary=x1x"}
BEGIN = b'--x1x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhalf'


def stalled(first: bytes) -> Request:
    """A request that sends a piece, and then nothing more."""

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        await asyncio.Event().wait()

    return sending(pieces())


def dripping(first: bytes, drop: bytes, count: int) -> Request:
    """A request that sends a piece, and then a little every tenth of a second, until it ends."""

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        for _ in range(count):
            await asyncio.sleep(0.1)
            yield drop

    return sending(pieces())


def sending(pieces: AsyncIterator[bytes]) -> Request:
    """A request whose body comes in these pieces."""

    async def receive() -> dict[str, object]:
        piece = await anext(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    headers = [(name.encode(), value.encode()) for name, value in FORM.items()]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def test_a_request_that_sends_nothing_more_is_ended(tmp_path: Path) -> None:
    limits = Limits(idle_seconds=1)
    for received in (
        receive_form(stalled(BEGIN), tmp_path, limits),
        receive_file(stalled(b"a"), tmp_path / "b", limits),
    ):
        with pytest.raises(WebError, match="bytes came within 1 seconds") as raised:
            asyncio.run(received)
        assert (raised.value.status, raised.value.code) == (408, "slow")


def test_a_request_that_drips_is_ended(tmp_path: Path) -> None:
    drops = dripping(BEGIN, b"a", count=100)
    with pytest.raises(WebError, match="bytes came within 1 seconds") as raised:
        asyncio.run(receive_form(drops, tmp_path, Limits(idle_seconds=1)))
    assert raised.value.status == 408


def test_a_slow_request_is_taken_whole(tmp_path: Path) -> None:
    limits = Limits(idle_seconds=1, least_bytes=30)
    asyncio.run(receive_file(dripping(b"a", b"b" * 10, count=15), tmp_path / "b", limits))
    assert (tmp_path / "b").stat().st_size == 151
