"""Bodies of requests as they come in."""

from __future__ import annotations

import asyncio
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
    pieces = iter([first])

    async def receive() -> dict[str, object]:
        piece = next(pieces, None)
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": True}

    headers = [(name.encode(), value.encode()) for name, value in FORM.items()]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def test_a_request_that_sends_nothing_more_is_ended(tmp_path: Path) -> None:
    limits = Limits(idle_seconds=1)
    for received in (
        receive_form(stalled(BEGIN), tmp_path, limits),
        receive_file(stalled(b"a"), tmp_path / "b", limits),
    ):
        with pytest.raises(WebError, match="nothing came for 1 seconds") as raised:
            asyncio.run(received)
        assert (raised.value.status, raised.value.code) == (408, "slow")
